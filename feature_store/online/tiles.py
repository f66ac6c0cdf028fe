"""Whole tiles of rows summed up, without loss, for all entities at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.exact import exact_parts
from feature_store.timeline import Ints

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
    counts = np.where(sizes == 0, 0, 1 + (rest != 0))
    slow = {int(one): exact_parts(values[tiles.low[one] : tiles.high[one]].tolist()) for one in np.flatnonzero(unsure)}
    for one, parts in slow.items():
        counts[one] = len(parts)
    ends = np.cumsum(counts)
    found = np.zeros(int(ends[-1]) if len(ends) else 0)
    begins = ends - counts
    sure = ~unsure & (counts > 0)
    found[begins[sure]] = total[sure]
    both = sure & (counts == 2)
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
