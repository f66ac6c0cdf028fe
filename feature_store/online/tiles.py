"""Tiles of rows summed up from each on to the newest row, without loss, for all entities at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.point_in_time.exact import exact_parts
from feature_store.point_in_time.timeline import Ints

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WHOLE = 2**63


@dataclass(frozen=True, slots=True)
class Ranges:
    """n ranges `[low, high)` of positions, one behind the other; some may be empty."""

    low: Ints
    high: Ints

    @property
    def sizes(self) -> Ints:
        return self.high - self.low


def float_parts(values: Floats, tiles: Ranges) -> tuple[Floats, Ints]:
    """Doubles whose real sum is that of each tile, and how many there are of each tile.

    Nearly always one or two do: the sum and what rounding it lost, summed alike (the two-sum of Knuth, The
    Art of Computer Programming, 4.2.2). Where that loses anything too, the tile's parts are made one by one.
    """
    sizes = tiles.sizes
    total, rest = np.zeros(len(sizes)), np.zeros(len(sizes))
    unsure = np.zeros(len(sizes), np.bool_)
    longest_first = np.argsort(-sizes, kind="stable")
    ordered = -sizes[longest_first]
    with np.errstate(invalid="ignore", over="ignore"):
        for row in range(int(sizes.max(initial=0))):
            which = longest_first[: np.searchsorted(ordered, -row, side="left")]
            total[which], lost = _two_sum(total[which], values[tiles.low[which] + row])
            rest[which], lost = _two_sum(rest[which], lost)
            unsure[which] |= lost != 0
    unsure |= ~np.isfinite(total)
    slow = {int(one): exact_parts(values[tiles.low[one] : tiles.high[one]].tolist()) for one in np.flatnonzero(unsure)}
    return _side_by_side(total, rest, slow)


def accumulated_parts(parts: Floats, sizes: Ints, counts: Ints) -> tuple[Floats, Ints]:
    """The parts of each tile's sum together with that of all later tiles of its entity.

    Args:
        parts: of the tiles, as `float_parts` returns them.
        sizes: how many each tile has.
        counts: how many tiles each entity has.
    """
    ends = np.cumsum(sizes)
    begins = ends - sizes
    padded = np.append(parts, [0.0, 0.0])
    total, rest = np.where(sizes > 0, padded[begins], 0.0), np.where(sizes > 1, padded[begins + 1], 0.0)
    unsure = (sizes > 2) | ~np.isfinite(total)
    with np.errstate(invalid="ignore", over="ignore"):
        for which in _from_the_last(counts):
            total[which], lost = _two_sum(total[which], total[which + 1])
            low, first = _two_sum(rest[which], rest[which + 1])
            rest[which], second = _two_sum(low, lost)
            unsure[which] |= unsure[which + 1] | (first != 0) | (second != 0)
    unsure |= ~np.isfinite(total)
    last = np.zeros(len(sizes), np.bool_)
    last[np.cumsum(counts)[counts > 0] - 1] = True
    slow: dict[int, tuple[float, ...]] = {}
    for one in map(int, np.flatnonzero(unsure)[::-1]):
        later = () if last[one] else slow.get(one + 1, (total[one + 1], rest[one + 1]))
        slow[one] = exact_parts([*parts[begins[one] : ends[one]].tolist(), *map(float, later)])
    return _side_by_side(total, rest, slow)


def accumulated(operation: np.ufunc, numbers: NDArray[Any], counts: Ints) -> NDArray[Any]:
    """The sum, least or most of each tile's number and those of all later tiles of its entity."""
    found = numbers.copy()
    for which in _from_the_last(counts):
        found[which] = operation(found[which], found[which + 1])
    return found


def _from_the_last(counts: Ints) -> Iterator[Ints]:
    """The places of the tiles with 1, 2, ... later ones of their entity."""
    ends = np.cumsum(counts)
    longest_first = np.argsort(-counts, kind="stable")
    ordered = -counts[longest_first]
    for later in range(1, int(counts.max(initial=0))):
        yield ends[longest_first[: np.searchsorted(ordered, -later, side="left")]] - 1 - later


def _side_by_side(total: Floats, rest: Floats, slow: Mapping[int, tuple[float, ...]]) -> tuple[Floats, Ints]:
    """Sums of two parts each, but for the slow ones, as one array, and how many parts each has."""
    counts = np.where(rest != 0, 2, (total != 0).astype(np.int64))
    for one, parts in slow.items():
        counts[one] = len(parts)
    ends = np.cumsum(counts)
    begins = ends - counts
    found = np.zeros(int(ends[-1]) if len(ends) else 0)
    some = counts > 0
    found[begins[some]] = total[some]
    both = counts == 2
    found[begins[both] + 1] = rest[both]
    for one, parts in slow.items():
        found[begins[one] : ends[one]] = parts
    return found, counts


def _two_sum(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The rounded sum, and exactly what rounding it lost."""
    total = left + right
    part = total - left
    return total, (left - (total - part)) + (right - part)


def fits(values: Ints) -> bool:
    """Whether no sum of some of the numbers is beyond 64 bits."""
    most = max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
    return most * len(values) < _WHOLE


def reduced(operation: np.ufunc, values: NDArray[Any], tiles: Ranges) -> NDArray[Any]:
    """The sum, least or most of each tile; 0 for an empty one."""
    found = np.zeros(len(tiles.low), values.dtype)
    full = np.flatnonzero(tiles.sizes > 0)
    if len(full):
        edges = np.stack([tiles.low[full], tiles.high[full]], axis=1).ravel()
        found[full] = operation.reduceat(np.append(values, values[:1]), edges)[::2]
    return found
