"""Aggregates over a span of time, of the rows that were known when the question was asked.

A value depends on the rows in its window and on nothing else: not on how history was cut into chunks, and
not on what else is asked. What the aggregates mean is written in `aggregates`.

A version of a row is in the window `(t - over, t]` for every `t` from the moment at which it has happened and is known
until it is too old or replaced: an interval of time. So a sum at `t` is the sum of all versions that have come
into sight by then, less the sum of all that have gone out of it, and late rows and corrections cost nothing extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from feature_store.definitions.aggregates import ADDED, Aggregate, Kind, answer_type, recognise
from feature_store.definitions.spec_text import spec_text
from feature_store.point_in_time.asof_join import Moments, gathered, newest
from feature_store.point_in_time.exact_columns import ExactColumn, doubles, finite_parts, variances
from feature_store.point_in_time.timeline import Asked, Ints, Timeline
from feature_store.point_in_time.versions import FOREVER, Versions
from feature_store.point_in_time.window_rows import WindowRows


@dataclass(frozen=True, slots=True)
class Spans:
    """For each of n questions: events in `(end - over, end]`, as they were known at `end + lag`.

    Attributes:
        end: microseconds since 1970 (UTC).
        over: microseconds.
        lag: microseconds.
        own: the key digest of each question's own row, which is left out.
    """

    end: Ints
    over: int
    lag: int = 0
    own: Ints | None = None

    def take(self, which: Ints) -> Spans:
        """The spans of some of the questions."""
        return Spans(self.end[which], self.over, self.lag, None if self.own is None else self.own[which])


def aggregate(
    questions: pl.DataFrame,
    rows: pl.DataFrame,
    spans: Spans,
    *,
    by: Sequence[str],
    aggregates: Mapping[str, pl.Expr],
) -> pl.DataFrame:
    """Evaluate aggregations over each question's window.

    Args:
        questions: n rows with the columns `by`.
        rows: m rows as `tables.facts` returns them.
        spans: the window of each question; its own row is left out.
        by: columns that a question and its rows share.
        aggregates: expressions by the name of their result.

    Returns:
        n rows in the order of `questions`, one column per aggregate. Over an empty window they are what
        Polars makes of no rows: null for a mean, 0 for a length or a sum.

    Raises:
        SumOverflowError: a sum of whole numbers is beyond 64 bits.
    """
    return Windows(Asked(questions), rows, spans, by).over(spans.over, aggregates)


class Windows:
    """The windows of one table for n questions, of any length: what several lengths share is made once."""

    def __init__(self, asked: Asked, rows: pl.DataFrame, spans: Spans, by: Sequence[str]) -> None:
        self._rows = rows
        self._codes, codes = asked.codes(rows, by, told="the window")
        self._asked = Moments(codes, spans.end, spans.own)
        self._versions = Versions.of(rows, lag=spans.lag)
        self._columns: dict[str, _Values] = {}
        self._seen: tuple[Timeline, Ints] | None = None
        self._newest: Ints | None = None

    def over(self, length: int, aggregates: Mapping[str, pl.Expr]) -> pl.DataFrame:
        """One column per aggregate over the events of the last `length` microseconds."""
        if not aggregates:
            return pl.DataFrame()
        sights = _Lazy(self, length)
        return pl.DataFrame([self._answer(name, one, sights) for name, one in aggregates.items()])

    def _answer(self, name: str, expression: pl.Expr, sights: _Lazy) -> pl.Series:
        found = recognise(expression)
        dtype = None if found is None else answer_type(found, self._rows.schema)
        if found is None or dtype is None:
            return sights.rows.by_polars(expression.alias(name))
        if found.kind in ADDED:
            values = self._values(found)
            return sights.sums.answer(found.kind, values).cast(dtype).alias(name)
        values_ = found.over(self._rows)
        if found.kind is Kind.LAST:
            return gathered(values_.to_frame(), sights.newest).to_series().alias(name)
        return _typed(sights.rows.ranged(found.kind, values_), dtype).alias(name)

    def _values(self, aggregate: Aggregate) -> _Values:
        key = "" if aggregate.values is None else spec_text(aggregate.values)
        if key not in self._columns:
            self._columns[key] = _Values.of(aggregate.over(self._rows))
        return self._columns[key]

    def newest_since(self, length: int) -> Ints:
        """The newest row in each window; -1 where it is empty."""
        if self._newest is None:
            self._newest = newest(self._versions, self._codes, self._asked)
        found = self._newest
        if not len(self._codes):
            return found
        return np.where(self._versions.event[np.maximum(found, 0)] > self._asked.at - length, found, -1)

    def rows(self, length: int) -> WindowRows:
        """Which rows each window holds."""
        return WindowRows.of(self._rows, self._versions, self._codes, self._asked, length)

    def sums(self, length: int) -> _Sums:
        """How many rows have come into sight of each question, and how many have gone out of it."""
        come, came = self._come()
        versions = self._versions
        if not versions.late and not versions.corrected:
            gone = come
            left = gone.upto(self._asked.codes, self._asked.at - length)
            leaves = versions.event + length
        else:
            too_old = np.where(versions.event > FOREVER - length, FOREVER, versions.event + length)
            leaves = np.maximum(versions.seen_from, np.minimum(too_old, versions.until))
            gone = Timeline.of(self._codes, leaves)
            left = gone.upto(self._asked.codes, self._asked.at)
        return _Sums(come.order, came, gone.order, left, *self._own(leaves))

    def _come(self) -> tuple[Timeline, Ints]:
        if self._seen is None:
            timeline = Timeline.of(self._codes, self._versions.seen_from)
            self._seen = timeline, timeline.upto(self._asked.codes, self._asked.at)
        return self._seen

    def _own(self, leaves: Ints) -> tuple[Ints, Ints]:
        """The questions whose own row is in their window, and that row."""
        asked, versions = self._asked, self._versions
        if asked.own is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows = pl.DataFrame({"key": versions.key}).with_row_index("row")
        pairs = pl.DataFrame({"key": asked.own}).with_row_index("question").join(rows, on="key")
        question, row = (pairs[name].cast(pl.Int64).to_numpy() for name in ("question", "row"))
        inside = (self._codes[row] == asked.codes[question]) & (versions.seen_from[row] <= asked.at[question])
        inside &= leaves[row] > asked.at[question]
        return question[inside], row[inside]


def _typed(found: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Physical values as what they stand for."""
    return found.cast(pl.Int32).cast(dtype) if dtype == pl.Date else found.cast(dtype)


