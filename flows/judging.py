"""Statistics of `modeling` in the words of the spec: the one place that says how an interval is made."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from numpy.typing import ArrayLike

from flows.frames import block_numbers, stored_input
from flows.model import Model
from lifecycle.evidence import Comparison, Estimate
from mlflow_plugins.loader import LoadedModel
from modeling.errors import ModelingError
from modeling.evaluation import Resampling, block_interval, paired_interval
from modeling.metrics import value as metric_value

__all__ = ["interval", "metric_value", "paired", "paired_estimate"]


def interval(model: Model) -> Callable[[str, ArrayLike, ArrayLike, ArrayLike], Estimate]:
    """The block bootstrap with the model's seed, as monitoring takes it."""

    def estimate(metric: str, y: ArrayLike, p: ArrayLike, blocks: ArrayLike) -> Estimate:
        return block_interval(metric, y, p, blocks, Resampling(seed=model.seed))

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
    """The stored predictions against another version's on the same labelled rows, by independent block."""
    y = rows["label"].cast(pl.Float64).to_numpy()
    theirs = other.predict(stored_input(rows, model))
    blocks = block_numbers(rows["as_of"], model.block).to_numpy()
    difference = paired_estimate(model.gate.metric, y, (rows["prediction"].to_numpy(), theirs), blocks, model.seed)
    if difference is None:
        return None
    return Comparison(version, model.gate.metric, difference, metric_value(model.gate.metric, y, theirs))
