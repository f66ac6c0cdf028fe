"""Fixed bins, made once from the reference, in which every later window is counted.

Counts in the same bins add up, so profiles of windows can be merged and compared over years. The bins of a column of
numbers hold equal shares of the reference, with one bin on each side for what it never held; those of
categories are its most frequent categories, and one for all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUMBER_BINS = 200
TEXT_BINS = 100

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NumberBins:
    """Bins `(edge, next edge]`, and one below the first edge and one above the last.

    Attributes:
        edges: ascending; the first lies just below the least value of the reference (where there is a number below it),
            the last is its greatest.
        centre: median of the reference, from which moments are taken.
    """

    edges: tuple[float, ...]
    centre: float

    @classmethod
    def of(cls, ascending: Floats) -> NumberBins:
        """At most 200 bins of equal shares of finite ascending values; without values there is one bin."""
        if not ascending.size:
            return cls((), 0.0)
        ranks = -(-np.arange(1, NUMBER_BINS + 1) * ascending.size // NUMBER_BINS) - 1
        below = max(math.nextafter(ascending[0], -math.inf), -np.finfo(np.float64).max)
        edges = np.unique([below, *ascending[ranks]]) + 0.0  # no zero has a sign
        return cls(tuple(edges.tolist()), float(ascending[ascending.size // 2]) + 0.0)

    def counts(self, ascending: Floats) -> tuple[int, ...]:
        """How many of the finite ascending values lie in each bin."""
        inner = ascending.searchsorted(np.array(self.edges, dtype=np.float64), side="right")
        up_to = np.concatenate([[0], inner, [ascending.size]])
        return tuple((up_to[1:] - up_to[:-1]).tolist())


@dataclass(frozen=True, slots=True)
class TextBins:
    """A bin per category, in alphabetical order, and one for all others.

    Attributes:
        categories: at most 100, the most frequent of the reference.
    """

    categories: tuple[str, ...]

    @classmethod
    def of(cls, counted: Mapping[str, int]) -> TextBins:
        """The most frequent categories, given how often each occurs."""
        ranked = sorted(counted, key=lambda name: (-counted[name], name))
        return cls(tuple(sorted(ranked[:TEXT_BINS])))

    def counts(self, counted: Mapping[str, int]) -> tuple[int, ...]:
        """How many values lie in each bin."""
        known = [counted.get(name, 0) for name in self.categories]
        return (*known, sum(counted.values()) - sum(known))


Bins = NumberBins | TextBins


@dataclass(frozen=True, slots=True)
class Layout:
    """The bins of every column of a reference, in column order."""

    columns: tuple[tuple[str, Bins], ...]

    def __iter__(self) -> Iterator[tuple[str, Bins]]:
        return iter(self.columns)
