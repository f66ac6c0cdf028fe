"""Features that are computed from what a question brings: one expression or function, for training and for serving."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from polars.exceptions import ColumnNotFoundError

from feature_store.definitions.feature_view import Transform, transform_name
from feature_store.errors import MissingColumnsError, SpecError


def transformed(transform: Transform, questions: pl.DataFrame) -> pl.Series:
    """The feature of n questions.

    Raises:
        MissingColumnsError: the questions lack a column.
        SpecError: a function, or an expression, gives something else than one value for each question.
        Whatever a function raises.
    """
    name = transform_name(transform)
    if isinstance(transform, pl.Expr):
        missing = [root for root in transform.meta.root_names() if root not in questions.columns]
        if missing:
            raise MissingColumnsError(f"questions for derived({name})", missing, questions.columns)
        made = questions.select(transform).to_series()
    else:
        made = _called(transform, questions)
    if not isinstance(made, pl.Series):
        raise SpecError(f"derived({name})", f"it gives {type(made).__name__}", "Give a Polars series, one value a row")
    if len(made) != questions.height:
        problem = f"it gives {len(made):,} values for {questions.height:,} questions"
        raise SpecError(f"derived({name})", problem, "Give one value a row, which does not depend on the other rows")
    return made.alias(name)


def _called(function: Callable[[pl.DataFrame], pl.Series], questions: pl.DataFrame) -> pl.Series:
    try:
        return function(questions)
    except ColumnNotFoundError as error:
        told = f"questions for derived({transform_name(function)})"
        raise MissingColumnsError(told, [str(error)], questions.columns) from error
