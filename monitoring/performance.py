"""Realised performance: what the predictions of a window were worth, once labels are there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from statistics import StatisticsError
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.evidence import Estimate, Performance
from lifecycle.moments import Window
from monitoring.errors import MissingColumnsError
from monitoring.labels import LabelState, coverage


class Interval(Protocol):
    """A metric with an interval from resampling blocks; raises StatisticsError where the rows do not allow one."""

    def __call__(self, metric: str, y: Any, p: Any, blocks: Any) -> Estimate: ...


def realised(frame: pd.DataFrame, *, metric: str, window: Window, block: timedelta, interval: Interval) -> Performance:
    """Performance on the questions of a window.

    Args:
        frame: one row per prediction: `as_of` (UTC), `prediction`, `label` (NaN where there is none), and
            `label_state` (labelled, waiting, never); without it a label is there or waits.
        metric: name of the metric.
        window: questions asked in (start, end].
        block: length of an independent block, counted from the start of the window.
        interval: how to estimate; gets labels, predictions and block numbers.

    Returns:
        The estimate is none where the labelled rows allow none: no label, too few blocks, one class only.

    Raises:
        MissingColumnsError: `as_of`, `prediction` or `label` is absent.
    """
    asked = _asked_in(frame, window, ("as_of", "prediction", "label"), "Realised performance")
    labelled = asked[asked["label"].notna() & (_states(asked) == LabelState.LABELLED)]
    estimate = _estimate(labelled, metric, _blocks(labelled, window, block), interval)
    return Performance(metric, window, estimate, coverage(_states(asked)))


def _asked_in(frame: pd.DataFrame, window: Window, needed: Iterable[str], what: str) -> pd.DataFrame:
    missing = [name for name in needed if name not in frame]
    if missing:
        raise MissingColumnsError(what, missing, frame.columns)
    asked: pd.DataFrame = frame[(frame["as_of"] > window.start) & (frame["as_of"] <= window.end)]
    return asked


def _states(frame: pd.DataFrame) -> pd.Series[Any]:
    if "label_state" in frame:
        return frame["label_state"]
    states = np.where(frame["label"].notna(), LabelState.LABELLED.value, LabelState.WAITING.value)
    return pd.Series(states, index=frame.index)


def _blocks(frame: pd.DataFrame, window: Window, block: timedelta) -> NDArray[np.int64]:
    passed = (frame["as_of"] - pd.Timestamp(window.start)).to_numpy(dtype="timedelta64[us]").astype(np.int64)
    numbers: NDArray[np.int64] = -(-passed // int(block / timedelta(microseconds=1))) - 1
    return numbers


def _estimate(frame: pd.DataFrame, metric: str, blocks: NDArray[np.int64], interval: Interval) -> Estimate | None:
    labels, predictions = (frame[name].to_numpy(dtype=np.float64) for name in ("label", "prediction"))
    try:
        return interval(metric, labels, predictions, blocks)
    except StatisticsError:
        return None
