"""Fit the candidates on what was known, and evaluate all of them on the same newer rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.evidence import Estimate
from lifecycle.metrics import lower_is_better
from modeling.candidates import Candidate, FittedCandidate, candidates
from modeling.evaluation import Resampling, block_interval
from modeling.fit_function import FitFunction, as_fit_function
from modeling.pipeline import prepare
from modeling.recalibration import Recalibration, recalibrate
from modeling.splits import Indices, Split, from_numpy, time_split
from modeling.tasks import Floats, Task, labels_for, predict
from modeling.training_plan import TrainingPlan, TrainingSet

MIN_CANDIDATE_ROWS = 50


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """One line of the table of candidates; `champion` and the trivial rules are lines too, without a fit.

    Attributes:
        rows: rows it was fitted on; 0 where nothing was fitted.
        fit_seconds: CPU time of the fit; for people, never for a decision.
    """

    name: str
    rows: int
    estimate: Estimate
    fit_seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationRows:
    """What the gates judge: labels and answers on rows that no model was trained on.

    Attributes:
        champion: none when there is no champion.
        trivial: answers of the better trivial rule.
        blocks: block number of each row.
    """

    y: Floats
    challenger: Floats
    champion: Floats | None
    trivial: Floats
    blocks: Indices


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """The best candidate and everything a gate or a reader needs.

    Attributes:
        best: the candidate with the best value; it is what was evaluated, nothing is refitted.
        table: all candidates, then `champion` if there is one, then the trivial rules.
        alternatives: how many candidates competed; corrects the paired test.
        evaluation_frame: prepared features of the evaluation rows.
    """

    best: FittedCandidate
    table: tuple[CandidateScore, ...]
    alternatives: int
    split: Split
    rows: EvaluationRows
    evaluation_frame: pd.DataFrame


def train(
    training_set: TrainingSet,
    fit: Any,
    plan: TrainingPlan,
    champion_predict: Callable[[pd.DataFrame], Floats] | None = None,
    recalibration: Recalibration | None = None,
) -> TrainingResult:
    """Fit each candidate, evaluate all on the same rows, and name the best by its value.

    Args:
        training_set: labelled questions; order does not matter to the evaluation, but may to the estimator.
        fit: an estimator, a pipeline, or a fit function.
        plan: task, metric, times and seed.
        champion_predict: answers of the champion to evaluation rows, given as they are in the training set.
        recalibration: the champion's model, to make it a candidate too; binary tasks only.

    Raises:
        TooFewRowsError: not enough to train on or to evaluate on.
        TooFewBlocksError: the evaluation holds fewer than seven blocks.
    """
    split = time_split(
        training_set.as_of,
        training_set.labels_known_at(),
        now=plan.now,
        evaluation=plan.evaluation,
        gap=plan.gap,
    )
    blocks = split.blocks(training_set.as_of, plan.block)
    judged = training_set.take(split.evaluation_index)
    contest = _Contest(plan, prepare(judged.X), labels_for(plan.task, judged.y), blocks)
    fitted = _fit_all(training_set, as_fit_function(fit), plan, split)
    if recalibration is not None and plan.task is Task.BINARY:
        mended = recalibrate(recalibration, training_set.take(recalibration.rows(training_set, split)), plan)
        fitted += (mended,) if mended else ()
    answers = {one.name: predict(plan.task, one.model, contest.X) for one in fitted}
    scores = tuple(contest.score(one.name, answers[one.name], one) for one in fitted)
    best = fitted[scores.index(contest.best(scores))]
    champion = None if champion_predict is None else np.asarray(champion_predict(judged.X), dtype=np.float64)
    rules = trivial_rules(training_set.take(split.train_index), plan.evaluation, len(judged))
    others = ({} if champion is None else {"champion": champion}) | rules
    other_scores = tuple(contest.score(name, p) for name, p in others.items())
    rule = contest.best(other_scores[-len(rules) :]).name
    rows = EvaluationRows(contest.y, answers[best.name], champion, rules[rule], blocks)
    return TrainingResult(best, scores + other_scores, len(fitted), split, rows, contest.X)


@dataclass(frozen=True, slots=True, eq=False)
class _Contest:
    """The rows that every candidate answers."""

    plan: TrainingPlan
    X: pd.DataFrame
    y: Floats
    blocks: Indices

    def score(self, name: str, answers: Floats, fitted: FittedCandidate | None = None) -> CandidateScore:
        found = block_interval(self.plan.metric, self.y, answers, self.blocks, Resampling(self.plan.seed))
        return (
            CandidateScore(name, fitted.rows, found, fitted.fit_seconds) if fitted else CandidateScore(name, 0, found)
        )

    def best(self, scores: tuple[CandidateScore, ...]) -> CandidateScore:
        """The best value; the first one of equals."""
        sign = 1 if lower_is_better(self.plan.metric) else -1
        return min(scores, key=lambda score: sign * score.estimate.value)


def trivial_rules(known: TrainingSet, recent: timedelta, rows: int) -> dict[str, Floats]:
    """What needs no model: the mean label, and the mean label of the newest questions.

    Args:
        known: the training rows.
        recent: length of the newest part.
        rows: how many answers to give.
    """
    newest = known.as_of > known.as_of.max() - np.timedelta64(recent)
    values = {"constant": known.y.mean(), "last known": known.y[newest].mean()}
    return {name: np.full(rows, float(mean)) for name, mean in values.items()}


def _fit_all(
    training_set: TrainingSet, fit: FitFunction, plan: TrainingPlan, split: Split
) -> tuple[FittedCandidate, ...]:
    """Every candidate with enough rows; all history always is one of them."""
    chosen = [(one, one.rows(split, training_set.as_of)) for one in candidates(split, plan.recent)]
    enough = [(one, rows) for one, rows in chosen if len(rows) >= MIN_CANDIDATE_ROWS or one.start is None]
    return tuple(fit_candidate(one, training_set.take(rows), fit, plan) for one, rows in enough)


def fit_candidate(candidate: Candidate, rows: TrainingSet, fit: FitFunction, plan: TrainingPlan) -> FittedCandidate:
    """Fit one candidate on its rows, after a search inside those rows when one is asked for."""
    started = time.process_time()
    values = _searched(rows, fit, plan)
    model = fit(prepare(rows.X), labels_for(plan.task, rows.y), seed=plan.seed, values=values)
    return FittedCandidate(
        candidate.name, model, len(rows), from_numpy(rows.as_of.max()), time.process_time() - started, values
    )


def _searched(rows: TrainingSet, fit: FitFunction, plan: TrainingPlan) -> dict[str, float]:
    if not plan.trials or not fit.tunables:
        return {}
    from modeling.search import search

    return search(rows, fit, plan).values
