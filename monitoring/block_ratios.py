"""A mean over rows, and the difference of two, with limits from independent blocks.

Rows of one block (a day, an entity) share their luck, so what varies is the sum over a block. A mean is a ratio of
two block sums, and its error is that of the linear part: Σ (numerator - mean · denominator) / Σ denominator, block by
block (Cochran 1977, chapter 6). Few blocks widen it through Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lifecycle.estimates import Estimate

MIN_BLOCKS = 7
LEVEL = 0.95

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """One mean or more, and what each block adds to its error.

    Attributes:
        value: of each part; NaN where no row counts.
        errors: parts x blocks; the squares add up to the variance.
        rows: rows that count, of each part.
        blocks: blocks that hold such a row.
    """

    value: Floats
    errors: Floats
    rows: Floats
    blocks: Integers

    def minus(self, other: Ratio) -> Ratio:
        """The difference of two means over the same blocks; what a block does to both cancels out."""
        blocks = np.minimum(self.blocks, other.blocks)
        return Ratio(self.value - other.value, self.errors - other.errors, np.minimum(self.rows, other.rows), blocks)

    @property
    def deviation(self) -> Floats:
        """Standard deviation of each value; NaN below seven blocks."""
        enough = self.blocks >= MIN_BLOCKS
        spread = np.sqrt((self.errors**2).sum(axis=-1) * self.blocks / np.maximum(self.blocks - 1, 1))
        return np.where(enough, spread, np.nan)

    def estimate(self, place: int = 0, level: float = LEVEL) -> Estimate | None:
        """Value and limits of one part; none where it has no value or fewer than seven blocks."""
        value, deviation = float(self.value[place]), float(self.deviation[place])
        if not (np.isfinite(value) and np.isfinite(deviation)):
            return None
        blocks = int(self.blocks[place])
        reach = reach_of(blocks, level) * deviation
        return Estimate(value, value - reach, value + reach, int(self.rows[place]), blocks, level)


def ratio(numerator: Floats, denominator: Floats) -> Ratio:
    """Means from block sums, parts x blocks each; the denominator counts rows."""
    top, bottom = np.atleast_2d(numerator), np.atleast_2d(denominator)
    total = bottom.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = top.sum(axis=-1) / total
        errors = (top - value[:, None] * bottom) / total[:, None]
    return Ratio(value, errors, total, (bottom > 0).sum(axis=-1))


def mean_of(values: Floats, chosen: NDArray[np.bool_], blocks: Integers) -> Ratio:
    """The mean of the chosen rows.

    Args:
        values: one a row.
        chosen: which rows count.
        blocks: block of each row, any whole numbers.
    """
    places = numbered(blocks)
    count = int(places.max()) + 1 if places.size else 1
    weights = chosen.astype(np.float64)
    sums = [np.bincount(places, part, count).astype(np.float64) for part in (values * weights, weights)]
    return ratio(*sums)


def numbered(blocks: Integers) -> Integers:
    """The same blocks as 0, 1, 2 and so on."""
    return np.unique(blocks, return_inverse=True)[1].astype(np.int64)


def reach_of(blocks: int, level: float = LEVEL) -> float:
    """How many standard deviations the limits lie from the value."""
    from scipy.special import stdtrit

    return float(stdtrit(max(blocks - 1, 1), (1 + level) / 2))


def larger_by_chance(deviations: Floats, blocks: Integers) -> Floats:
    """Chance of a value so many standard deviations above zero, were it zero."""
    from scipy.special import stdtr

    chance: Floats = stdtr(np.maximum(blocks - 1, 1), -deviations)
    return chance


def discoveries(p: Floats, rate: float) -> NDArray[np.bool_]:
    """Which of many findings count, at this share of false ones among them (Benjamini and Hochberg 1995).

    A p that is unknown (NaN) is no finding, and does not count among the many.
    """
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    below = np.flatnonzero(p[order] <= rate * np.arange(1, order.size + 1) / max(order.size, 1))
    found = np.zeros(p.size, dtype=np.bool_)
    if below.size:
        found[order[: below[-1] + 1]] = True
    return found
