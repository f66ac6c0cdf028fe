"""How many distinct values, and which are frequent, in a sketch of fixed size that merges exactly.

The values with the smallest hashes are kept, with their counts (Bar-Yossef et al., "Counting distinct elements in a
data stream", 2002). A value among the smallest of two windows is among the smallest of each, so its count is exact,
and the sketch of two windows together is that of one window made of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

KEPT = 256
_HASHES = 2.0**64

_LAST = np.uint64(31)
_UPPER = np.uint64(2**64 - 2**33)  # the bits that the last step of a hash does not change

_BLOCK = 1 << 15  # rows whose scratch space stays in the processor's cache

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Distinct:
    """The values with the smallest hashes.

    Attributes:
        kept: (hash, value, count) by ascending hash, at most 256; all values where there are fewer than that.
    """

    kept: tuple[tuple[int, float | str, int], ...] = ()

    def __add__(self, other: Distinct) -> Distinct:
        counts: dict[tuple[int, float | str], int] = {}
        for hashed, value, count in self.kept + other.kept:
            counts[hashed, value] = counts.get((hashed, value), 0) + count
        return Distinct(tuple((*key, count) for key, count in sorted(counts.items(), key=_by_hash))[:KEPT])

    @property
    def complete(self) -> bool:
        """Whether every value is among the kept ones."""
        return len(self.kept) < KEPT

    @cached_property
    def count(self) -> float:
        """Distinct values: exact where all are kept, otherwise an estimate with a standard error of 6 %."""
        return float(len(self.kept)) if self.complete else (KEPT - 1) / ((self.kept[-1][0] + 1) / _HASHES)

    def top(self, most: int) -> tuple[tuple[float | str, int], ...]:
        """The most frequent of the kept values with their counts; of all values where the sketch is complete."""
        ranked = sorted(self.kept, key=lambda kept: (-kept[2], str(kept[1])))
        return tuple((value, count) for _, value, count in ranked[:most])


def _by_hash(item: tuple[tuple[int, float | str], int]) -> tuple[int, str]:
    return item[0][0], str(item[0][1])


def distinct_numbers(ascending: Numbers) -> Distinct:
    """The sketch of finite numbers in ascending order."""
    values = _likely(ascending)
    if values.size < KEPT:
        values = ascending[np.concatenate([[True], ascending[1:] != ascending[:-1]])] if ascending.size else ascending
    values = values + 0.0
    hashes = _mixed(values.view(np.uint64))
    if values.size > KEPT:  # counting takes longer than choosing, and hashes of numbers are never equal
        chosen = np.sort(np.argpartition(hashes, KEPT)[:KEPT])
        values, hashes = values[chosen], hashes[chosen]
    counts = ascending.searchsorted(values, side="right") - ascending.searchsorted(values)
    return _smallest(hashes, values, counts)


def _likely(ascending: Numbers) -> Numbers:
    """The distinct values with hashes below a border that leaves four times as many as needed, if all are distinct."""
    border = np.uint64(min(4 * KEPT / max(ascending.size, 1), 0.5) * _HASHES) & _UPPER
    starts = range(0, ascending.size, _BLOCK)
    blocks = ((ascending[start : start + _BLOCK] + 0.0) for start in starts)
    chosen = [block[_nearly_mixed(block.view(np.uint64)) < border] for block in blocks]
    return np.unique(np.concatenate(chosen)) if chosen else ascending


def distinct_texts(names: NDArray[Any], counts: NDArray[np.int64]) -> Distinct:
    """The sketch of texts that are counted already."""
    if not len(names):
        return Distinct()
    return _smallest(pd.util.hash_array(names.astype(object), categorize=False), names, counts)


def _smallest(hashes: Hashes, values: NDArray[Any], counts: NDArray[np.int64]) -> Distinct:
    chosen = np.argsort(hashes, kind="stable")[: 2 * KEPT]
    kept = zip(hashes[chosen].tolist(), values[chosen].tolist(), counts[chosen].tolist(), strict=True)
    return Distinct(tuple(sorted(kept, key=lambda item: (item[0], str(item[1])))[:KEPT]))


def _mixed(bits: Hashes) -> Hashes:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection, so numbers never collide."""
    mixed = _nearly_mixed(bits)
    return mixed ^ (mixed >> _LAST)


def _nearly_mixed(bits: Hashes) -> Hashes:
    """All but the last step, which leaves the upper bits as they are."""
    mixed = bits ^ (bits >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    return mixed
