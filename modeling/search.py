"""A search over the tune(...) ranges of a fit function, inside the training rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lifecycle.metrics import lower_is_better
from modeling.errors import TooFewRowsError
from modeling.fit_function import FitFunction, Tunable
from modeling.metrics import value
from modeling.pipeline import prepare
from modeling.splits import Indices
from modeling.tasks import labels_for, predict
from modeling.training_plan import TrainingPlan, TrainingSet

VALIDATION_SHARE = 0.2
MIN_VALIDATION_ROWS = 20


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        values: the best parameter values.
        score: the metric of those on the validation rows.
        trials: values and metric of every trial, in order.
    """

    values: dict[str, float]
    score: float
    trials: tuple[tuple[dict[str, float], float], ...]


def search(rows: TrainingSet, fit: FitFunction, plan: TrainingPlan) -> SearchResult:
    """Try `plan.trials` sets of values, the defaults first, on the newest fifth of the training rows.

    The validation rows come after the rows that are fitted on, and those have labels that were known by then.
    A tree-structured Parzen estimator proposes (Optuna's TPE), from the plan's seed, so a search repeats.

    Raises:
        TooFewRowsError: fewer than 20 rows on either side of the cut.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=plan.seed),
        direction="minimize" if lower_is_better(plan.metric) else "maximize",
    )
    study.enqueue_trial({name: tunable.default for name, tunable in fit.tunables.items()})
    before, after = validation_split(rows)
    study.optimize(_Objective(rows.take(before), rows.take(after), fit, plan), n_trials=plan.trials)
    trials = tuple((dict(trial.params), float(trial.value or 0.0)) for trial in study.trials)
    return SearchResult(dict(study.best_params), float(study.best_value), trials)


def validation_split(rows: TrainingSet) -> tuple[Indices, Indices]:
    """Rows to fit on and rows to validate on: the newest fifth, and what was labelled before it starts.

    Raises:
        TooFewRowsError: fewer than 20 rows on either side.
    """
    ordered = np.sort(rows.as_of)
    cut = ordered[int(len(ordered) * (1 - VALIDATION_SHARE))]
    before = np.flatnonzero((rows.as_of < cut) & (rows.label_available_at <= cut))
    after = np.flatnonzero(rows.as_of >= cut)
    for what, found in (("fit on in a search", before), ("validate a search on", after)):
        if len(found) < MIN_VALIDATION_ROWS:
            raise TooFewRowsError(len(found), MIN_VALIDATION_ROWS, what, f"{len(rows)} training rows")
    return before, after


@dataclass(frozen=True, slots=True, eq=False)
class _Objective:
    """The metric on the validation rows, as a function of the values of a trial."""

    before: TrainingSet
    after: TrainingSet
    fit: FitFunction
    plan: TrainingPlan

    def __call__(self, trial: Any) -> float:
        values = {name: _suggest(trial, name, tunable) for name, tunable in self.fit.tunables.items()}
        task = self.plan.task
        model = self.fit(prepare(self.before.X), labels_for(task, self.before.y), seed=self.plan.seed, values=values)
        return value(self.plan.metric, self.after.y, predict(task, model, prepare(self.after.X)))


def _suggest(trial: Any, name: str, tunable: Tunable) -> float:
    suggest = trial.suggest_int if tunable.whole else trial.suggest_float
    proposed: float = suggest(name, tunable.low, tunable.high, log=tunable.log)
    return proposed
