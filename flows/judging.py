"""Statistics of `modeling` in the words of the spec: the one place that says how an interval is made."""

from __future__ import annotations

from collections.abc import Callable
from statistics import StatisticsError

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from flows.frames import block_numbers, gone_features, stored_input
from flows.model import Model
from lifecycle.evidence import Comparison, Estimate
from lifecycle.worth import Calibration
from mlflow_plugins.loader import LoadedModel
from modeling.calibration import calibration_interval, calibration_line
from modeling.errors import ModelingError, PredictionError, TooFewBlocksError, UndefinedMetricError
from modeling.evaluation import Resampling, block_interval, paired_interval
from modeling.metrics import losses
from modeling.metrics import value as metric_value
from modeling.tasks import Floats

__all__ = ["calibration", "interval", "metric_value", "paired", "paired_estimate", "row_losses"]

_LOSSES = {"accuracy": "share of wrong answers", "rmse": "squared error"}
_INSTEAD = {"auc": "brier", "r2": "rmse"}


def interval(model: Model) -> Callable[[str, ArrayLike, ArrayLike, ArrayLike], Estimate]:
    """The block bootstrap with the model's seed, as monitoring takes it."""

    def estimate(metric: str, y: ArrayLike, p: ArrayLike, blocks: ArrayLike) -> Estimate:
        try:
            return block_interval(metric, y, p, blocks, Resampling(seed=model.seed))
        except PredictionError as error:  # answers or labels that are no numbers: unknown, and no end of the monitoring
            raise StatisticsError(str(error)) from error

    return estimate


def paired_estimate(
    metric: str, y: ArrayLike, predictions: tuple[ArrayLike, ArrayLike], blocks: ArrayLike, seed: int
) -> Estimate | None:
    """Loss of the first minus loss of the second; none where the rows do not allow an interval."""
    try:
        return paired_interval(metric, y, predictions, blocks, Resampling(seed=seed))
    except ModelingError:
        return None  # too few blocks, or one class only: unknown, which no policy reads as better


def paired(model: Model, rows: pl.DataFrame, version: int, other: LoadedModel) -> Comparison | None:
    """The stored predictions against another version's on the same labelled rows, by independent block.

    None where they cannot be compared: too few blocks, one class only, or a version that takes features which are gone.
    """
    if gone_features(other.columns, model):
        return None
    y = rows["label"].cast(pl.Float64).to_numpy()
    theirs = other.predict(stored_input(rows, model))
    blocks = block_numbers(rows["as_of"], model.block).to_numpy()
    difference = paired_estimate(model.gate.metric, y, (rows["prediction"].to_numpy(), theirs), blocks, model.seed)
    if difference is None:
        return None
    return Comparison(version, model.gate.metric, difference, metric_value(model.gate.metric, y, theirs))


def calibration(y: ArrayLike, p: ArrayLike, blocks: ArrayLike, *, seed: int) -> Calibration:
    """Error, slope and intercept with their intervals; what cannot be said is none, and the note says why."""
    rows, notes = int(np.asarray(y).size), []
    error = line = None
    try:
        error = calibration_interval(y, p, blocks, Resampling(seed=seed))
        line = calibration_line(y, p, blocks)
    except (TooFewBlocksError, UndefinedMetricError) as reason:
        notes.append(str(reason))
    slope, intercept = (line.slope, line.intercept) if line else (None, None)
    return Calibration(rows, error, slope, intercept, "; ".join(notes))


def row_losses(model: Model, y: ArrayLike, p: ArrayLike) -> tuple[str, Floats]:
    """The loss of each row and its name: of the gate's metric, or of its nearest that is a mean over rows."""
    metric = _INSTEAD.get(model.gate.metric, model.gate.metric)
    return _LOSSES.get(metric, metric), losses(metric, y, p)
