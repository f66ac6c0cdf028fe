"""What can go wrong between a frame and a judged model.

ModelingError
├── UnsupportedTaskError (ValueError)       a task that is neither binary nor regression
├── LabelError (ValueError)                 labels that do not fit the task
├── ColumnTypeError (TypeError)             a column that is neither text nor a number
├── LengthMismatchError (ValueError)        arrays of one question set that differ in length
├── FitFunctionError (TypeError)            a fit function or estimator that cannot be used
├── SearchRangeError (ValueError)           a tune(...) range that contradicts itself
├── PredictionError (ValueError)            predictions that are not finite, or are no probabilities
├── TooFewRowsError (StatisticsError)       too few rows to train on or to evaluate on
├── TooFewBlocksError (StatisticsError)     too few independent blocks for an interval
├── UndefinedMetricError (StatisticsError)  a metric that these rows do not define
├── UntrustedTypeError (TypeError)          a model file that holds types nobody vouched for
├── UnreadableModelError (ValueError)       a file that is no model, or a damaged one
└── UnreadablePlanError (ValueError)        a file that is no compiled plan, or one that does not hold together

`statistics.StatisticsError` is a `ValueError`, and what the standard library raises for too little data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from statistics import StatisticsError


class ModelingError(Exception):
    """Base of every error raised in this package."""


class UnsupportedTaskError(ModelingError, ValueError):
    """A task that is neither binary nor regression."""

    def __init__(self, given: object, known: Iterable[str]) -> None:
        super().__init__(
            f"Task {given!r} is not supported; known are {sorted(known)}. "
            f"Turn several classes into one yes-or-no question each, or predict a number."
        )


class LabelError(ModelingError, ValueError):
    """Labels that do not fit the task."""

    def __init__(self, task: str, found: str) -> None:
        super().__init__(
            f"Task {task!r} cannot use these labels: {found}. "
            f"A binary label is 0 or 1, a regression label a finite number; correct the label or the task."
        )


class ColumnTypeError(ModelingError, TypeError):
    """A column that is neither text nor a number."""

    def __init__(self, column: str, found: str) -> None:
        self.column = column
        super().__init__(
            f"Feature {column!r} holds {found}, and a model takes text or numbers. "
            f"Derive a number from it, such as an hour, an age or a count, or leave it out."
        )


class LengthMismatchError(ModelingError, ValueError):
    """Arrays of one question set that differ in length."""

    def __init__(self, lengths: Mapping[str, int]) -> None:
        super().__init__(
            f"Rows do not match: {dict(lengths)}. "
            f"Give arrays of one length, in which the same place means the same question."
        )


class FitFunctionError(ModelingError, TypeError):
    """A fit function or estimator that cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            f"{name} cannot be fitted: {problem}. "
            f"Give a scikit-learn estimator, or a function fit(X, y, ...) that returns one."
        )


class SearchRangeError(ModelingError, ValueError):
    """A tune(...) range that contradicts itself."""

    def __init__(self, default: float, low: float, high: float, problem: str) -> None:
        super().__init__(
            f"tune({default!r}, {low!r}, {high!r}): {problem}. "
            f"Write tune(default, low, high) with low <= default <= high, and log=True only above zero."
        )


class PredictionError(ModelingError, ValueError):
    """Predictions that are not finite, or are no probabilities."""

    def __init__(self, metric: str, found: str) -> None:
        super().__init__(
            f"These predictions cannot be judged by {metric}: {found}. "
            f"A binary model answers probabilities from 0 to 1, any model finite numbers; correct the model."
        )


class TooFewRowsError(ModelingError, StatisticsError):
    """Too few rows to train on or to evaluate on."""

    def __init__(self, rows: int, needed: int, what: str, where: str) -> None:
        self.rows, self.needed = rows, needed
        super().__init__(
            f"{rows} rows to {what} ({where}), and at least {needed} are needed. "
            f"Wait for more labels, or shorten the evaluation or the gap."
        )


class TooFewBlocksError(ModelingError, StatisticsError):
    """Too few independent blocks for an interval."""

    def __init__(self, blocks: int, needed: int, length: timedelta | None = None) -> None:
        self.blocks, self.needed = blocks, needed
        of_length = f" of {length}" if length else ""
        super().__init__(
            f"{blocks} independent blocks{of_length}, and an interval needs at least {needed}. "
            f"Evaluate on a longer time, or declare shorter blocks if those are independent."
        )


class UndefinedMetricError(ModelingError, StatisticsError):
    """A metric that these rows do not define."""

    def __init__(self, metric: str, reason: str) -> None:
        super().__init__(
            f"{metric} is not defined on these rows: {reason}. "
            f"Use more rows, or a metric that needs no contrast, such as brier or mae."
        )


class UntrustedTypeError(ModelingError, TypeError):
    """A model file that holds types nobody vouched for."""

    def __init__(self, path: Path, types: Iterable[str]) -> None:
        self.types = sorted(types)
        super().__init__(
            f"{path} holds {self.types}, which are not on the list of types that may be loaded; nothing was "
            f"loaded. If you trust them, name them in the setting trusted_types of incumbent.toml; "
            f"a model cannot do so itself."
        )


class UnreadableModelError(ModelingError, ValueError):
    """A file that is no model, or a damaged one."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path} cannot be read as a model: {problem}. "
            f"Restore the file, or train again with the libraries installed here."
        )


class UnreadablePlanError(ModelingError, ValueError):
    """A file that is no compiled plan, or one that does not hold together."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The file cannot be used as a compiled plan: {problem}. "
            f"Restore it, or register the model again; until then its pipeline answers, slower."
        )
