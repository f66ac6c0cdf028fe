"""Cells: the few counts of a window that evidence keeps, and that the decision rule reads.

A column of numbers has about 20 cells of equal shares of the reference, made of whole bins, then one for infinities and
one for rows without a number; a column of categories has the most frequent ones, one for all
others and one for nulls. All rows of a window are in one of its cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.profile import ColumnProfile, NumberProfile

VALUE_CELLS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """How the bins of one column are put together.

    Attributes:
        of_bin: the cell of each bin, ascending for numbers.
        ordered: whether the cells of values have an order, as those of numbers have.
        reference: rows of the reference in each cell.
    """

    of_bin: NDArray[np.int64]
    ordered: bool
    reference: tuple[int, ...]

    @classmethod
    def of(cls, reference: ColumnProfile) -> Cells:
        """Put bins together by their shares of the reference."""
        ordered = isinstance(reference, NumberProfile)
        grouping = _by_rank(reference.counts) if ordered else _by_size(reference.counts)
        return cls(grouping, ordered, _counted(grouping, reference.counts, reference.others))

    def counts(self, bins: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
        """Rows of a window in each cell, given those in each bin, and those without a value."""
        return _counted(self.of_bin, bins, others)


def _counted(grouping: NDArray[np.int64], bins: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
    return (*np.bincount(grouping, weights=bins).astype(np.int64).tolist(), *others)


def _by_rank(counts: tuple[int, ...]) -> NDArray[np.int64]:
    """Bins whose middles lie in the same twentieth of the reference; the bins outside of its range stay outermost."""
    rows = np.asarray(counts, dtype=np.float64)
    middles = (np.cumsum(rows) - rows / 2) / max(rows.sum(), 1.0)
    twentieths = np.minimum(middles * VALUE_CELLS, VALUE_CELLS - 1).astype(np.int64)
    return np.unique(twentieths, return_inverse=True)[1].astype(np.int64)


def _by_size(counts: tuple[int, ...]) -> NDArray[np.int64]:
    """A cell for each of the most frequent categories, and the last one for all others."""
    known = np.asarray(counts[:-1], dtype=np.int64)
    kept = np.sort(np.argsort(-known, kind="stable")[: VALUE_CELLS - 1])
    grouping = np.full(len(counts), len(kept), dtype=np.int64)
    grouping[kept] = np.arange(len(kept))
    return grouping
