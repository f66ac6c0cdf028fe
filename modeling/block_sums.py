"""What one block contributes to a metric: resampling whole blocks then costs one matrix product.

Every metric is a function of sums over blocks: losses and rows for brier, log_loss, accuracy and mae (rmse:
the root), squares for r2, and for auc the pairs of a yes in one block and a no in another that are in the
right order. So a draw of blocks with repetition needs the multiplicity of each block, and no rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeling.metrics import losses
from modeling.tasks import Floats

Draws = NDArray[np.float64]
"""Multiplicity of each block in each draw: draws x blocks."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Labels, predictions of one or two models, and blocks, in an order that depends on values only.

    Attributes:
        block: 0 .. number of blocks - 1, ascending.
    """

    y: Floats
    predictions: tuple[Floats, ...]
    block: NDArray[np.int64]
    blocks: int


MOST_BLOCKS = 500
"""Above this, neighbouring blocks are merged: still independent, and an interval gains nothing from more."""


def in_canonical_order(y: Floats, predictions: tuple[Floats, ...], blocks: NDArray[np.int64]) -> Rows:
    """Sort rows by block and value: a float sum depends on its order, and evidence must not."""
    names, numbers = np.unique(blocks, return_inverse=True)
    if len(names) > MOST_BLOCKS:
        names, numbers = names[:MOST_BLOCKS], numbers * MOST_BLOCKS // len(names)
    order = np.lexsort((*reversed(predictions), y, numbers))
    return Rows(y[order], tuple(p[order] for p in predictions), numbers[order].astype(np.int64), len(names))


def evaluate(metric: str, rows: Rows, which: int) -> Callable[[Draws], Floats]:
    """A function from draws to the metric of each draw; NaN where a draw leaves it undefined."""
    y, p = rows.y, rows.predictions[which]
    if metric == "auc":
        return _auc(y, p, rows)
    if metric == "r2":
        return _r2(y, p, rows)
    return _mean(metric, losses(metric, y, p), rows)


def sums(values: Floats, rows: Rows) -> Floats:
    """Sum of the values of each block."""
    total: Floats = np.bincount(rows.block, weights=values, minlength=rows.blocks).astype(np.float64)
    return total


def combined(draws: Draws, parts: Floats) -> Floats:
    """Sum of the drawn blocks' parts, in one order: a threaded matrix product may add in another one each time."""
    total: Floats = np.einsum("db,b...->d...", draws, parts)
    return total


def _mean(metric: str, loss: Floats, rows: Rows) -> Callable[[Draws], Floats]:
    total, count = sums(loss, rows), sums(np.ones_like(loss), rows)

    def of(draws: Draws) -> Floats:
        mean = combined(draws, total) / combined(draws, count)
        if metric == "rmse":
            return np.sqrt(mean)
        return 1 - mean if metric == "accuracy" else mean

    return of


def _r2(y: Floats, p: Floats, rows: Rows) -> Callable[[Draws], Floats]:
    # Centred first: the textbook sum of squares cancels badly where labels are large and close together.
    centred = y - y.mean()
    parts = [sums(v, rows) for v in ((y - p) ** 2, centred**2, centred, np.ones_like(y))]

    def of(draws: Draws) -> Floats:
        error, squares, total, count = (combined(draws, part) for part in parts)
        spread = squares - total**2 / count
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 0, 1 - error / spread, np.nan)

    return of


def _auc(y: Floats, p: Floats, rows: Rows) -> Callable[[Draws], Floats]:
    wins = _pairs_won(y, p, rows)
    yes, no = sums((y == 1).astype(np.float64), rows), sums((y != 1).astype(np.float64), rows)

    def of(draws: Draws) -> Floats:
        pairs = (draws @ yes) * (draws @ no)  # whole and half numbers, so a matrix product is exact in any order
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(pairs > 0, np.einsum("db,db->d", draws @ wins, draws) / pairs, np.nan)

    return of


def _pairs_won(y: Floats, p: Floats, rows: Rows) -> Floats:
    """Blocks x blocks: pairs of a yes of one and a no of another with the yes ranked higher, ties half."""
    levels, rank = np.unique(p, return_inverse=True)
    yes = y == 1
    wins = np.empty((rows.blocks, rows.blocks))
    for block in range(rows.blocks):
        counts = np.bincount(rank[~yes & (rows.block == block)], minlength=len(levels))
        below = np.cumsum(counts) - counts / 2
        wins[:, block] = np.bincount(rows.block[yes], weights=below[rank[yes]], minlength=rows.blocks)
    return wins
