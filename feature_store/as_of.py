"""The moment that each question is asked about."""

from __future__ import annotations

import polars as pl

from feature_store.errors import QuestionTimeError

_UTC = pl.Datetime("us", "UTC")


def timed(questions: pl.DataFrame) -> pl.DataFrame:
    """The questions with `as_of` in UTC and microseconds, whatever zone and unit it came in.

    Raises:
        QuestionTimeError: `as_of` is not there, null somewhere, or no moment with a zone.
    """
    if "as_of" not in questions.columns:
        raise QuestionTimeError(f"not among {questions.columns}")
    dtype = questions.schema["as_of"]
    if not isinstance(dtype, pl.Datetime):
        raise QuestionTimeError(f"a column of {dtype}")
    if dtype.time_zone is None:
        raise QuestionTimeError("a column of moments without a time zone")
    if questions["as_of"].null_count():
        raise QuestionTimeError(f"null in {questions['as_of'].null_count():,} of {questions.height:,} questions")
    if dtype == _UTC:
        return questions
    return questions.with_columns(pl.col("as_of").dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
