"""A raw batch made comparable: moments in UTC, types as stored, a digest per row and group."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from feature_store.definitions.source import Shift, Source
from feature_store.digest import as_stored, row_digests
from feature_store.errors import (
    ColumnTypeError,
    MissingColumnsError,
    MixedZonesError,
    ReservedColumnError,
    UntypedColumnError,
)
from feature_store.storage.stored_types import TYPES
from feature_store.storage.tables import EPOCH, KEY, ROW, added_times

_UTC = pl.Datetime("us", "UTC")
_RESERVED = ("event_time", "available_at", "as_of")
_REMEMBERED, _REMEMBERED_BYTES = 6, 512 << 20


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What a batch holds, before it is known what of it is new.

    Attributes:
        rows: typed columns; `event_time`, `available_at` (null for INGESTED), `_key_digest`, `_kept`,
            `_unreadable` (the reason, or null), and per group a digest `_row_digest` or `_row_digest.<time>`.
        base: the columns that come with the rows.
        unexpected: columns that no stored table has.
        notes: how often something harmless happened that somebody should know.
    """

    rows: pl.DataFrame
    base: tuple[str, ...]
    unexpected: tuple[str, ...]
    notes: Mapping[str, int]


_remembered: OrderedDict[object, tuple[Source, Arrivals]] = OrderedDict()


def arrivals(source: Source, raw: Any, stored: Mapping[str, pl.DataType]) -> Arrivals:
    """Make a raw batch comparable to what is stored.

    A frame that holds the whole year comes again with every batch of it, so the last few answers are kept,
    by content, and as many as memory is given for.

    Raises:
        MissingColumnsError, ColumnTypeError, UntypedColumnError, ReservedColumnError, MixedZonesError: it cannot be.
    """
    frame = raw if isinstance(raw, pl.DataFrame) else _from_pandas(source, raw)
    token = (id(source), *_fingerprint(frame), tuple((name, str(dtype)) for name, dtype in stored.items()))
    found = _remembered.pop(token, None)
    if found is None:
        # The source is kept too, so that no other one can get its id.
        found = (source, _read(source, frame, stored))
    _remembered[token] = found
    while len(_remembered) > _REMEMBERED or _remembered_bytes() > _REMEMBERED_BYTES:
        _remembered.popitem(last=False)
    return found[1]


def _from_pandas(source: Source, raw: Any) -> pl.DataFrame:
    # Polars would read a moment without zone as UTC as soon as another one in the column has a zone.
    for name, column in raw.items():
        if column.dtype != object:
            continue
        moments = (value for value in column if isinstance(value, datetime) and value == value)
        if len({value.tzinfo is None for value in moments}) > 1:
            raise MixedZonesError(source.name, name)
    frame: pl.DataFrame = pl.from_pandas(raw)
    return frame


def _remembered_bytes() -> int:
    return sum(int(one.rows.estimated_size()) for _, one in _remembered.values())


def _fingerprint(frame: pl.DataFrame) -> tuple[object, ...]:
    schema = tuple((name, str(dtype)) for name, dtype in frame.schema.items())
    if not frame.width or not frame.height:
        return (frame.height, schema)
    hashes = frame.hash_rows(seed=7)
    # The order counts as well: of rows that contradict one another the first or the last may be the one that is kept.
    return (frame.height, schema, hashes.sum(), hashes.to_frame().with_row_index().hash_rows(seed=11).sum())


def _read(source: Source, raw: pl.DataFrame, stored: Mapping[str, pl.DataType]) -> Arrivals:
    _refuse_reserved(source, raw)
    frame = _with_optional(source, raw, stored)
    notes: dict[str, int] = {}
    unexpected = [name for name in frame.columns if stored and name not in stored and not _declared(source, name)]
    frame = frame.drop(unexpected)
    frame, unreadable = _zoned(source, frame, notes)
    frame = frame.with_columns(_typed(source, column, stored.get(column.name), notes) for column in frame)
    frame = _timed(source, frame)
    base = tuple(name for name in frame.columns if name not in source.later_columns and name not in added_times(source))
    frame = frame.with_columns(_problem(source, frame, unreadable), _kept(source, frame))
    return Arrivals(_digested(source, frame, base).rechunk(), base, tuple(unexpected), notes)


def _refuse_reserved(source: Source, frame: pl.DataFrame) -> None:
    # A column may carry the name of the very thing it is declared to be.
    meant = {name for name in ("event_time", "available_at") if getattr(source, name) == name}
    taken = [name for name in frame.columns if (name in _RESERVED and name not in meant) or name.startswith("_")]
    if taken:
        raise ReservedColumnError(source.name, taken)


def _declared(source: Source, name: str) -> bool:
    return name in _required(source) or name in source.optional


def _required(source: Source) -> set[str]:
    shift = source.availability
    needed = {*(source.key_columns or ()), *source.entity_columns, *source.later_columns}
    needed |= {source.event_time} if source.event_time else set()
    needed |= {shift.column} if isinstance(shift, Shift) else set()
    needed |= {expectation.column for expectation in source.expect}
    for expression in [*source.derive.values(), *([] if source.keep is None else [source.keep])]:
        needed |= source.inputs(expression)
    return needed


def _with_optional(source: Source, frame: pl.DataFrame, stored: Mapping[str, pl.DataType]) -> pl.DataFrame:
    missing = (_required(source) | set(stored)) - set(frame.columns)
    lacking = missing - set(source.optional)
    if lacking:
        raise MissingColumnsError(source.name, lacking, frame.columns)
    return frame.with_columns(pl.lit(None, stored[name]).alias(name) for name in sorted(missing) if name in stored)


