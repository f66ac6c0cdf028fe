"""Performance of a window without labels, by whatever was learned about its version; and how right that was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.estimates import Estimate
from lifecycle.moments import Window
from lifecycle.worth import EstimatedPerformance, Reconciliation
from monitoring import confidence, error_model, expected_metrics
from monitoring.instruments import Instruments

Floats = NDArray[np.float64]

_METHODS = {"binary": ("cbpe", expected_metrics.METRICS), "regression": ("dle", error_model.METRICS)}
_UNLEARNED = (
    f"fewer than {confidence.FEWEST_ROWS} labelled rows, too few blocks or one class only stood behind this version: "
    "nothing was learned"
)


def estimates(
    instruments: Instruments | None, features: pd.DataFrame, predictions: Floats, *, window: Window, task: str
) -> tuple[EstimatedPerformance, ...]:
    """Every metric that can be estimated, each with its interval or with the reason why there is none.

    Args:
        instruments: what was learned about the version; none where it was registered without.
        features: n rows as the model took them.
        predictions: its answers, n; rows whose answer is no number are left out, and counted in the note.
        window: what the rows are of.
        task: `binary` or `regression`.
    """
    method, metrics = _METHODS[task]
    usable = np.isfinite(predictions)
    lost = int((~usable).sum())
    reason = _reason(instruments, int(usable.sum()), task)
    note = f"{lost} of {usable.size} predictions are no numbers" if lost else ""
    found = []
    for metric in metrics:
        estimate = None if reason else _estimate(instruments, metric, features[usable], predictions[usable])
        why = reason or ("" if estimate else f"{metric} is not defined on these rows")
        found.append(EstimatedPerformance(metric, method, window, estimate, "; ".join(filter(None, [why, note]))))
    return tuple(found)


def _reason(instruments: Instruments | None, rows: int, task: str) -> str:
    """Why nothing can be said, or nothing."""
    if instruments is None:
        return "this version was registered without instruments; train again"
    learned = instruments.confidence if task == "binary" else instruments.errors
    if learned is None:
        return _UNLEARNED
    return "" if rows else "no predictions in the window"


def _estimate(
    instruments: Instruments | None, metric: str, features: pd.DataFrame, predictions: Floats
) -> Estimate | None:
    if instruments is None:
        return None
    if instruments.confidence is not None:
        return instruments.confidence.estimate(metric, predictions)
    if instruments.errors is not None:
        return instruments.errors.estimate(metric, features.assign(prediction=predictions))
    return None


def reconciled(
    stated: Sequence[EstimatedPerformance],
    realised: Mapping[str, float],
    past: Sequence[Sequence[Reconciliation]],
) -> tuple[Reconciliation, ...]:
    """Each metric that was both estimated and realised on the same rows, with the history of its error.

    Args:
        stated: estimates of a window.
        realised: metrics of the same rows, once their labels were there.
        past: what was reconciled in earlier windows of the same version; windows that come twice count once.
    """
    return tuple(
        _pair(one, one.estimate, realised[one.metric], past)
        for one in stated
        if one.estimate is not None and one.metric in realised
    )


def _pair(
    one: EstimatedPerformance, estimate: Estimate, value: float, past: Sequence[Sequence[Reconciliation]]
) -> Reconciliation:
    before = {pair.window: pair for pairs in past for pair in pairs if pair.metric == one.metric}
    before.pop(one.window, None)
    errors = [value - estimate.value, *(pair.realised - pair.estimated.value for pair in before.values())]
    hits = [estimate.low <= value <= estimate.high, *(pair.within for pair in before.values())]
    return Reconciliation(
        one.metric, one.window, estimate, value, len(errors), float(np.mean(errors)), float(np.mean(hits))
    )
