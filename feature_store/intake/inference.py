"""Expectations inferred from a source's own history, for a person to review.

Limits that hold from one window to the next are taken from the windows themselves: how far a median, a share or a
pace moved between them says how far it may move. What only a longer history could tell is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl

from feature_store.definitions.source import Source
from feature_store.definitions.suite import (
    BETWEEN,
    DAYS,
    IN_SET,
    MEDIAN,
    NEWEST,
    NOT_NULL,
    NOTE,
    OLDEST,
    QUARANTINE,
    ROWS,
    STOP,
    TYPE,
    UNIQUE,
    Check,
    Suite,
    check,
)
from feature_store.intake.validation import FEWEST
from feature_store.span import utc
from feature_store.storage.lake import Lake
from feature_store.storage.tables import base_columns, known, table_of

_FEWEST_WINDOWS = 4
_MOST_VALUES = 300
_ENOUGH = 1000  # rows from which on "never so far" is worth expecting
_WINDOW = "_window"
_TYPES: dict[str, list[str]] = {
    "number": ["int8", "int16", "int32", "int64", "float32", "float64"],
    "text": ["str"],
    "boolean": ["bool", "bool_"],
}


def infer_suite(source: Source, lake: Lake, *, as_of: datetime, every: timedelta) -> Suite:
    """What may be expected of the next batch, from all that the source knew at `as_of`.

    Args:
        every: length of the windows that are compared with one another; a batch of this length is what the shares
            and medians are for.

    Raises:
        TableNotFoundError: the source was never ingested.
    """
    as_of = utc("as_of", as_of)
    rows = known(source, lake, as_of)
    rows = rows.with_columns(_numbered(rows, as_of, every) if not source.timeless else pl.lit(0).alias(_WINDOW))
    parts = {name: "" for name in base_columns(source, lake) if name in rows.columns}
    parts |= {name: time for name, time in source.later_columns.items() if name in rows.columns and name != time}
    names = {*(source.key_columns or ()), *source.entity_columns}
    times = {source.event_time, source.available_at, *source.later}
    checks = [] if source.timeless else list(_of_the_table(source, rows, as_of, every))
    for name, part in parts.items():
        if name not in times and not rows.schema[name].is_temporal():
            checks.extend(_Column(rows.select(name, _WINDOW), name, part).checks(is_name=name in names))
    told = f"{rows.height:,} rows of {table_of(source)} up to {as_of.isoformat()}"
    return Suite(source.name, tuple(checks), told)


def _numbered(rows: pl.DataFrame, as_of: datetime, every: timedelta) -> pl.Series:
    """The window of each row, 0 the newest; what happens after `as_of` and was known before counts as newest."""
    age = (pl.lit(as_of).cast(pl.Datetime("us", "UTC")) - pl.col("event_time")).dt.total_microseconds()
    return rows.select((age // (every // timedelta(microseconds=1))).clip(0).alias(_WINDOW)).to_series()


def _of_the_table(source: Source, rows: pl.DataFrame, as_of: datetime, every: timedelta) -> Iterator[Check]:
    """Pace and age: how many rows come in a day, and how old the newest is when one looks."""
    counts = rows.group_by(_WINDOW).len().sort(_WINDOW)["len"]
    whole = counts[1:-1]  # the newest may reach beyond now, and the oldest begin in the middle
    if len(whole) < _FEWEST_WINDOWS:
        return
    days = every / timedelta(days=1)
    low, high = _number(whole.min()) / days, _number(whole.max()) / days
    margin = max(high - low, high / 2)
    slow, fast = max(0, round(low - margin)), round(high + margin)
    limits = {"min_value": {"$PARAMETER": f"{slow} * {DAYS}"}, "max_value": {"$PARAMETER": f"{fast} * {DAYS}"}}
    yield check(ROWS, NOTE, **limits).because(f"{low:,.0f} to {high:,.0f} rows a day in {len(whole)} windows")
    ages = [as_of - every * number - newest for number, newest in _newest(rows, as_of, every, len(whole))]
    if ages:
        limit = max(timedelta(0), max(ages)) + max(max(ages) - min(ages), every / 7)
        age = timedelta(hours=-(-limit // timedelta(hours=1)))
        told = f"at most {_told_age(max(ages))} in {len(ages)} windows"
        yield check(NEWEST, NOTE, column="event_time", min_value={"$PARAMETER": OLDEST}).because(told, age=age)


def _newest(rows: pl.DataFrame, as_of: datetime, every: timedelta, windows: int) -> Iterator[tuple[int, datetime]]:
    for number in range(windows):
        newest = rows.filter(pl.col("available_at") <= as_of - every * number)["event_time"].max()
        if isinstance(newest, datetime):
            yield number, newest


def _told_age(age: timedelta) -> str:
    return f"{age / timedelta(hours=1):.1f} hours old" if age > timedelta(0) else "ahead of its time"


class _Column:
    """One column and what its history allows to expect."""

    def __init__(self, rows: pl.DataFrame, name: str, part: str) -> None:
        self.name, self.part = name, part
        self.all = rows[name]
        self.values = self.all.drop_nulls()
        kept = rows.filter(pl.col(name).is_not_null())
        pieces = kept.sort(_WINDOW, maintain_order=True).partition_by(_WINDOW, maintain_order=True)
        self.windows = [one[name] for one in pieces if one.height >= FEWEST]  # the newest first
        self.nulls = rows.group_by(_WINDOW).agg(share=pl.col(name).is_null().mean(), rows=pl.len())
        self.distinct = self.values.n_unique()

    def checks(self, *, is_name: bool) -> Iterator[Check]:
        """Every expectation of the column, those that stop a batch first.

        Args:
            is_name: its numbers name something, so that their size means nothing.
        """
        kind = self._kind()
        if kind is None or not len(self.values):
            return
        yield self._check(TYPE, STOP, f"{kind} so far", type_list=_TYPES[kind])
        if kind != "number" or not (is_name or self._counts_up()):
            again = list(self._known_values(numeric=kind == "number"))
            yield from again
            if kind == "number":
                yield from () if again else self._median()
                yield from self._range()
        yield self._present()
        if self.distinct == len(self.values) >= _ENOUGH and not self.all.dtype.is_float():
            yield self._check(UNIQUE, NOTE, "no value twice so far", min_value=0.99)

    def _check(self, kind: str, otherwise: str, why: str, **arguments: object) -> Check:
        return check(kind, otherwise, column=self.name, **arguments).because(why, self.part)

    def _kind(self) -> str | None:
        dtype = self.all.dtype
        if dtype.is_numeric():
            return "number"
        return {pl.String(): "text", pl.Boolean(): "boolean"}.get(dtype)

    def _counts_up(self) -> bool:
        """Whether its middle moved one way from each window to the next: a number of that kind goes on moving."""
        medians = [_number(one.median()) for one in self.windows]
        steps = [after - before for before, after in pairwise(medians)]
        return len(medians) >= _FEWEST_WINDOWS and (all(s > 0 for s in steps) or all(s < 0 for s in steps))

    def _median(self) -> Iterator[Check]:
        """Another unit moves the middle by more than windows differ, and by more than a quarter of the middle half."""
        if len(self.windows) < _FEWEST_WINDOWS:
            return
        medians = [_number(one.median()) for one in self.windows]
        low, high = min(medians), max(medians)
        half = _number(self.values.quantile(0.75)) - _number(self.values.quantile(0.25))
        margin = max(3 * (high - low), half / 4)
        if margin > 0:
            told = f"medians of {low:g} to {high:g} in {len(medians)} windows; the middle half is {half:g} wide"
            yield self._check(MEDIAN, STOP, told, min_value=_short(low - margin), max_value=_short(high + margin))

    def _known_values(self, *, numeric: bool) -> Iterator[Check]:
        """Values come again: how many did, from windows to the next, is what may be expected.

        Numbers that mostly come again (distances, seats) no longer do in another unit, and then the batch stops.
        Where a category is called otherwise it is noted: whether that is wrong, a person knows.
        """
        if self.distinct > _MOST_VALUES or (numeric and self.distinct < 3):
            return
        known = self._share_known_before()
        if known is None or known < 0.8:
            return
        mostly = 0.5 if numeric else max(0.0, known - max(0.02, 1 - known))
        values = sorted(self.values.unique().to_list())
        told = f"{len(values)} values so far; of a window's at least {known:.1%} had come before"
        yield self._check(IN_SET, STOP if numeric else NOTE, told, value_set=values, mostly=_short(mostly))

    def _share_known_before(self) -> float | None:
        """The smallest share of a window's rows whose value an earlier half of the windows holds."""
        if len(self.windows) < _FEWEST_WINDOWS:
            return None
        half = len(self.windows) // 2
        before = pl.concat(self.windows[half:]).unique()
        return min(_number(one.is_in(before.implode()).mean()) for one in self.windows[:half])

    def _range(self) -> Iterator[Check]:
        numbers = self.values.cast(pl.Float64)
        numbers = numbers.filter(numbers.is_finite())
        if numbers.n_unique() < 2:
            return
        low, high = (_number(numbers.quantile(share)) for share in (0.01, 0.99))
        far = 10 * (high - low)
        inside = numbers.filter(numbers.is_between(low - far, high + far)) if far else numbers
        least, most = _number(inside.min()), _number(inside.max())
        margin = max(most - least, far)  # what is far from all but nonsense may still come
        floor = 0.0 if least >= 0 and len(numbers) >= _ENOUGH else least - margin
        told = f"{least:g} to {most:g} so far"
        told += f"; {len(numbers) - len(inside)} values far outside were left out" if len(inside) < len(numbers) else ""
        yield self._check(BETWEEN, QUARANTINE, told, min_value=_short(floor), max_value=_short(most + margin))

    def _present(self) -> Check:
        shares = self.nulls.filter(pl.col("rows") >= FEWEST)["share"]
        low, high = (_number(shares.min()), _number(shares.max())) if len(shares) else (0.0, self._null_share())
        mostly = max(0.0, 1 - high - max(0.02, high - low))
        return self._check(NOT_NULL, NOTE, f"{low:.1%} to {high:.1%} null so far", mostly=_short(mostly))

    def _null_share(self) -> float:
        return self.all.null_count() / len(self.all)


def _number(value: object) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
