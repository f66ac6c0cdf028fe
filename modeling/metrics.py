"""Metrics by name: a value over rows, and the loss of each row where there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lifecycle.metrics import lower_is_better
from modeling.errors import LengthMismatchError, PredictionError, UndefinedMetricError
from modeling.tasks import Floats

_SMALLEST = float(np.finfo(np.float64).eps)
_CUT = 0.5

_ROW_LOSSES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "brier": lambda y, p: (p - y) ** 2,
    "log_loss": lambda y, p: -np.log(np.where(y == 1, *_apart(p))),
    "accuracy": lambda y, p: ((p > _CUT) != (y > _CUT)).astype(np.float64),
    "mae": lambda y, p: np.abs(p - y),
    "rmse": lambda y, p: (p - y) ** 2,
}
PROBABILITIES = frozenset({"brier", "log_loss", "auc", "accuracy"})


def _apart(p: Floats) -> tuple[Floats, Floats]:
    """Probability of a yes and of a no, kept from zero as scikit-learn does."""
    clipped = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    return clipped, 1 - clipped


def losses(metric: str, y: ArrayLike, p: ArrayLike) -> Floats:
    """Loss of each row: squared error for brier and rmse, 1 for a wrong answer for accuracy.

    Raises:
        UndefinedMetricError: auc and r2 are no mean over rows.
    """
    if metric not in _ROW_LOSSES:
        lower_is_better(metric)  # an unknown name is another error than a metric without row losses
        raise UndefinedMetricError(metric, "it is no mean of one loss per row")
    return _ROW_LOSSES[metric](*checked(metric, y, p))


def checked(metric: str, y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    """Labels and predictions as float64 of one length, fit for the metric.

    Raises:
        LengthMismatchError: the lengths differ.
        PredictionError: a value is not finite, or a probability lies outside 0 to 1.
    """
    lower_is_better(metric)
    labels, answers = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if labels.shape != answers.shape:
        raise LengthMismatchError({"labels": labels.size, "predictions": answers.size})
    unusable = int((~np.isfinite(labels) | ~np.isfinite(answers)).sum())
    if unusable:
        raise PredictionError(metric, f"{unusable} of {labels.size} rows have a null or infinite label or prediction")
    if metric in PROBABILITIES and labels.size and not (answers.min() >= 0 and answers.max() <= 1):
        raise PredictionError(
            metric, f"probabilities are needed, and they lie from {answers.min():g} to {answers.max():g}"
        )
    return labels, answers


def value(metric: str, y: ArrayLike, p: ArrayLike) -> float:
    """The metric over all rows.

    Raises:
        UndefinedMetricError: no rows, one class only (auc), or labels that are all equal (r2).
    """
    labels, answers = checked(metric, y, p)
    if not labels.size:
        raise UndefinedMetricError(metric, "there are none")
    if metric == "auc":
        return _auc(labels, answers)
    if metric == "r2":
        return _r2(labels, answers)
    mean = float(_ROW_LOSSES[metric](labels, answers).mean())
    if metric == "rmse":
        return math.sqrt(mean)
    return 1 - mean if metric == "accuracy" else mean


def _auc(y: Floats, p: Floats) -> float:
    """Share of pairs of a yes and a no in the right order, ties counted half (Mann and Whitney 1947)."""
    yes, no = p[y == 1], np.sort(p[y != 1])
    if not yes.size or not no.size:
        raise UndefinedMetricError("auc", f"{yes.size} yes and {no.size} no")
    below: NDArray[np.int64] = np.searchsorted(no, yes, side="left") + np.searchsorted(no, yes, side="right")
    return float(below.sum() / (2 * yes.size * no.size))


def _r2(y: Floats, p: Floats) -> float:
    spread = float(((y - y.mean()) ** 2).sum())
    if spread == 0:
        raise UndefinedMetricError("r2", f"all {y.size} labels are equal")
    return 1 - float(((y - p) ** 2).sum()) / spread
