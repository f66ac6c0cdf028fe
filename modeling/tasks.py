"""What a model is asked for, and how its answer is read."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from modeling.errors import FitFunctionError, LabelError, UnsupportedTaskError

Floats = NDArray[np.float64]


class Task(StrEnum):
    """The kinds of question a model answers."""

    BINARY = "binary"
    REGRESSION = "regression"


def parse_task(given: str) -> Task:
    """Read a task by its name.

    Raises:
        UnsupportedTaskError: several classes, ranking and the like.

    >>> parse_task("binary")
    <Task.BINARY: 'binary'>
    """
    try:
        return Task(given)
    except ValueError as error:
        raise UnsupportedTaskError(given, list(Task)) from error


def labels_for(task: Task, y: ArrayLike) -> Floats:
    """Labels as float64, checked against the task.

    Raises:
        LabelError: a binary label other than 0 and 1, or a label that is not finite.
    """
    labels = np.asarray(y, dtype=np.float64)
    if not np.isfinite(labels).all():
        raise LabelError(task, f"{int((~np.isfinite(labels)).sum())} of {labels.size} are null or infinite")
    if task is Task.BINARY and not np.isin(labels, (0.0, 1.0)).all():
        others = np.unique(labels[~np.isin(labels, (0.0, 1.0))])[:5]
        raise LabelError(task, f"values {others.tolist()} are neither 0 nor 1")
    return labels


def predict(task: Task, model: Any, X: pd.DataFrame) -> Floats:
    """The model's answers: the probability of a yes, or the number itself.

    Raises:
        FitFunctionError: a binary model without `predict_proba`.
    """
    if task is Task.REGRESSION:
        return np.asarray(model.predict(X), dtype=np.float64).reshape(len(X))
    if not hasattr(model, "predict_proba"):
        raise FitFunctionError(
            type(model).__name__, "it gives no probabilities (predict_proba), which a binary task needs"
        )
    classes = [float(label) for label in model.classes_]
    if 1.0 not in classes:
        return np.zeros(len(X))
    return np.asarray(model.predict_proba(X), dtype=np.float64)[:, classes.index(1.0)]
