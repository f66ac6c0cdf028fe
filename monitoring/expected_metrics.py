"""Metrics of classes in expectation: each label replaced by the chance that it is a yes.

Beside its expected value each metric has a weight a row: how much the metric would change were that row's label one
more yes. The realised metric then differs from the expected one by about the sum of weight times (label - chance),
and that is what an interval needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SMALLEST = float(np.finfo(np.float64).eps)
_CUT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """An expected metric.

    Attributes:
        value: NaN where the rows leave it undefined.
        weights: rows x classes.
    """

    value: float
    weights: Floats

    def variance(self, chances: Floats) -> float:
        """Of the realised metric around the expected one, labels drawn independently by these chances."""
        first = (self.weights * chances).sum(axis=1)
        second = (self.weights**2 * chances).sum(axis=1)
        return float((second - first**2).sum())

    def errors(self, labels: Floats, chances: Floats) -> Floats:
        """What each row adds to realised minus expected, for labels of 0 and 1."""
        added: Floats = (self.weights * (labels - chances)).sum(axis=1)
        return added


def expected(metric: str, scores: Floats, chances: Floats) -> Expected:
    """A metric of classes in expectation.

    Args:
        metric: auc, accuracy, f1, precision, recall, brier or log_loss. Of several classes auc, f1, precision and
            recall are the plain mean over classes, each against the rest; brier and log_loss sum over classes.
        scores: what the model said, rows x classes; one column for a yes or no.
        chances: the chance that each class is true, of the same shape; calibrated scores.
    """
    yes = scores > _CUT if scores.shape[1] == 1 else np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    if metric == "accuracy":
        return _accuracy(yes, chances)
    if metric == "log_loss" and scores.shape[1] > 1:
        return _log_loss_of_classes(scores, chances)
    each = [_BY_CLASS[metric](*column) for column in zip(scores.T, chances.T, yes.T, strict=True)]
    value = float(np.mean([value for value, _ in each]))
    weights = np.stack([weight for _, weight in each], axis=1)
    if metric == "brier":
        return Expected(value * len(each), weights)
    return Expected(value, weights / len(each))


def _accuracy(yes: NDArray[np.bool_], chances: Floats) -> Expected:
    rows = max(len(yes), 1)
    if yes.shape[1] == 1:
        right = np.where(yes, chances, 1 - chances)
        return Expected(float(right.sum() / rows), (2.0 * yes - 1) / rows)
    return Expected(float((yes * chances).sum() / rows), yes / rows)


def _log_loss_of_classes(scores: Floats, chances: Floats) -> Expected:
    rows, surprise = max(len(scores), 1), -np.log(np.clip(scores, _SMALLEST, 1))
    return Expected(float((chances * surprise).sum() / rows), surprise / rows)


Weighed = tuple[float, Floats]


def _auc(score: Floats, chance: Floats, yes: NDArray[np.bool_]) -> Weighed:
    """Chance that a yes ranks above a no, ties counted half."""
    _, level = np.unique(score, return_inverse=True)
    ayes, noes = np.bincount(level, chance), np.bincount(level, 1 - chance)
    all_ayes, all_noes = ayes.sum(), noes.sum()
    if all_ayes <= 0 or all_noes <= 0:
        return float("nan"), np.zeros_like(score)
    noes_below = ((np.cumsum(noes) - noes / 2) / all_noes)[level]
    ayes_above = ((all_ayes - np.cumsum(ayes) + ayes / 2) / all_ayes)[level]
    value = float((chance * noes_below).sum() / all_ayes)
    return value, (noes_below - value) / all_ayes - (ayes_above - value) / all_noes


def _precision(score: Floats, chance: Floats, yes: NDArray[np.bool_]) -> Weighed:
    said = yes.sum()
    return (float(chance[yes].sum() / said), yes / said) if said else (float("nan"), np.zeros_like(score))


def _recall(score: Floats, chance: Floats, yes: NDArray[np.bool_]) -> Weighed:
    true = chance.sum()
    if true <= 0:
        return float("nan"), np.zeros_like(score)
    value = float(chance[yes].sum() / true)
    return value, (yes - value) / true


def _f1(score: Floats, chance: Floats, yes: NDArray[np.bool_]) -> Weighed:
    both = yes.sum() + chance.sum()
    if both <= 0:
        return float("nan"), np.zeros_like(score)
    value = float(2 * chance[yes].sum() / both)
    return value, (2.0 * yes - value) / both


def _brier(score: Floats, chance: Floats, yes: NDArray[np.bool_]) -> Weighed:
    rows = max(len(score), 1)
    return float((score**2 - 2 * score * chance + chance).sum() / rows), (1 - 2 * score) / rows


def _log_loss(score: Floats, chance: Floats, yes: NDArray[np.bool_]) -> Weighed:
    rows = max(len(score), 1)
    of_yes, of_no = -np.log(np.clip(score, _SMALLEST, 1)), -np.log(np.clip(1 - score, _SMALLEST, 1))
    return float((chance * of_yes + (1 - chance) * of_no).sum() / rows), (of_yes - of_no) / rows


_BY_CLASS: Mapping[str, Callable[[Floats, Floats, NDArray[np.bool_]], Weighed]] = {
    "auc": _auc,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "brier": _brier,
    "log_loss": _log_loss,
}
METRICS = ("auc", "accuracy", "f1", "precision", "recall", "brier", "log_loss")
"""Every metric that can be expected."""
