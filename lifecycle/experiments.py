"""Which version answers whom, where a challenger takes a share: decided by a hash, so nobody has to remember it.

The same unit (a customer, an aircraft) gets the same version at every request, in every worker, after every restart;
and whoever knows salt, experiment and unit can say afterwards which one that was. A share that grows keeps the units
that it had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Variant(StrEnum):
    """Who answers in an experiment."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A challenger that answers a share of the units in a champion's place.

    Attributes:
        name: each experiment deals the units anew, so that no unit is always among the first to try.
        share: of the units that the challenger answers, from 0 to 1.
        salt: the operator's own text; it keeps callers from choosing a unit for its variant.
    """

    name: str
    share: float
    salt: str = ""

    def assign(self, unit: str | None) -> Variant:
        """Who answers this unit; the champion answers whoever names none.

        >>> [Experiment("late-flights/4", 0.5).assign(unit).value for unit in ("N123", "N124", "N125")]
        ['champion', 'challenger', 'challenger']
        """
        taken = unit is not None and bucket(self.salt, self.name, unit) < self.share
        return Variant.CHALLENGER if taken else Variant.CHAMPION


def experiment_of(model: str, challenger: int) -> str:
    """The name of the experiment on a challenger.

    >>> experiment_of("late-flights", 4)
    'late-flights/4'
    """
    return f"{model}/{challenger}"


def bucket(salt: str, experiment: str, unit: str) -> float:
    """A number from 0 up to 1 that looks random and never changes.

    >>> round(bucket("", "late-flights/4", "N123"), 6)
    0.647698
    """
    digest = hashlib.sha256(json.dumps([salt, experiment, unit]).encode()).digest()
    return float(int.from_bytes(digest[:6], "big")) / 2**48  # few enough bits to stay below 1


def unit_of(keys: Sequence[object]) -> str | None:
    """Entity keys as one text; none where a key is missing. A whole number is one, however it was written.

    >>> unit_of(["N123"]), unit_of([3.0]), unit_of(["EWR", 3]), unit_of([None])
    ('N123', '3', '["EWR",3]', None)
    """
    if not keys or None in keys:
        return None
    plain = [int(key) if isinstance(key, float) and key.is_integer() else key for key in keys]
    return str(plain[0]) if len(plain) == 1 else json.dumps(plain, separators=(",", ":"))
