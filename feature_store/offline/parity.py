"""Whether features were served as they are computed: cell by cell, bit by bit, and what the differences amount to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One cell that was served otherwise than it is computed."""

    question: Mapping[str, Any]
    served: Any
    offline: Any


@dataclass(frozen=True, slots=True)
class FeatureParity:
    """How one feature compares over all rows looked at so far.

    Attributes:
        checked: cells that were compared.
        differing: of those, cells that differ: the skew.
        late: cells that differ, and agree once rows that came in after the answer are left out.
        unchecked: cells that could not be computed again, since what they need was not logged.
        largest: the largest absolute difference of two finite numbers, null where there is none.
        mean: of the offline values that are finite numbers, `count` of them.
        squares: the sum of their squared distances from the mean.
        examples: the first differing cells.
    """

    feature: str
    checked: int = 0
    differing: int = 0
    late: int = 0
    unchecked: int = 0
    largest: float | None = None
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    examples: tuple[Difference, ...] = field(default=())

    @property
    def share(self) -> float:
        """Share of the compared cells that differ."""
        return self.differing / self.checked if self.checked else 0.0

    @property
    def deviations(self) -> float | None:
        """The largest difference in standard deviations of the offline values; null where either is unknown or 0."""
        spread = math.sqrt(self.squares / self.count) if self.count else 0.0
        return self.largest / spread if self.largest is not None and spread > 0 else None

    def merged(self, other: FeatureParity) -> FeatureParity:
        """The same feature over both sets of rows (moments combined as by Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        largest = [one for one in (self.largest, other.largest) if one is not None]
        return FeatureParity(
            feature=self.feature,
            checked=self.checked + other.checked,
            differing=self.differing + other.differing,
            late=self.late + other.late,
            unchecked=self.unchecked + other.unchecked,
            largest=max(largest, default=None),
            count=count,
            mean=self.mean + (apart * other.count / count if count else 0.0),
            squares=self.squares + other.squares + (apart**2 * self.count * other.count / count if count else 0.0),
            examples=(*self.examples, *other.examples)[:_EXAMPLES],
        )


def compared(served: pl.Series, offline: pl.Series, late: Mask, questions: pl.DataFrame) -> FeatureParity:
    """Compare one feature on some rows.

    Args:
        served: n values as they were answered with; its name is the feature's.
        offline: n values as computed now, for the same questions.
        late: for each of n rows, whether a difference comes from rows that arrived after the answer.
        questions: n rows that tell which question it was.
    """
    other = differs(served, offline)
    skewed = other & ~late
    examples = tuple(
        Difference(questions.row(place, named=True), served[place], offline[place])
        for place in map(int, np.flatnonzero(skewed)[:_EXAMPLES])
    )
    count, mean, squares = _spread(offline)
    return FeatureParity(
        feature=served.name,
        checked=len(served),
        differing=int(skewed.sum()),
        late=int((other & late).sum()),
        largest=_largest(served.filter(pl.Series(skewed)), offline.filter(pl.Series(skewed))),
        count=count,
        mean=mean,
        squares=squares,
        examples=examples,
    )


def differs(served: pl.Series, offline: pl.Series) -> Mask:
    """Where two columns differ bit for bit: null equals null and NaN equals NaN; -0.0 is not 0.0.

    Numbers of different types are compared as doubles, which is what a model takes; text never equals a number.
    """
    if served.dtype != offline.dtype:
        if not (_is_number(served) and _is_number(offline)):
            return ~(served.is_null() & offline.is_null()).to_numpy()
        served, offline = served.cast(pl.Float64), offline.cast(pl.Float64)
    gone = served.is_null().to_numpy(), offline.is_null().to_numpy()
    other = (
        _bits(served) != _bits(offline) if served.dtype.is_float() else (served != offline).fill_null(False).to_numpy()
    )
    found: Mask = np.where(gone[0] | gone[1], gone[0] != gone[1], other)
    return found


def ranked(features: Iterable[FeatureParity]) -> list[FeatureParity]:
    """The features with most differing cells first; of as many, those with the larger difference for their spread."""
    return sorted(features, key=lambda one: (-one.share, -(one.deviations or 0.0), one.feature))


def merged(pieces: Iterable[Sequence[FeatureParity]]) -> list[FeatureParity]:
    """Every feature over all pieces, in the order of first mention."""
    found: dict[str, FeatureParity] = {}
    for piece in pieces:
        for one in piece:
            found[one.feature] = found[one.feature].merged(one) if one.feature in found else one
    return list(found.values())


def _bits(values: pl.Series) -> NDArray[np.uint64]:
    numbers = values.fill_null(0.0).cast(pl.Float64).to_numpy()
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)


def _is_number(values: pl.Series) -> bool:
    return values.dtype.is_numeric() or values.dtype == pl.Boolean


def _largest(served: pl.Series, offline: pl.Series) -> float | None:
    if not (_is_number(served) and _is_number(offline)):
        return None
    apart = (served.cast(pl.Float64) - offline.cast(pl.Float64)).abs()
    largest = apart.filter(apart.is_finite()).max()
    return float(largest) if isinstance(largest, float) else None


def _spread(offline: pl.Series) -> tuple[int, float, float]:
    """How many finite numbers, their mean, and the sum of squared distances from it."""
    if not _is_number(offline):
        return 0, 0.0, 0.0
    numbers = offline.cast(pl.Float64)
    values = numbers.filter(numbers.is_finite().fill_null(False)).to_numpy()
    if not len(values):
        return 0, 0.0, 0.0
    mean = float(values.mean())
    return len(values), mean, float(((values - mean) ** 2).sum())
