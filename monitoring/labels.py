"""Labels: those on their way, how many have arrived and how long they take, and rows that have theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np
import pandas as pd
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


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Predictions whose labels are there.

    Attributes:
        features: n rows as the model took them.
        predictions: its answers, probabilities of a yes or numbers, n.
        labels: what came true, n.
        blocks: block of each row, n; rows of one block may depend on each other.
        binary: whether the answers are probabilities of a yes.
    """

    features: pd.DataFrame
    predictions: NDArray[np.float64]
    labels: NDArray[np.float64]
    blocks: NDArray[np.int64]
    binary: bool

    def __len__(self) -> int:
        return len(self.labels)
