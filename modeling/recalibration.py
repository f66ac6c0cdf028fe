"""The champion with its probabilities mended: the cheapest candidate, for when only the level has shifted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from modeling.candidates import FittedCandidate
from modeling.pipeline import prepare
from modeling.splits import Indices, Split, to_numpy
from modeling.tasks import labels_for
from modeling.training_plan import TrainingPlan, TrainingSet

NAME = "champion recalibrated"
MIN_ROWS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """The champion as a candidate.

    Attributes:
        model: its fitted classifier.
        newest_label: `as_of` of the newest question it was trained on; only newer rows tell how it errs.
    """

    model: Any
    newest_label: datetime

    def rows(self, training_set: TrainingSet, split: Split) -> Indices:
        """Places of the training rows that the champion was not trained on."""
        asked = training_set.as_of[split.train_index]
        chosen: Indices = split.train_index[asked > to_numpy(self.newest_label)]
        return chosen


def recalibrate(champion: Recalibration, rows: TrainingSet, plan: TrainingPlan) -> FittedCandidate | None:
    """The champion behind a sigmoid fitted on rows it was not trained on (Platt 1999).

    Its age stays that of the champion: a new sigmoid teaches the trees nothing.

    Returns:
        None where fewer than 500 rows or one class only tell how it errs.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    y = labels_for(plan.task, rows.y)
    if len(rows) < MIN_ROWS or len(np.unique(y)) < 2:
        return None
    started = time.process_time()
    model = CalibratedClassifierCV(FrozenEstimator(inner(champion.model)), method="sigmoid", ensemble=False)
    model.fit(prepare(rows.X), y)
    return FittedCandidate(NAME, model, len(rows), champion.newest_label, time.process_time() - started, {})


def inner(model: Any) -> Any:
    """The model inside an earlier recalibration, so that sigmoids do not pile up."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    if isinstance(model, CalibratedClassifierCV) and isinstance(model.estimator, FrozenEstimator):
        return model.estimator.estimator
    return model
