"""Feature values for questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

import polars as pl
from polars.exceptions import ColumnNotFoundError

from feature_store.asof_join import Moments, gathered, newest_within
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
from feature_store.source import Source
from feature_store.span import microseconds
from feature_store.spine import Spine, asked_source
from feature_store.tables import facts
from feature_store.timeline import Asked, Ints, moments
from feature_store.versions import Versions
from feature_store.windows import Spans, Windows

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
    lookup = _Lookup(Asked(questions), lake, spine)
    found = questions
    for view in views:
        found = found.with_columns(_values(view, lookup))
    kept = [name for name in questions.columns if name not in wanted]
    return found.select(*kept, *wanted)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Questions and where their answers are looked up."""

    asked: Asked
    lake: Lake
    spine: Spine

    @property
    def questions(self) -> pl.DataFrame:
        return self.asked.frame

    def own(self, source: Source) -> Ints | None:
        """The key digest of each question's own row in the source."""
        return own_keys(self.spine, self.questions, source, self.lake)

    def newest(self, source: Source, rows: pl.DataFrame, ago: timedelta, ttl: timedelta | None) -> Ints:
        """The index of the row that answers each question, as it stood `ago`; -1 where none does."""
        codes, asked = self.asked.codes(rows, source.entity_columns, told="the as-of join")
        at = moments(self.questions["as_of"]) - microseconds(ago)
        return newest_within(Versions.of(rows), codes, Moments(asked, at, self.own(source)), ttl)


def _values(view: Feature, lookup: _Lookup) -> list[pl.Series]:
    match view:
        case Request(columns=columns):
            _require(lookup.questions, columns, view.told)
            return [lookup.questions[column] for column in columns]
        case Derived(transforms=transforms):
            return [_transformed(transform, lookup.questions, lookup.spine) for transform in transforms]
        case Latest():
            return _latest(view, lookup)
        case Windowed():
            return _windowed(view, lookup)
        case Recency():
            return [_recency(view, lookup)]
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


def _latest(view: Latest, lookup: _Lookup) -> list[pl.Series]:
    source = view.source
    found: dict[str, pl.Series] = {}
    # Columns that become known together are looked up together.
    for times in dict.fromkeys(source.known_with(column) for column in view.columns):
        columns = [column for column in view.columns if source.known_with(column) == times]
        rows = facts(source, lookup.lake, [*columns, *source.entity_columns])
        places = lookup.newest(source, rows, view.ago or timedelta(0), view.ttl)
        joined = gathered(rows.select(columns), places)
        found |= {column: joined[column] for column in columns}
    return [found[column].alias(name) for column, name in zip(view.columns, view.names, strict=True)]


def _windowed(view: Windowed, lookup: _Lookup) -> list[pl.Series]:
    source = view.source
    found: dict[str, pl.Series] = {}
    waits = {name: source.known_with(expression) for name, expression in view.aggregates.items()}
    for times in dict.fromkeys(waits.values()):
        aggregates = {name: one for name, one in view.aggregates.items() if waits[name] == times}
        columns = {column for one in aggregates.values() for column in one.meta.root_names()} | set(joins_on(view))
        rows = facts(source, lookup.lake, sorted(columns))
        spans = Spans(moments(lookup.questions["as_of"]), 0, own=lookup.own(source))
        windows = Windows(lookup.asked, rows, spans, view.by)
        for text, over in view.over:
            values = windows.over(microseconds(over), aggregates)
            found |= {f"{name}_{text}": values[name].alias(f"{name}_{text}") for name in aggregates}
    return [found[name] for name in view.names]


def _recency(view: Recency, lookup: _Lookup) -> pl.Series:
    source = view.source
    rows = facts(source, lookup.lake, source.entity_columns)
    event = gathered(rows.select("event_time"), lookup.newest(source, rows, timedelta(0), None))["event_time"]
    age = (lookup.questions["as_of"] - event).dt.total_microseconds()
    return (age / _MICROSECONDS_A_DAY).alias(view.name)