def _zoned(source: Source, frame: pl.DataFrame, notes: dict[str, int]) -> tuple[pl.DataFrame, pl.Series]:
    """Moments in UTC; and for each row the local time that does not exist, if it has one."""
    unreadable = pl.Series("_unreadable", [None], dtype=pl.String).new_from_index(0, frame.height)
    for name, dtype in frame.schema.items():
        column = frame[name]
        if dtype == pl.Date and name in _times(source):
            column = column.cast(pl.Datetime("us"))
        if not isinstance(column.dtype, pl.Datetime):
            continue
        if column.dtype.time_zone is None:
            naive, column = column, _localised(source, column, notes)
            gone = naive.is_not_null() & column.is_null()
            if gone.any():
                told = f"{name} is " + naive.cast(pl.String) + f", which does not exist in {source.tz}"
                first = gone & unreadable.is_null()
                unreadable = pl.select(pl.when(first).then(told).otherwise(unreadable)).to_series()
        frame = frame.with_columns(column.dt.convert_time_zone("UTC").dt.cast_time_unit("us").alias(name))
    return frame, unreadable.alias("_unreadable")


def _localised(source: Source, naive: pl.Series, notes: dict[str, int]) -> pl.Series:
    if source.tz == "UTC":
        return naive.dt.replace_time_zone("UTC")
    column = naive.dt.replace_time_zone(source.tz, ambiguous="earliest", non_existent="null")
    sure = naive.dt.replace_time_zone(source.tz, ambiguous="null", non_existent="null")
    repeated = sure.null_count() - column.null_count()
    if repeated:
        notes[f"{naive.name} in a repeated hour, read as the first"] = repeated
    return column


def _times(source: Source) -> set[str]:
    shift = source.availability
    times = {source.event_time, shift.column if isinstance(shift, Shift) else None, *source.later}
    return {time for time in times if time is not None}


def _typed(source: Source, column: pl.Series, stored: pl.DataType | None, notes: dict[str, int]) -> pl.Series:
    """The column in the type it is stored in."""
    name = column.name
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    wanted = _UTC if name in _times(source) else stored
    if column.dtype == pl.Null or (wanted is not None and column.null_count() == len(column) and len(column)):
        return _without_values(source, column, wanted, notes)
    if wanted is None:
        if column.dtype not in TYPES:
            raise ColumnTypeError(
                source.name, name, got=column.dtype, expected="bool, i8..i64, f32, f64, str, date or datetime"
            )
        return column
    if column.dtype == wanted:
        return column
    return _widened(source, column, wanted)


def _without_values(source: Source, column: pl.Series, wanted: pl.DataType | None, notes: dict[str, int]) -> pl.Series:
    """A column of nulls gets the type it is known to have."""
    if wanted is not None:
        if len(column):
            notes[f"{column.name} holds no value"] = len(column)
        return column.cast(wanted)
    if column.name in source.later_columns or not len(column):
        return column
    if column.name in source.optional:
        return column
    raise UntypedColumnError(source.name, [column.name])


def _widened(source: Source, column: pl.Series, wanted: pl.DataType) -> pl.Series:
    """Whole numbers may become wider ones or floats where every value stays what it is."""
    if column.dtype.is_numeric() and wanted.is_numeric() and not (column.dtype.is_float() and wanted.is_integer()):
        cast = column.cast(wanted, strict=False)
        if cast.null_count() == column.null_count() and (cast.cast(column.dtype, strict=False) == column).all():
            return cast
    expected = f"{wanted} as stored" if column.name not in _times(source) else "a datetime"
    raise ColumnTypeError(source.name, column.name, got=column.dtype, expected=expected)


def _timed(source: Source, frame: pl.DataFrame) -> pl.DataFrame:
    untyped = [name for name, dtype in frame.schema.items() if dtype == pl.Null]
    frame = frame.drop(set(untyped) - set(source.later_columns))
    if source.timeless:
        epoch = pl.lit(EPOCH).cast(_UTC)
        return frame.with_columns(epoch.alias("event_time"), epoch.alias("available_at"))
    shift = source.availability
    available = pl.col(shift.column) + pl.lit(shift.offset) if isinstance(shift, Shift) else pl.lit(None, _UTC)
    return frame.with_columns(pl.col(str(source.event_time)).alias("event_time"), available.alias("available_at"))


def _problem(source: Source, frame: pl.DataFrame, unreadable: pl.Series) -> pl.Expr:
    problems = [pl.lit(unreadable)]
    for name in dict.fromkeys([*(source.key_columns or ()), "event_time"]):
        told = f"{source.event_time if name == 'event_time' else name} is null"
        problems.append(pl.when(pl.col(name).is_null()).then(pl.lit(told)))
    return pl.coalesce(problems).alias("_unreadable")


def _kept(source: Source, frame: pl.DataFrame) -> pl.Expr:
    return (pl.lit(True) if source.keep is None else source.keep.fill_null(False)).alias("_kept")


def _digested(source: Source, frame: pl.DataFrame, base: tuple[str, ...]) -> pl.DataFrame:
    rows = row_digests(frame.select(base), sparse=source.optional)
    keys = rows if source.key_columns is None else row_digests(frame.select(source.key_columns))
    added = [as_stored(rows, ROW), as_stored(keys, KEY)]
    for time, columns in source.later.items():
        present = [name for name in columns if name in frame.columns]
        group = row_digests(frame.select(*(source.key_columns or ()), time, *present), sparse=source.optional)
        added.append(as_stored(group, f"{ROW}.{time}"))
    return frame.with_columns(added)
