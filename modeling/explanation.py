"""Which features the model leans on: how much the metric suffers when one column is shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.metrics import lower_is_better
from modeling.metrics import value
from modeling.tasks import Floats, predict
from modeling.training_plan import TrainingPlan

SAMPLE = 1000
REPEATS = 1


@dataclass(frozen=True, slots=True)
class Importance:
    """How much worse the metric becomes when a column is shuffled (Breiman 2001).

    Attributes:
        loss: in units of the metric, above zero when the column helps.
    """

    column: str
    loss: float


def permutation_importance(model: Any, X: pd.DataFrame, y: Floats, plan: TrainingPlan) -> tuple[Importance, ...]:
    """Importance of every column on at most 1000 rows, largest first.

    Args:
        model: a fitted pipeline.
        X: prepared rows that it was not trained on.
        y: their labels.
        plan: task, metric and seed.

    Raises:
        UndefinedMetricError: the metric is not defined on the sampled rows.
    """
    generator = np.random.default_rng(plan.seed)
    if len(X) > SAMPLE:
        chosen = np.sort(generator.choice(len(X), SAMPLE, replace=False))
        X, y = X.iloc[chosen], y[chosen]
    sign = 1.0 if lower_is_better(plan.metric) else -1.0
    whole = value(plan.metric, y, predict(plan.task, model, X))
    orders = [generator.permutation(len(X)) for _ in range(REPEATS)]
    found = []
    for name in X.columns:
        shuffled = [X.assign(**{name: X[name].to_numpy()[order]}) for order in orders]
        losses = [sign * (value(plan.metric, y, predict(plan.task, model, frame)) - whole) for frame in shuffled]
        found.append(Importance(str(name), float(np.mean(losses))))
    return tuple(sorted(found, key=lambda one: (-one.loss, one.column)))
