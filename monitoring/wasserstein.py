"""How far two samples of numbers lie apart: their first Wasserstein distance, exactly, from all values.

It is the area between their distribution functions, and equals SciPy's. Where one sample lies above the other along a
whole run of ranks, the area there is the difference of the run's two sums. So values are compared one by one only in
the runs in which the samples cross: a tenth of them, where a million rows have not drifted. A long reference is added
up once, and a window that is as long reads no more of it than those runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.bins import Floats

_RUN = 64  # values
_RUNS = 1 << 10  # runs of a block, which is read several times and stays in the processor's cache meanwhile
_BLOCK = 1 << 13  # values whose differences stay in the cache, and that BLAS adds in one thread
_MANY = 1 << 18  # values of a sample that the cache does not hold
_FAR = 16  # times the width of the middle half: that far from zero, sums would lose the digits that differ

Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A long ascending sample in runs of 64 neighbours; the values left over at its end are in none.

    Attributes:
        values: a row for each run.
        least: the first value of each run.
        greatest: the last value of each run.
        centre: what is subtracted before adding.
        sums: the sum of each run.
    """

    values: Floats
    least: Floats
    greatest: Floats
    centre: float
    sums: Floats

    @classmethod
    def of(cls, ascending: Floats) -> Runs | None:
        """The runs of a sample; none of one that is read as fast as its runs are."""
        if ascending.size < _MANY:
            return None
        values, centre = _in_runs(ascending), _centre(ascending)
        return cls(values, values[:, 0].copy(), values[:, -1].copy(), centre, _sums(values, centre))

    def area(self, others: Floats) -> float:
        """Sum of the differences to as many runs of another sample."""
        return sum(self._area(others, slice(start, start + _RUNS)) for start in range(0, len(others), _RUNS))

    def _area(self, others: Floats, block: slice) -> float:
        rows, values, least, greatest = others[block], self.values[block], self.least[block], self.greatest[block]
        areas = np.abs(_sums(rows, self.centre) - self.sums[block])
        crossing = _crossing(areas, (rows[:, 0], rows[:, -1]), (least, greatest))
        if 2 * crossing.size < len(rows):
            rows, values = rows.take(crossing, axis=0), values.take(crossing, axis=0)
        else:
            crossing = np.arange(len(rows))
        apart = rows - values
        areas[crossing] = _sums(np.abs(apart, out=apart))
        return float(areas.sum())


def wasserstein(reference: Floats, current: Floats, runs: Runs | None = None) -> float:
    """First Wasserstein distance of two samples, both ascending and neither empty.

    Args:
        reference: finite values.
        current: finite values.
        runs: those of the reference; without them all of it is read.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if reference.size != current.size:
            return _of_unequal(*sorted((reference, current), key=len))
        done = runs.values.size if runs else 0
        area = runs.area(_in_runs(current)) if runs else 0.0
        return (area + _area(reference[done:], current[done:])) / current.size


def _area(first: Floats, second: Floats) -> float:
    """Sum of the differences, block by block, so that only the samples themselves come from main memory."""
    from scipy.linalg.blas import dasum

    scratch, areas = np.empty(min(_BLOCK, first.size)), []
    for start in range(0, first.size, _BLOCK):
        block = first[start : start + _BLOCK]
        areas.append(dasum(np.subtract(block, second[start : start + _BLOCK], out=scratch[: block.size])))
    return float(np.sum(areas))


def _of_unequal(short: Floats, long: Floats) -> float:
    """The distance from runs that are whole on the short side; a run's last long value may be shared with the next."""
    width = max(_RUN * short.size // long.size, 1)
    borders = np.append(np.arange(0, short.size, width), short.size)
    ends, shared = _long_ends(borders, short, long)
    firsts, lasts, before = borders[:-1], borders[1:] - 1, np.maximum(ends[:-1] - 1, 0)
    centre = _centre(short)
    at_ends = shared * (long[ends - 1] - centre)
    long_sums = np.add.reduceat(long - centre if centre else long, ends[:-1]) - np.diff(at_ends)
    short_sums = np.add.reduceat(short - centre if centre else short, firsts)
    areas = np.abs(long_sums - short_sums * (long.size / short.size))
    crossing = _crossing(areas, (long[before], long[ends[1:] - 1]), (short[firsts], short[lasts]))
    areas[crossing] = 0.0
    ranks = _ranks(borders[crossing], borders[crossing + 1])
    return (float(areas.sum()) + _area_beside(ranks, short, long)) / long.size


def _area_beside(ranks: Ranks, short: Floats, long: Floats) -> float:
    """Sum of the differences between these short values and the long ones beside them."""
    (starts, before), (ends, after) = (_long_ends(borders, short, long) for borders in (ranks, ranks + 1))
    values = short[ranks]
    apart = np.abs(long[_ranks(starts, ends)] - np.repeat(values, ends - starts)).sum()
    first, last = (np.abs(long[there - 1] - values) for there in (starts, ends))
    return float(apart + (first * before).sum() - (last * after).sum())


def _long_ends(borders: Ranks, short: Floats, long: Floats) -> tuple[Ranks, Floats]:
    """How many long values begin before a border between short ones, and how much of the last lies beyond it."""
    ends = -(-borders * long.size // short.size)
    return ends, (ends * short.size - borders * long.size) / short.size


def _ranks(starts: Ranks, ends: Ranks) -> Ranks:
    """All whole numbers of several ranges."""
    sizes = ends - starts
    ranks: Ranks = np.repeat(ends - np.cumsum(sizes), sizes) + np.arange(sizes.sum())
    return ranks


def _crossing(areas: Floats, some: tuple[Floats, Floats], others: tuple[Floats, Floats]) -> Ranks:
    """The runs whose area is not known from sums: neither side lies above the other, or a sum has left the doubles."""
    apart = (some[0] >= others[1]) | (some[1] <= others[0])
    return np.flatnonzero(~(apart & np.isfinite(areas)))


def _in_runs(ascending: Floats) -> Floats:
    return ascending[: ascending.size // _RUN * _RUN].reshape(-1, _RUN)


def _centre(ascending: Floats) -> float:
    """Zero, which costs nothing to subtract, or the median where it lies far from zero."""
    low, median, high = ascending[ascending.size * np.array([1, 2, 3]) // 4].tolist()
    return median if abs(median) > _FAR * (high - low) else 0.0


def _sums(runs: Floats, centre: float = 0.0) -> Floats:
    sums: Floats = np.einsum("ij->i", runs - centre if centre else runs)
    return sums
