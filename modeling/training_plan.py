"""What a training is made of apart from the estimator: the rows, and how it is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from modeling.candidates import RECENT
from modeling.errors import LengthMismatchError
from modeling.splits import Indices, Moments
from modeling.tasks import Floats, Task


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Questions with their features and labels, in one order.

    Attributes:
        X: features, n rows.
        y: labels, n; NaN where there is none.
        as_of: when each question was asked (datetime64, UTC).
        label_available_at: from when its label is known; NaT where it is not.
    """

    X: pd.DataFrame
    y: Floats
    as_of: Moments
    label_available_at: Moments

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("X", "y", "as_of", "label_available_at")}
        if len(set(lengths.values())) > 1:
            raise LengthMismatchError(lengths)

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Indices) -> TrainingSet:
        """Only these rows."""
        return TrainingSet(self.X.iloc[rows], self.y[rows], self.as_of[rows], self.label_available_at[rows])

    def labels_known_at(self) -> Moments:
        """When each label was known, NaT too where the label itself is null."""
        known: Moments = np.where(np.isnan(self.y), np.datetime64("NaT"), self.label_available_at)
        return known


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How a training is done, apart from the data and the estimator.

    Attributes:
        now: later labels do not exist.
        evaluation: length of the evaluation, in which nothing is trained.
        gap: how long labels take.
        block: length of an independent block; `Gate.block_length` tells it.
        recent: length of the recent window; none leaves that candidate out.
        trials: how many parameter values a search tries; 0 means the defaults.
    """

    task: Task
    metric: str
    now: datetime
    evaluation: timedelta
    gap: timedelta
    block: timedelta = timedelta(days=1)
    recent: timedelta | None = RECENT
    trials: int = 0
    seed: int = 0
