"""What a read gives back: values as offline, and for each feature whether it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """Why a feature has its value.

    FOUND: the entity has a row that counts. MISSING: the store knows nothing of the entity. STALE: it knows
    rows, but none that counts now: all older than the ttl or the window, or not yet happened.
    """

    FOUND = 0
    MISSING = 1
    STALE = 2


Statuses = Mapping[int, Status | tuple[Status, ...]]
"""By the place of a question, for all features of a part or for each; what is not there is FOUND."""


@dataclass(slots=True)  # not frozen: every read makes one, and that would take four times as long
class OnlineFeatures:
    """The features of n questions.

    Attributes:
        names: of the features.
        rows: n tuples of values in the order of `names`.
        odd: for each feature that is not found, its status, by the place of the question; empty when all are.
    """

    names: tuple[str, ...]
    rows: list[tuple[object, ...]]
    odd: Mapping[int, Mapping[str, Status]]

    def status(self, place: int = 0) -> dict[str, Status]:
        """The status of every feature of one question."""
        odd = self.odd.get(place, {})
        return {name: odd.get(name, Status.FOUND) for name in self.names}

    def values(self, place: int = 0) -> dict[str, object]:
        """The value of every feature of one question."""
        return dict(zip(self.names, self.rows[place], strict=True))
