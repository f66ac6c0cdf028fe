"""Labels on their way: how many have arrived, and how long they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from lifecycle.evidence import LabelCoverage
from monitoring.errors import UnknownLabelStateError


class LabelState(StrEnum):
    """What became of the label of one question."""

    LABELLED = "labelled"
    WAITING = "waiting"
    NEVER = "never"


def coverage(states: Iterable[object]) -> LabelCoverage:
    """Count the states of the labels of a window, one per question.

    Raises:
        UnknownLabelStateError: a state other than labelled, waiting and never; null too.
    """
    counts = Counter(map(str, states))
    unknown = counts.keys() - set(LabelState)
    if unknown:
        raise UnknownLabelStateError(unknown, list(LabelState))
    return LabelCoverage(
        asked=counts.total(),
        labelled=counts[LabelState.LABELLED],
        waiting=counts[LabelState.WAITING],
        never=counts[LabelState.NEVER],
    )


def label_delay_p95(delays: NDArray[np.timedelta64]) -> timedelta | None:
    """Within this time after its question 95 % of the labels that arrived had arrived; none without a label.

    Args:
        delays: `label_available_at - as_of` of each question; NaT where no label has arrived.
    """
    arrived = delays[~np.isnat(delays)].astype("timedelta64[us]").astype(np.int64)
    if not arrived.size:
        return None
    return timedelta(microseconds=int(np.quantile(arrived, 0.95, method="inverted_cdf")))
