"""What is watched of a column: a few weighted sums of its cells, each compared with a pool of rows without drift.

Columns of numbers are watched by Neyman's smooth test ("Smooth test for goodness of fit", 1937): the means of the first
four Legendre polynomials of a value's rank in the reference, which answer to place, spread, skewness and tails.
Categories, nulls and infinities are watched one by one. All arrays may have further axes in front (columns, years).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.special import betainc, ndtri, xlogy

from monitoring.bins import Floats
from monitoring.cells import Cells

ORDERS = 4
_ORDER_SHARES = (0.5, 0.25, 0.0625, 0.0625)  # place is where drift mostly shows; the rest is for nulls and infinities
_FEW = 200  # below so many rows in a cell, here and in the pool, the tail is that of the exact test
_LEAST = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """Weighted sums of cells.

    Attributes:
        weights: (..., contrasts, cells).
        single: (..., contrasts), whether a contrast counts the rows of one cell.
        shares: (..., contrasts), the part of a column's false-alarm rate that a contrast may use; they sum to 1.
    """

    weights: Floats
    single: NDArray[np.bool_]
    shares: Floats

    @classmethod
    def of(cls, cells: Cells) -> Contrasts:
        """The contrasts of one column."""
        size = len(cells.reference)
        if not cells.ordered:
            return cls(np.eye(size), np.ones(size, dtype=bool), np.full(size, 1 / size))
        counts = np.asarray(cells.reference[:-2], dtype=np.float64)
        weights = np.zeros((ORDERS + 2, size))
        weights[:ORDERS, :-2] = smooth(counts)
        weights[ORDERS:, -2:] = np.eye(2)
        single = np.arange(ORDERS + 2) >= ORDERS
        return cls(weights, single, np.array([*_ORDER_SHARES, *[(1 - sum(_ORDER_SHARES)) / 2] * 2]))

    @classmethod
    def stacked(cls, columns: Sequence[Contrasts]) -> Contrasts:
        """Those of several columns in one, (columns, contrasts, cells), filled up with contrasts that see nothing."""
        tall, wide = (max((c.weights.shape[axis] for c in columns), default=0) for axis in (0, 1))
        weights = np.zeros((len(columns), tall, wide))
        single, shares = np.zeros((len(columns), tall), dtype=bool), np.zeros((len(columns), tall))
        for place, column in enumerate(columns):
            rows, cells = column.weights.shape
            weights[place, :rows, :cells] = column.weights
            single[place, :rows], shares[place, :rows] = column.single, column.shares
        return cls(weights, single, shares)


def smooth(counts: Floats) -> Floats:
    """Legendre polynomials of the middle rank of each cell, (4, cells); 0 where the reference has no values."""
    total = counts.sum()
    if not total:
        return np.zeros((ORDERS, counts.size))
    ranks = (np.cumsum(counts) - counts / 2) / total
    scores = np.stack([legendre.legval(2 * ranks - 1, np.eye(ORDERS + 1)[order + 1]) for order in range(ORDERS)])
    return np.asarray(scores - (scores @ counts / total)[:, None])


def z_scores(contrasts: Contrasts, current: Floats, pool: Floats) -> Floats:
    """How many standard errors each contrast of a window lies from the pool, both sides' sampling error included.

    Args:
        contrasts: (..., contrasts, cells).
        current: rows of the window in each cell, (..., cells).
        pool: rows without drift, likewise.

    Returns:
        (..., contrasts); 0 where one side has no rows or nothing varies.
    """
    here, there = current.sum(-1, keepdims=True), pool.sum(-1, keepdims=True)
    sums, pooled = _sums(contrasts.weights, current), _sums(contrasts.weights, pool)
    squares = _sums(contrasts.weights**2, current + pool)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (sums + pooled) / (here + there)
        variance = np.maximum(squares / (here + there) - middle**2, 0.0) * (1 / here + 1 / there)
        scores = np.where(variance > 0, (sums / here - pooled / there) / np.sqrt(variance), 0.0)
    if contrasts.single.any():
        counted, before = (np.where(contrasts.single, found, 0.0) for found in (sums, pooled))
        scores = np.where(contrasts.single, _of_counts(counted, here, before, there), scores)
    return np.where((here > 0) & (there > 0), scores, 0.0)


def _sums(weights: Floats, counts: Floats) -> Floats:
    if weights.ndim == 2:
        return np.asarray(counts @ weights.T)
    return np.asarray(np.einsum("...kb,...b->...k", weights, counts))


def _of_counts(count: Floats, here: Floats, pooled: Floats, there: Floats) -> Floats:
    """The signed root of the likelihood ratio of two counts; where they are small, the exact test of two rates.

    Przyborowski and Wilenski, "Homogeneity of results in testing samples from Poisson series", 1940.
    """
    both = count + pooled
    with np.errstate(divide="ignore", invalid="ignore"):
        share = both / (here + there)
        ratio = _deviance(count, here, share) + _deviance(pooled, there, share)
        scores = np.sign(count / here - pooled / there) * np.sqrt(np.maximum(ratio, 0.0))
        part = here / (here + there)
        above, below = betainc(count, pooled + 1, part), betainc(pooled, count + 1, 1 - part)  # of a binomial
        exact = np.where(count > both * part, -_normal(above), _normal(below))
    return np.nan_to_num(np.where(both < _FEW, exact, scores))


def _normal(tail: Floats) -> Floats:
    """The normal quantile of a lower tail, never above 0."""
    return np.asarray(ndtri(np.clip(np.nan_to_num(tail, nan=0.5), _LEAST, 0.5)))


def _deviance(count: Floats, rows: Floats, share: Floats) -> Floats:
    rest = rows - count
    own = xlogy(count, count) + xlogy(rest, rest)
    return np.asarray(2 * (own - xlogy(count, rows * share) - xlogy(rest, rows * (1 - share))))
