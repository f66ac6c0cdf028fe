"""Whether predicted probabilities are true as frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lifecycle.evidence import Estimate
from modeling.block_sums import combined
from modeling.errors import UndefinedMetricError
from modeling.evaluation import Resampling, estimate, multiplicities, rows_of
from modeling.metrics import checked
from modeling.tasks import Floats

BINS = 10
_NEAREST = 1e-6  # log odds of a certain answer are infinite
_STEPS, _CLOSE, _SINGULAR = 50, 1e-9, 1e-12


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


def calibration_interval(
    y: ArrayLike, p: ArrayLike, blocks: ArrayLike, resampling: Resampling | None = None
) -> Estimate:
    """Expected calibration error over all rows, blocks resampled.

    An error is never below zero, so resampling raises it: each draw adds its own chance to what is there. The limits
    are moved down by how far the draws lie above the whole, as a basic bootstrap does (Davison and Hinkley 1997).

    Raises:
        TooFewBlocksError: fewer than seven blocks.
    """
    how = resampling or Resampling()
    rows = rows_of("brier", y, (p,), blocks)
    sums = _bin_sums(rows.y, rows.predictions[0], rows.block, BINS)
    whole = float(_error(np.ones((1, rows.blocks)), sums)[0])
    drawn = _error(multiplicities(rows.blocks, how), sums)
    return estimate("calibration error", whole, np.maximum(drawn - (drawn.mean() - whole), 0.0), rows, how)


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """Logistic regression of the outcome on the predicted log odds (Cox 1958): 1 and 0 where each probability is true.

    Attributes:
        slope: below 1 the model is too sure of itself.
        intercept: above 0 it says too little.
    """

    slope: Estimate
    intercept: Estimate


def calibration_line(y: ArrayLike, p: ArrayLike, blocks: ArrayLike, *, level: float = 0.95) -> CalibrationLine:
    """Slope and intercept, their errors by block (Liang and Zeger 1986).

    Raises:
        TooFewBlocksError: fewer than seven blocks.
        UndefinedMetricError: one class only, equal predictions, or classes that the predictions part without error.
    """
    from scipy.special import stdtrit

    rows = rows_of("brier", y, (p,), blocks)
    odds = np.clip(rows.predictions[0], _NEAREST, 1 - _NEAREST)
    log_odds = np.log(odds / (1 - odds))
    fitted, information = _newton(log_odds, rows.y)
    missed = rows.y - _logistic(fitted[0] + fitted[1] * log_odds)
    by_block = np.stack([np.bincount(rows.block, part, rows.blocks) for part in (missed, missed * log_odds)])
    moved = np.stack([_solved(information, scores) for scores in by_block.T])
    reach = -float(stdtrit(rows.blocks - 1, (1 - level) / 2)) * np.sqrt(
        (moved**2).sum(axis=0) * rows.blocks / (rows.blocks - 1)
    )
    intercept, slope = (
        Estimate(float(v), float(v - r), float(v + r), rows.y.size, rows.blocks, level)
        for v, r in zip(fitted, reach, strict=True)
    )
    return CalibrationLine(slope, intercept)


Information = tuple[float, float, float]
"""Of intercept and slope: the corner, the two equal sides, the other corner."""


def _newton(x: Floats, y: Floats) -> tuple[Floats, Information]:
    """Maximum likelihood of intercept and slope, and the information at it.

    Sums and no matrix product, which may add in another order with another number of threads.
    """
    found: Floats = np.array([0.0, 1.0])
    if y.min() == y.max() or np.ptp(x) == 0:
        raise UndefinedMetricError("calibration slope", "all labels or all predictions are equal")
    for _ in range(_STEPS):
        p = _logistic(found[0] + found[1] * x)
        weight = p * (1 - p)
        information = (float(weight.sum()), float((weight * x).sum()), float((weight * x**2).sum()))
        if not information[0] * information[2] - information[1] ** 2 > _SINGULAR * information[0] * information[2]:
            break
        step = _solved(information, np.array([(y - p).sum(), ((y - p) * x).sum()]))
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < _CLOSE:
            return found, information
    raise UndefinedMetricError("calibration slope", "the predictions part the classes without error")


def _solved(information: Information, right: Floats) -> Floats:
    first, side, last = information
    determinant = first * last - side**2
    return np.array([last * right[0] - side * right[1], first * right[1] - side * right[0]]) / determinant


def _logistic(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(odds, -500, 500)))


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
