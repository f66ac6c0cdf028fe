"""Feature values for questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import assert_never

import polars as pl
from polars.exceptions import ColumnNotFoundError

from feature_store.asof_join import asof_join
from feature_store.errors import LeakError, MissingColumnsError
from feature_store.feature_view import (
    Derived,
    Feature,
    Latest,
    Recency,
    Request,
    Transform,
    Windowed,
    check_features,
    joins_on,
    transform_name,
)
from feature_store.lake import Lake
from feature_store.questions import own_keys
from feature_store.span import microseconds
from feature_store.spine import Spine, asked_source
from feature_store.tables import facts
from feature_store.timeline import moments
from feature_store.windows import Spans, aggregate

_MICROSECONDS_A_DAY = 86_400_000_000


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
        MissingColumnsError: the questions lack a column.
    """
    wanted = check_features(views, spine)
    found = questions
    for view in views:
        found = found.with_columns(_values(view, questions, lake, spine))
    kept = [name for name in questions.columns if name not in wanted]
    return found.select(*kept, *wanted)


def _values(view: Feature, questions: pl.DataFrame, lake: Lake, spine: Spine) -> list[pl.Series]:
    match view:
        case Request(columns=columns):
            _require(questions, columns, view.told)
            return [questions[column] for column in columns]
        case Derived(transforms=transforms):
            return [_transformed(transform, questions, spine) for transform in transforms]
        case Latest():
            return _latest(view, questions, lake, spine)
        case Windowed():
            return _windowed(view, questions, lake, spine)
        case Recency():
            return [_recency(view, questions, lake, spine)]
    assert_never(view)


def _require(questions: pl.DataFrame, columns: Sequence[str], told: str) -> None:
    missing = [column for column in columns if column not in questions.columns]
    if missing:
        raise MissingColumnsError(f"questions for {told}", missing, questions.columns)


def _transformed(transform: Transform, questions: pl.DataFrame, spine: Spine) -> pl.Series:
    if isinstance(transform, pl.Expr):
        _require(questions, transform.meta.root_names(), "derived")
        return questions.select(transform).to_series()
    return _called(transform, questions, spine)


def _called(transform: Callable[[pl.DataFrame], pl.Series], questions: pl.DataFrame, spine: Spine) -> pl.Series:
    source = asked_source(spine)
    try:
        made = transform(questions)
    except (ColumnNotFoundError, KeyError) as error:
        for column, time in source.later_columns.items():
            if f'"{column}"' in str(error) or f"'{column}'" in str(error):
                raise LeakError(column, time, f"Leave it out of {transform_name(transform)}") from error
        raise
    return made.alias(transform_name(transform))


def _latest(view: Latest, questions: pl.DataFrame, lake: Lake, spine: Spine) -> list[pl.Series]:
    source = view.source
    earlier = questions.with_columns(pl.col("as_of") - (view.ago or timedelta(0)))
    own = own_keys(spine, questions, source, lake)
    found: dict[str, pl.Series] = {}
    # Columns that become known together are looked up together.
    for times in dict.fromkeys(source.known_with(column) for column in view.columns):
        columns = [column for column in view.columns if source.known_with(column) == times]
        rows = facts(source, lake, [*columns, *source.entity_columns])
        joined = asof_join(earlier, rows, by=source.entity_columns, ttl=view.ttl, own=own)
        found |= {column: joined[column] for column in columns}
    return [found[column].alias(name) for column, name in zip(view.columns, view.names, strict=True)]


def _windowed(view: Windowed, questions: pl.DataFrame, lake: Lake, spine: Spine) -> list[pl.Series]:
    source = view.source
    own = own_keys(spine, questions, source, lake)
    as_of = moments(questions["as_of"])
    found: dict[str, pl.Series] = {}
    inputs = {name: tuple(expression.meta.root_names()) for name, expression in view.aggregates.items()}
    waits = {name: source.known_with(expression) for name, expression in view.aggregates.items()}
    for times in dict.fromkeys(waits.values()):
        aggregates = {name: one for name, one in view.aggregates.items() if waits[name] == times}
        columns = {column for name in aggregates for column in inputs[name]} | set(joins_on(view))
        rows = facts(source, lake, sorted(columns))
        for text, over in view.over:
            spans = Spans(as_of - microseconds(over), as_of, as_of, own)
            values = aggregate(questions, rows, spans, by=view.by, aggregates=aggregates)
            found |= {f"{name}_{text}": values[name].alias(f"{name}_{text}") for name in aggregates}
    return [found[name] for name in view.names]


def _recency(view: Recency, questions: pl.DataFrame, lake: Lake, spine: Spine) -> pl.Series:
    source = view.source
    rows = facts(source, lake, source.entity_columns)
    own = own_keys(spine, questions, source, lake)
    joined = asof_join(questions, rows, by=source.entity_columns, ttl=None, own=own)
    age = (questions["as_of"] - joined["event_time"]).dt.total_microseconds()
    return (age / _MICROSECONDS_A_DAY).alias(view.name)
