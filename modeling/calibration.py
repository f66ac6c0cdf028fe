"""Whether predicted probabilities are true as frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lifecycle.evidence import Estimate
from modeling.block_sums import combined
from modeling.evaluation import Resampling, estimate, multiplicities, rows_of
from modeling.metrics import checked
from modeling.tasks import Floats

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One bin of predicted probability, [low, high): how often it was said, and how often it came true.

    Attributes:
        predicted: mean probability in the bin.
        observed: share of yes in the bin.
    """

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


def reliability(y: ArrayLike, p: ArrayLike, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The bins of equal width that hold a row, from low to high."""
    labels, answers = checked("brier", y, p)
    counts, said, came = _bin_sums(labels, answers, np.zeros(labels.size, dtype=np.int64), bins)
    return tuple(
        ReliabilityBin(
            k / bins,
            (k + 1) / bins,
            int(counts[0, k]),
            float(said[0, k] / counts[0, k]),
            float(came[0, k] / counts[0, k]),
        )
        for k in np.flatnonzero(counts[0])
    )


def expected_calibration_error(y: ArrayLike, p: ArrayLike, *, bins: int = BINS) -> float:
    """Mean distance of predicted and observed share over bins of equal width, weighted by rows."""
    table = reliability(y, p, bins=bins)
    rows = sum(one.rows for one in table)
    return sum(one.rows * abs(one.predicted - one.observed) for one in table) / rows if rows else 0.0


def calibration_difference(
    y: ArrayLike, predictions: tuple[ArrayLike, ArrayLike], blocks: ArrayLike, resampling: Resampling
) -> Estimate:
    """Calibration error of the first model minus that of the second on the same rows, blocks resampled.

    Raises:
        TooFewBlocksError: fewer than seven blocks.
    """
    rows = rows_of("brier", y, predictions, blocks)
    draws = multiplicities(rows.blocks, resampling)
    whole = np.ones((1, rows.blocks))
    first, second = (_bin_sums(rows.y, p, rows.block, BINS) for p in rows.predictions)
    drawn = _error(draws, first) - _error(draws, second)
    difference = float((_error(whole, first) - _error(whole, second))[0])
    return estimate("calibration error", difference, drawn, rows, resampling)


def _bin_sums(y: Floats, p: Floats, block: NDArray[np.int64], bins: int) -> tuple[Floats, Floats, Floats]:
    """Rows, sum of probabilities and sum of labels: blocks x bins each."""
    blocks = int(block.max()) + 1 if block.size else 1
    place = block * bins + np.minimum((p * bins).astype(np.int64), bins - 1)
    counts, said, came = (
        np.bincount(place, weights=weights, minlength=blocks * bins).reshape(blocks, bins).astype(np.float64)
        for weights in (np.ones_like(p), p, y)
    )
    return counts, said, came


def _error(draws: Floats, sums: tuple[Floats, Floats, Floats]) -> Floats:
    counts, said, came = (combined(draws, part) for part in sums)
    error: Floats = np.abs(said - came).sum(axis=1) / counts.sum(axis=1)
    return error