class _Lazy:
    """What the aggregates over one length need, each made when the first of them asks."""

    def __init__(self, windows: Windows, length: int) -> None:
        self._windows, self._length = windows, length
        self._sums: _Sums | None = None
        self._rows: WindowRows | None = None

    @property
    def sums(self) -> _Sums:
        if self._sums is None:
            self._sums = self._windows.sums(self._length)
        return self._sums

    @property
    def rows(self) -> WindowRows:
        if self._rows is None:
            self._rows = self._windows.rows(self._length)
        return self._rows

    @property
    def newest(self) -> Ints:
        return self._windows.newest_since(self._length)


class _Values:
    """A column that is summed: its numbers, which of them are there, and which are not finite."""

    def __init__(self, numbers: ExactColumn, present: Ints | None, odd: Sequence[Ints], whole: bool) -> None:
        self.numbers, self.present, self.odd, self.whole = numbers, present, odd, whole
        self._squares: ExactColumn | None = None
        self._prefixes: dict[tuple[int, int], tuple[Ints, ExactColumn]] = {}

    @classmethod
    def of(cls, values: pl.Series) -> _Values:
        present = values.is_not_null().to_numpy().astype(np.int64) if values.null_count() else None
        if values.dtype.is_float():
            numbers, odd = finite_parts(doubles(values))
            return cls(ExactColumn.of(numbers), present, odd, whole=False)
        number = values.dtype.is_integer() or values.dtype == pl.Boolean
        whole = values.cast(pl.Int64).fill_null(0).to_numpy() if number else np.zeros(len(values), np.int64)
        return cls(ExactColumn.of(whole), present, (), whole=True)

    @property
    def squares(self) -> ExactColumn:
        if self._squares is None:
            self._squares = self.numbers.squares()
        return self._squares

    def prefix(self, column: ExactColumn, order: Ints) -> ExactColumn:
        """The prefix sums of one of the columns in an order of rows; remembered."""
        key = id(column), id(order)
        if key not in self._prefixes:
            # The order is kept as well: one that is gone would leave its id to the next.
            self._prefixes[key] = order, column.take(order).prefix()
        return self._prefixes[key][1]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over the rows of each window: what came into sight less what went out of it.

    Attributes:
        come: rows in the order of coming into sight; `came` of them have, of the question's entity or before it.
        gone: rows in the order of going out of sight; `left` of them have.
        question: those whose own row, at the same place of `own`, is to be taken out again.
    """

    come: Ints
    came: Ints
    gone: Ints
    left: Ints
    question: Ints
    own: Ints

    def answer(self, kind: Kind, values: _Values) -> pl.Series:
        """The aggregate of each window."""
        match kind:
            case Kind.LEN:
                return pl.Series(self._rows())
            case Kind.COUNT:
                return pl.Series(self._count(values))
            case Kind.SUM if values.whole:
                return pl.Series(self._exact(values, values.numbers).whole_sums())
            case Kind.SUM:
                return pl.Series(self._sum(values))
        count = self._count(values)
        if kind is Kind.MEAN:
            with np.errstate(invalid="ignore"):
                means = self._sum(values) / np.maximum(count, 1)
            return pl.Series(means).set(pl.Series(count == 0), None)
        spread = np.sqrt(variances(count, self._exact(values, values.numbers), self._exact(values, values.squares)))
        for odd in values.odd:
            spread[self._whole(odd) > 0] = np.nan
        return pl.Series(spread).set(pl.Series(count < 2), None)

    def _rows(self) -> Ints:
        found = self.came - self.left
        found[self.question] -= 1
        return found

    def _count(self, values: _Values) -> Ints:
        return self._rows() if values.present is None else self._whole(values.present)

    def _whole(self, numbers: Ints) -> Ints:
        prefix = [np.concatenate([[0], np.cumsum(numbers[order])]) for order in (self.come, self.gone)]
        found: Ints = prefix[0][self.came] - prefix[1][self.left]
        found[self.question] -= numbers[self.own]
        return found

    def _exact(self, values: _Values, column: ExactColumn) -> ExactColumn:
        come, gone = values.prefix(column, self.come), values.prefix(column, self.gone)
        found = come.take(self.came).minus(gone.take(self.left))
        return found.without(self.question, column.take(self.own)) if len(self.question) else found

    def _sum(self, values: _Values) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        found = self._exact(values, values.numbers).rounded()
        if values.odd:
            nan, up, down = (self._whole(odd) > 0 for odd in values.odd)
            found[up], found[down] = np.inf, -np.inf
            found[nan | (up & down)] = np.nan
        return found
