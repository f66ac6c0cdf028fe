"""Labels on their way: how many have arrived, and how long they take."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.evidence import LabelCoverage
from monitoring.errors import UnknownLabelStateError


class LabelState(StrEnum):
    """What became of the label of one question."""

    LABELLED = "labelled"
    WAITING = "waiting"
    NEVER = "never"


def coverage(states: pd.Series[Any]) -> LabelCoverage:
    """Count the states of the labels of a window, one per question.

    Raises:
        UnknownLabelStateError: a state other than labelled, waiting and never; null too.
    """
    counts = {str(state): int(count) for state, count in states.value_counts(dropna=False).items()}
    unknown = counts.keys() - set(LabelState)
    if unknown:
        raise UnknownLabelStateError(unknown, list(LabelState))
    return LabelCoverage(
        asked=len(states),
        labelled=counts.get(LabelState.LABELLED, 0),
        waiting=counts.get(LabelState.WAITING, 0),
        never=counts.get(LabelState.NEVER, 0),
    )


def label_delay_p95(as_of: pd.Series[Any], label_available_at: pd.Series[Any]) -> timedelta | None:
    """Within this time after its question 95 % of the labels that arrived had arrived; none without a label.

    Args:
        as_of: when each question was asked (UTC).
        label_available_at: from when its label is known (UTC); NaT where it has not arrived.
    """
    delays = (label_available_at - as_of).dropna().to_numpy(dtype="timedelta64[us]").astype(np.int64)
    if not delays.size:
        return None
    return timedelta(microseconds=int(np.quantile(delays, 0.95, method="inverted_cdf")))
