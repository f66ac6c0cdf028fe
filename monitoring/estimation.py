"""Performance of a window without labels, by whatever was learned about its version; and how right that was.

What is estimated has an interval of chance alone. `stated` widens it by what earlier windows have taught, and only the
widened one reaches a reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.estimates import Estimate
from lifecycle.moments import Window
from lifecycle.worth import EstimatedPerformance, IntervalBasis, Reconciliation
from monitoring import confidence, error_model, expected_metrics
from monitoring.block_ratios import reach_of
from monitoring.estimate_intervals import Trial, stated_reach
from monitoring.instruments import Instruments

Floats = NDArray[np.float64]

Past = Mapping[datetime, Sequence[Reconciliation]]
"""What was reconciled of a version, by the moment from which it was known."""

_METHODS = {"binary": ("cbpe", expected_metrics.METRICS), "regression": ("dle", error_model.METRICS)}
_AT_MOST_ONE = frozenset({"auc", "accuracy", "f1", "precision", "recall"})
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


def stated(found: Sequence[EstimatedPerformance], past: Past) -> tuple[EstimatedPerformance, ...]:
    """The same estimates with the interval that is stated: chance, and what was learned by the end of their window.

    Args:
        found: estimates with intervals of chance alone, as `estimates` makes them.
        past: what was reconciled of the same version; what became known after the end of a window is not looked at.
    """
    return tuple(one if one.estimate is None else _stated(one, one.estimate, past) for one in found)


def _stated(one: EstimatedPerformance, chance: Estimate, past: Past) -> EstimatedPerformance:
    basis = _chance(chance)
    reach, windows = stated_reach(basis.reach, _trials(one, past), one.window.end)
    distance = reach * basis.deviation
    high = chance.value + distance
    if one.metric in _AT_MOST_ONE:
        high = max(chance.value, min(high, 1.0))
    estimate = replace(chance, low=max(chance.value - distance, 0.0), high=high)
    return replace(one, estimate=estimate, basis=IntervalBasis(basis.deviation, reach, windows))


def _chance(estimate: Estimate) -> IntervalBasis:
    """The basis of an interval of chance alone, whose upper limit is never cut."""
    reach = reach_of(estimate.blocks, estimate.level)
    return IntervalBasis((estimate.high - estimate.value) / reach, reach, 0)


def _trials(one: EstimatedPerformance, past: Past) -> list[Trial]:
    """Earlier windows of the metric, each once, as it was first known."""
    found: dict[datetime, Trial] = {}
    for known_at in sorted(past):
        for pair in past[known_at]:
            basis = pair.basis or _chance(pair.estimated)
            if pair.metric == one.metric and pair.window != one.window and basis.deviation > 0:
                score = abs(pair.realised - pair.estimated.value) / basis.deviation
                found.setdefault(pair.window.end, Trial(pair.window.end, known_at, score, basis.reach))
    return list(found.values())


def reconciled(
    told: Sequence[EstimatedPerformance], realised: Mapping[str, float], past: Past
) -> tuple[Reconciliation, ...]:
    """Each metric that was both estimated and realised on the same rows, with the history of its error.

    Args:
        told: estimates of a window, as `stated`.
        realised: metrics of the same rows, once their labels were there.
        past: what was reconciled in earlier windows of the same version; windows that come twice count once.
    """
    return tuple(
        _pair(one, one.estimate, realised[one.metric], past)
        for one in told
        if one.estimate is not None and one.metric in realised
    )


def _pair(one: EstimatedPerformance, estimate: Estimate, value: float, past: Past) -> Reconciliation:
    newest_first = [pair for known_at in sorted(past, reverse=True) for pair in past[known_at]]
    before = {pair.window: pair for pair in newest_first if pair.metric == one.metric}
    before.pop(one.window, None)
    errors = [value - estimate.value, *(pair.realised - pair.estimated.value for pair in before.values())]
    hits = [estimate.low <= value <= estimate.high, *(pair.within for pair in before.values())]
    bias, covered = float(np.mean(errors)), float(np.mean(hits))
    return Reconciliation(one.metric, one.window, estimate, value, len(errors), bias, covered, one.basis)
