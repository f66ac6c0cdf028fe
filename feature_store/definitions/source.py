"""Where rows come from, and when each of their columns could have been known."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from feature_store.definitions.expectations import Expectation
from feature_store.definitions.suite import Suite
from feature_store.errors import SpecError
from feature_store.span import parse_span

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

Duplicates = Literal["quarantine", "first", "last"]


class WholeRow(Enum):
    """The key of a source without a key: every column together."""

    ALL = "ALL"


class Arrival(Enum):
    """The availability of rows that carry none: the moment of the batch that brought them."""

    INGESTED = "INGESTED"


ALL: Final = WholeRow.ALL
INGESTED: Final = Arrival.INGESTED


@dataclass(frozen=True, slots=True)
class Shift:
    """The moment in a column, moved by a length of time."""

    column: str
    offset: timedelta = timedelta(0)


def before(column: str, span: str | timedelta) -> Shift:
    """The moment this long before the one in `column`."""
    return Shift(column, -parse_span(span))


def after(column: str, span: str | timedelta) -> Shift:
    """The moment this long after the one in `column`."""
    return Shift(column, parse_span(span))


def names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Column names, given as one or as several."""
    return (given,) if isinstance(given, str) else tuple(given)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows of one kind, with their two times.

    Attributes:
        read: returns a Polars or pandas frame of everything there is to read.
        key: columns that identify a row, or ALL.
        event_time: the column that says when it happened.
        available_at: from when a question may use the row: a column, a `Shift`, or INGESTED.
        later: for each column of moments, the columns that are null before that moment. They count as
            having happened then.
        derive: further columns, row by row; available when their last input is.
        entity: what the row is about; the columns by which questions find it.
        timeless: the rows are the same at every moment, and have no times.
        tz: zone of moments that carry none.
        keep: which rows are this source's business; the others are dropped and counted.
        optional: columns that a batch may lack.
        duplicates: what becomes of rows with one key and one `available_at` but other values.
        expect: what must hold of the values.
        filters: conditions added by `where`, applied when reading.
        suite: further expectations, from a file beside the model file.
    """

    name: str
    read: Callable[[], Any]
    key: str | Sequence[str] | WholeRow
    event_time: str | None = None
    available_at: str | Shift | Arrival | None = None
    later: Mapping[str, Sequence[str]] = field(default_factory=dict)
    derive: Mapping[str, pl.Expr] = field(default_factory=dict)
    entity: str | Sequence[str] = ()
    timeless: bool = False
    tz: str = "UTC"
    keep: pl.Expr | None = None
    optional: str | Sequence[str] = ()
    duplicates: Duplicates = "quarantine"
    expect: Sequence[Expectation] = ()
    filters: tuple[pl.Expr, ...] = ()
    suite: Suite | None = None

    def __post_init__(self) -> None:
        self._normalise()
        self._check_name_and_zone()
        self._check_times()
        self._check_later()
        self._check_derived()

    def where(self, condition: pl.Expr) -> Source:
        """The same stored rows, but only those for which `condition` holds, when read."""
        return replace(self, filters=(*self.filters, condition))

    @property
    def key_columns(self) -> tuple[str, ...] | None:
        """The columns of the key; None when the whole row is the key."""
        return None if isinstance(self.key, WholeRow) else names(self.key)

    @property
    def entity_columns(self) -> tuple[str, ...]:
        """The columns that name the entity; empty when the source is one series."""
        return names(self.entity)

    @property
    def availability(self) -> Shift | Arrival | None:
        """When a row becomes available, as a shifted column; None for a timeless source."""
        return Shift(self.available_at) if isinstance(self.available_at, str) else self.available_at

    @property
    def later_columns(self) -> dict[str, str]:
        """For each column that is filled in afterwards, the column of the moment it becomes known."""
        filled = {column: time for time, columns in self.later.items() for column in columns}
        return filled | {time: time for time in self.later}

    def inputs(self, expression: pl.Expr | str) -> frozenset[str]:
        """The ingested columns that a column or an expression is made of."""
        roots = [expression] if isinstance(expression, str) else expression.meta.root_names()
        found: set[str] = set()
        for root in roots:
            found |= self.inputs(self.derive[root]) if root in self.derive else {root}
        return frozenset(found)

    def known_with(self, expression: pl.Expr | str) -> tuple[str, ...]:
        """The later moments that a column or an expression waits for; empty when it comes with the row."""
        waits = {self.later_columns[column] for column in self.inputs(expression) if column in self.later_columns}
        return tuple(time for time in self.later if time in waits)

    def _fail(self, problem: str, fix: str) -> SpecError:
        return SpecError(f"source {self.name!r}", problem, fix)

    def _normalise(self) -> None:
        object.__setattr__(self, "later", {time: names(columns) for time, columns in self.later.items()})
        object.__setattr__(self, "derive", dict(self.derive))
        object.__setattr__(self, "entity", names(self.entity))
        object.__setattr__(self, "optional", names(self.optional))
        object.__setattr__(self, "expect", tuple(self.expect))
        if not isinstance(self.key, WholeRow):
            object.__setattr__(self, "key", names(self.key))

    def _check_name_and_zone(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise self._fail("the name holds other characters than letters, digits, _ and -", "Rename it")
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise self._fail(f"tz {self.tz!r} is no time zone", "Write an IANA name such as Europe/London") from error
        if self.duplicates not in {"quarantine", "first", "last"}:
            raise self._fail(f"duplicates is {self.duplicates!r}", "Write quarantine, first or last")
        if self.key_columns == ():
            raise self._fail("key is empty", "Name the columns that identify a row, or write key=ALL")

    def _check_times(self) -> None:
        if self.timeless:
            if self.event_time or self.available_at or self.later:
                raise self._fail(
                    "a timeless source has no event_time, available_at or later",
                    "Leave them out, or leave out timeless=True",
                )
            return
        if self.event_time is None:
            raise self._fail("event_time is not given", 'Write event_time="column", or timeless=True')
        if self.available_at is None:
            raise self._fail(
                "available_at is not given",
                'Write available_at="column", after("column", "10m"), before("column", "2h") or INGESTED',
            )

    def _check_later(self) -> None:
        columns = [*self.later, *(column for group in self.later.values() for column in group)]
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise self._fail(f"later names {twice} twice", "Give every column one moment at which it becomes known")
        if self.later and self.key_columns is None:
            raise self._fail("later needs a key, and key is ALL", "Name the columns that identify a row")
        shift = self.availability
        timing = {self.event_time, shift.column if isinstance(shift, Shift) else None}
        wrong = sorted(set(columns) & {*(self.key_columns or ()), *timing, *self.entity_columns} - {None})
        if wrong:
            raise self._fail(
                f"{wrong} are filled in later, but identify or time the row", "Take them out of later, or of the key"
            )

    def _check_derived(self) -> None:
        seen: set[str] = set()
        taken = {*self.later_columns, *(self.key_columns or ()), self.event_time}
        for name, expression in self.derive.items():
            ahead = (set(expression.meta.root_names()) & set(self.derive)) - seen
            if ahead:
                raise self._fail(f"derived column {name!r} uses {sorted(ahead)} before it is made", "Reorder derive")
            if name in taken:
                raise self._fail(f"derived column {name!r} has the name of a column of the data", "Rename it")
            seen.add(name)
