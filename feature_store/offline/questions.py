"""The questions of a spine, with what each brings along."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from feature_store.definitions.source import Source
from feature_store.definitions.spine import Each, Every, Spine
from feature_store.errors import ColumnTypeError, MissingColumnsError
from feature_store.point_in_time.timeline import Ints, entity_codes, moments
from feature_store.span import microseconds, utc
from feature_store.storage.lake import Lake
from feature_store.storage.tables import KEY, ROW, SEQUENCE, base_columns, facts, own_digests, superseded, table_of

_UTC = pl.Datetime("us", "UTC")


def questions(spine: Spine, lake: Lake, start: datetime | None, end: datetime) -> pl.DataFrame:
    """The questions asked in `(start, end]`, from the beginning when `start` is None.

    Returns:
        For `each`: the row's columns and `as_of`, for rows that were known by then, as they were known
        then. For `every`: the entity's columns and `as_of`. Sorted by `as_of`, then by key.
    """
    end = utc("end", end)
    start = None if start is None else utc("start", start)
    if isinstance(spine, Each):
        return _per_row(spine, lake, start, end)
    return _per_tick(spine, lake, start, end)


def own_keys(spine: Spine, asked: pl.DataFrame, source: Source, lake: Lake) -> Ints | None:
    """The key digest of each question's own row in `source`; None when questions are not rows of it.

    Raises:
        MissingColumnsError, ColumnTypeError: the questions lack a column of the key, or have it of another type.
    """
    if not isinstance(spine, Each) or spine.source.name != source.name:
        return None
    columns = source.key_columns or base_columns(source, lake)
    missing = [name for name in columns if name not in asked.columns]
    if missing:
        raise MissingColumnsError("questions", missing, asked.columns)
    stored = lake.schema(table_of(source))
    for name in columns:
        if asked.schema[name] != stored[name]:  # its digest would be another, and the row feed its own features
            raise ColumnTypeError("questions", name, got=asked.schema[name], expected=stored[name])
    return own_digests(source, asked.select(columns))


def _per_row(spine: Each, lake: Lake, start: datetime | None, end: datetime) -> pl.DataFrame:
    source = spine.source
    columns = [*base_columns(source, lake), *(name for name in source.derive if not source.known_with(name))]
    moment = pl.col(spine.as_of.column) + pl.lit(spine.as_of.offset)
    rows = superseded(facts(source, lake, columns)).with_columns(moment.alias("as_of"))
    asked = (pl.col("as_of") <= end) & (pl.col("available_at") <= pl.col("as_of"))
    if start is not None:
        asked &= pl.col("as_of") > start
    newest = pl.col("superseded_at").is_null() | (pl.col("superseded_at") > pl.col("as_of"))
    rows = rows.filter(asked & newest)
    key = [*(source.key_columns or ()), ROW]
    hidden = {KEY, SEQUENCE, ROW, "superseded_at", *({"event_time", "available_at"} - set(columns))}
    return rows.sort("as_of", *key).select("as_of", *(name for name in columns if name not in hidden))


def ticks(spine: Every, start: datetime, end: datetime) -> list[datetime]:
    """The moments of a spine in `(start, end]`, in UTC.

    A local time that a change of clocks leaves out is asked an hour later by the clock; one that it
    repeats is asked the first time.
    """
    zone = ZoneInfo(spine.tz)
    day = start.astimezone(zone).date() - timedelta(days=1)
    last = end.astimezone(zone).date()
    found = []
    while day <= last:
        if spine.weekday is None or day.weekday() == spine.weekday:
            tick = datetime.combine(day, spine.at, zone).astimezone(end.tzinfo)
            if start < tick <= end:
                found.append(tick)
        day += timedelta(days=1)
    return found


def _per_tick(spine: Every, lake: Lake, start: datetime | None, end: datetime) -> pl.DataFrame:
    population = spine.population
    entity = list(population.source.entity_columns)
    rows = superseded(facts(population.source, lake, entity)).drop_nulls(entity)
    asked = ticks(spine, _beginning(rows, end) if start is None else start, end)
    at = moments(pl.Series("tick", asked, dtype=_UTC))
    event, available = moments(rows["event_time"]), moments(rows["available_at"])
    first_tick = np.searchsorted(at, np.maximum(event, available), side="left")
    beyond = np.searchsorted(at, event + microseconds(population.within), side="left")
    replaced = rows["superseded_at"]
    if replaced.null_count() < len(replaced):
        until = np.searchsorted(at, moments(replaced.fill_null(end + timedelta(days=1))), side="left")
        beyond = np.minimum(beyond, until)
    codes, _ = entity_codes(rows, rows, entity, told="the population")
    which, tick = _seen_at(codes, first_tick, beyond, len(at))
    found = rows.select(entity)[which].with_columns(pl.Series("as_of", asked, dtype=_UTC)[tick])
    return found.select("as_of", *entity).sort("as_of", *entity)


def _beginning(rows: pl.DataFrame, end: datetime) -> datetime:
    first = rows["event_time"].min()
    return first - timedelta(microseconds=1) if isinstance(first, datetime) else end


def _seen_at(codes: Ints, first: Ints, beyond: Ints, count: int) -> tuple[Ints, Ints]:
    """One row index per entity and tick in the union of the rows' tick ranges `[first, beyond)`."""
    order = np.flatnonzero(beyond > first)
    order = order[np.lexsort((first[order], codes[order]))]
    if not len(order):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    shift = codes[order] * (count + 1)
    reached = np.maximum.accumulate(shift + beyond[order])
    # Only what a row adds to the ticks that the entity's earlier rows cover already.
    begin = np.maximum(shift + first[order], np.concatenate([[0], reached[:-1]]))
    sizes = np.maximum(reached - begin, 0)
    which = np.repeat(order, sizes)
    offset = np.arange(len(which)) - np.repeat(np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    return which, np.repeat(begin - shift, sizes) + offset
