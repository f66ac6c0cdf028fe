"""Realised performance: what the predictions of a window were worth, once labels are there."""

from __future__ import annotations

from statistics import StatisticsError
from typing import Any, Protocol

import pandas as pd

from lifecycle.evidence import Estimate, LabelCoverage, Performance
from lifecycle.moments import Window
from monitoring.errors import MissingColumnsError

_NEEDED = ("prediction", "label", "block")


class Interval(Protocol):
    """A metric with an interval from resampling blocks; raises StatisticsError where the rows do not allow one."""

    def __call__(self, metric: str, y: Any, p: Any, blocks: Any, /) -> Estimate: ...


def realised(
    frame: pd.DataFrame, *, metric: str, window: Window, coverage: LabelCoverage, interval: Interval
) -> Performance:
    """Performance on the questions of a window.

    Args:
        frame: one row per prediction of the window: `prediction`, `label` (null where there is none or it is
            final without a value) and `block`, the number of the independent block the question lies in.
        metric: name of the metric.
        window: questions asked in (start, end]; the caller has chosen the rows.
        coverage: what became of the labels of all questions of the window.
        interval: how to estimate; gets labels, predictions and block numbers.

    Returns:
        The estimate is none where the labelled rows allow none: no label, too few blocks, one class only.

    Raises:
        MissingColumnsError: `prediction`, `label` or `block` is absent.
    """
    missing = [name for name in _NEEDED if name not in frame]
    if missing:
        raise MissingColumnsError("Realised performance", missing, frame.columns)
    labelled = frame[frame["label"].notna()]
    return Performance(metric, window, _estimate(labelled, metric, interval), coverage)


def _estimate(frame: pd.DataFrame, metric: str, interval: Interval) -> Estimate | None:
    labels, predictions = (frame[name].to_numpy(dtype=float) for name in ("label", "prediction"))
    try:
        return interval(metric, labels, predictions, frame["block"].to_numpy())
    except StatisticsError:
        return None
