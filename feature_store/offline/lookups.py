"""The features that are looked up in tables: newest rows, windows and recency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from feature_store.definitions.feature_view import Feature, Latest, Recency, Windowed, joins_on
from feature_store.definitions.source import Source
from feature_store.definitions.spine import Spine
from feature_store.errors import MissingColumnsError
from feature_store.offline.questions import own_keys
from feature_store.point_in_time.asof_join import Moments, gathered, newest_within
from feature_store.point_in_time.timeline import Asked, Ints, moments
from feature_store.point_in_time.versions import Versions
from feature_store.point_in_time.windows import Spans, Windows
from feature_store.span import microseconds
from feature_store.storage.lake import Lake
from feature_store.storage.reach import EVERYTHING, Bucket, Reach, buckets
from feature_store.storage.tables import facts

Looked = Latest | Windowed | Recency

_MICROSECONDS_A_DAY = 86_400_000_000
_NO_TIME = timedelta(0)


def looked_up(
    views: Sequence[Feature], questions: pl.DataFrame, lake: Lake, *, spine: Spine, parts: int | None = None
) -> pl.DataFrame:
    """The features that are looked up in tables, for n questions in their order.

    Args:
        parts: None reads whole tables. A number reads only the events that these questions can reach, and of those
            one of so many buckets of entities at a time.

    Raises:
        MissingColumnsError: the questions lack a column.
    """
    asked = Asked(questions)
    found: list[pl.Series] = []
    for view in views:
        if isinstance(view, Latest | Windowed | Recency):
            found += _looked(view, _Lookup(asked, lake, spine), parts)
    return pl.DataFrame(found)


def _looked(view: Looked, lookup: _Lookup, parts: int | None) -> list[pl.Series]:
    if parts is None or not lookup.questions.height:
        return _values(view, lookup)
    lookup.require(joins_on(view), view.told)
    reach = _reach(view, lookup.questions)
    if parts == 1 or not joins_on(view):
        return _values(view, _Lookup(lookup.asked, lookup.lake, lookup.spine, reach))
    which, pieces = [], []
    for part, places in _parts(lookup.questions, joins_on(view), parts):
        asked = Asked(lookup.questions[places])
        within = Reach(reach.since, reach.until, part)
        pieces.append(pl.DataFrame(_values(view, _Lookup(asked, lookup.lake, lookup.spine, within))))
        which.append(places)
    back = np.argsort(np.concatenate(which))
    return pl.concat(pieces)[back].get_columns()


def _parts(questions: pl.DataFrame, by: Sequence[str], count: int) -> Iterator[tuple[Bucket, Ints]]:
    numbers = buckets(questions, by, count).to_numpy()
    for number in range(count):
        places = np.flatnonzero(numbers == number)
        if len(places):
            yield Bucket(tuple(by), number, count), places


def _reach(view: Looked, questions: pl.DataFrame) -> Reach:
    """The span of event times that can answer any of the questions."""
    first, last = questions["as_of"].min(), questions["as_of"].max()
    match view:
        case Windowed(over=over):
            back = max(length for _, length in over)
        case Latest(ttl=timedelta() as ttl, ago=ago):
            back = ttl + (ago or _NO_TIME)
        case _:
            return Reach(None, last)  # type: ignore[arg-type]
    try:
        return Reach(first - back, last)  # type: ignore[arg-type, operator]
    except OverflowError:  # before the first year
        return Reach(None, last)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Questions, and the rows in which their answers are looked up."""

    asked: Asked
    lake: Lake
    spine: Spine
    reach: Reach = EVERYTHING

    @property
    def questions(self) -> pl.DataFrame:
        return self.asked.frame

    def require(self, columns: Sequence[str], told: str) -> None:
        """Raise a MissingColumnsError where the questions lack one."""
        missing = [column for column in columns if column not in self.questions.columns]
        if missing:
            raise MissingColumnsError(f"questions for {told}", missing, self.questions.columns)

    def rows(self, source: Source, columns: Sequence[str]) -> pl.DataFrame:
        """The rows in reach."""
        return facts(source, self.lake, columns, self.reach)

    def own(self, source: Source) -> Ints | None:
        """The key digest of each question's own row in the source."""
        return own_keys(self.spine, self.questions, source, self.lake)

    def newest(self, source: Source, rows: pl.DataFrame, ago: timedelta, ttl: timedelta | None) -> Ints:
        """The index of the row that answers each question, as it stood `ago`; -1 where none does."""
        codes, asked = self.asked.codes(rows, source.entity_columns, told="the as-of join")
        at = moments(self.questions["as_of"]) - microseconds(ago)
        return newest_within(Versions.of(rows), codes, Moments(asked, at, self.own(source)), ttl)


def _values(view: Looked, lookup: _Lookup) -> list[pl.Series]:
    match view:
        case Latest():
            return _latest(view, lookup)
        case Windowed():
            return _windowed(view, lookup)
        case Recency():
            return [_recency(view, lookup)]


def _latest(view: Latest, lookup: _Lookup) -> list[pl.Series]:
    source = view.source
    found: dict[str, pl.Series] = {}
    # Columns that become known together are looked up together.
    for times in dict.fromkeys(source.known_with(column) for column in view.columns):
        columns = [column for column in view.columns if source.known_with(column) == times]
        rows = lookup.rows(source, [*columns, *source.entity_columns])
        places = lookup.newest(source, rows, view.ago or _NO_TIME, view.ttl)
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
        rows = lookup.rows(source, sorted(columns))
        spans = Spans(moments(lookup.questions["as_of"]), 0, own=lookup.own(source))
        windows = Windows(lookup.asked, rows, spans, view.by)
        for text, over in view.over:
            values = windows.over(microseconds(over), aggregates)
            found |= {f"{name}_{text}": values[name].alias(f"{name}_{text}") for name in aggregates}
    return [found[name] for name in view.names]


def _recency(view: Recency, lookup: _Lookup) -> pl.Series:
    source = view.source
    rows = lookup.rows(source, source.entity_columns)
    event = gathered(rows.select("event_time"), lookup.newest(source, rows, _NO_TIME, None))["event_time"]
    age = (lookup.questions["as_of"] - event).dt.total_microseconds()
    return (age / _MICROSECONDS_A_DAY).alias(view.name)
