"""Metrics by name, and which way is better."""

from __future__ import annotations

from lifecycle.errors import MetricError

LOWER_IS_BETTER = frozenset({"brier", "log_loss", "mae", "rmse"})
HIGHER_IS_BETTER = frozenset({"auc", "accuracy", "r2"})


def lower_is_better(metric: str) -> bool:
    """Tell whether a smaller value of the metric is a better model.

    Raises:
        MetricError: nobody knows this metric.
    """
    if metric in LOWER_IS_BETTER:
        return True
    if metric in HIGHER_IS_BETTER:
        return False
    raise MetricError(metric, f"unknown. Choose one of {sorted(LOWER_IS_BETTER | HIGHER_IS_BETTER)}.")
