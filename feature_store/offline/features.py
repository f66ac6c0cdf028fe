"""Feature values for questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import polars as pl

from feature_store.as_of import timed
from feature_store.definitions.feature_view import (
    Combined,
    Derived,
    Feature,
    Latest,
    Recency,
    Request,
    Transform,
    Windowed,
    check_features,
    transform_name,
)
from feature_store.definitions.spine import Spine, asked_source
from feature_store.definitions.transforms import transformed
from feature_store.errors import LeakError, MissingColumnsError
from feature_store.offline.lookups import looked_up
from feature_store.storage.lake import Lake


def features(views: Sequence[Feature], questions: pl.DataFrame, lake: Lake, *, spine: Spine) -> pl.DataFrame:
    """Add one column per feature to the questions, each as it was known at the question's `as_of`.

    Args:
        views: the features.
        questions: n rows with `as_of` and the columns that the features ask for.
        lake: where sources were ingested.
        spine: what the questions are about; a question's own row never feeds its features.

    Returns:
        n rows in the order of `questions`: its columns, then the features in the order of `views`.

    Raises:
        LeakError: a feature would know what becomes known after the question.
        FeatureNameClashError: two features have one name.
        MissingColumnsError, ColumnTypeError: the questions, or a source, lack a column or have it of another type.
        QuestionTimeError: a question has no `as_of` that can be asked about.
        SumOverflowError: a window's sum of whole numbers is beyond 64 bits.
    """
    check_features(views, spine)
    questions = timed(questions)
    return put_together(views, questions, looked_up(views, questions, lake, spine=spine), spine=spine)


def put_together(
    views: Sequence[Feature], questions: pl.DataFrame, looked: pl.DataFrame, *, spine: Spine
) -> pl.DataFrame:
    """The questions with all their features, given those that `lookups.looked_up` returns."""
    wanted = check_features(views, spine)
    made = {name: looked[name] for name in looked.columns}
    for view in views:
        made |= {one.name: one for one in _brought(view, questions, made, spine)}
    kept = [questions[name] for name in questions.columns if name not in wanted]
    return pl.DataFrame([*kept, *(made[name] for name in wanted)])


def _brought(
    view: Feature, questions: pl.DataFrame, made: Mapping[str, pl.Series], spine: Spine
) -> Sequence[pl.Series]:
    """The features that need no table: what questions bring, and what is made of that and of other features."""
    match view:
        case Request(columns=columns):
            _require(questions, columns, view.told)
            return [questions[column] for column in columns]
        case Derived(transforms=transforms):
            return [_transformed(transform, questions, spine) for transform in transforms]
        case Combined():
            return [view.values(made[view.of], made[view.to])]
        case Latest() | Windowed() | Recency():
            return ()
    assert_never(view)


def _require(questions: pl.DataFrame, columns: Sequence[str], told: str) -> None:
    missing = [column for column in columns if column not in questions.columns]
    if missing:
        raise MissingColumnsError(f"questions for {told}", missing, questions.columns)


def _transformed(transform: Transform, questions: pl.DataFrame, spine: Spine) -> pl.Series:
    try:
        return transformed(transform, questions)
    except (MissingColumnsError, KeyError) as error:
        # A function's columns are known only when it asks for them.
        for column, time in asked_source(spine).later_columns.items():
            if f'"{column}"' in str(error) or f"'{column}'" in str(error):
                raise LeakError(column, time, f"Leave it out of {transform_name(transform)}") from error
        raise
