"""How a source is stored, and what of it was known at a moment.

A source has one table for what comes with its rows, and one for each moment at which further columns become
known. Rows are never changed: a correction is another row with the same key, and the newest available one counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import reduce

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.definitions.source import Source
from feature_store.digest import combine, content_digest, row_digests
from feature_store.errors import MissingColumnsError
from feature_store.span import utc
from feature_store.storage.lake import ABSENT, Lake
from feature_store.storage.reach import EVERYTHING, Reach

ROW, KEY, SEQUENCE, BATCH = "_row_digest", "_key_digest", "_sequence", "_batch"
STORED = ("event_time", "available_at", ROW, KEY, SEQUENCE, BATCH)
FACT = ("event_time", "available_at", ROW, KEY, SEQUENCE)
EPOCH = datetime(1678, 1, 1, tzinfo=UTC)
"""The times of timeless rows: before whatever one asks about, and still told by clocks that count nanoseconds."""


def table_of(source: Source, time: str | None = None) -> str:
    """The table of what comes with the rows, or of what becomes known at a later `time`."""
    return f"sources/{source.name}" if time is None else f"sources/{source.name}.{time}"


def tables_of(source: Source) -> tuple[str, ...]:
    """All tables of a source."""
    return (table_of(source), *(table_of(source, time) for time in source.later))


def base_columns(source: Source, lake: Lake) -> list[str]:
    """The ingested columns that come with the rows, in order."""
    ours = {*added_times(source), ROW, KEY, SEQUENCE, BATCH}
    return [name for name in lake.schema(table_of(source)) if name not in ours]


def column_type(source: Source, column: str, lake: Lake) -> pl.DataType:
    """The type of a stored or derived column."""
    return fact_types(source, lake, [column])[column]


def fact_types(source: Source, lake: Lake, columns: Collection[str]) -> dict[str, pl.DataType]:
    """The types of stored and derived columns; no row is read.

    Raises:
        TableNotFoundError, MissingColumnsError: as `facts` does.
    """
    stored = lake.schema(table_of(source))
    for time, group in source.later.items():
        stored |= _group_types(source, lake, time, [time, *group])
    _refuse_absent(source, _inputs(source, list(columns)), stored)
    nothing = with_derived(source, pl.DataFrame(schema=stored), list(columns))
    return {name: nothing.schema[name] for name in columns}


def facts(source: Source, lake: Lake, columns: Collection[str], reach: Reach = EVERYTHING) -> pl.DataFrame:
    """Every version of every row that became known, with the columns asked for.

    Args:
        reach: which of them; the versions that these replace or are replaced by count all the same.

    Returns:
        `columns`, `event_time`, `available_at`, `superseded_at` (UTC), and the digests and the sequence by which rows
        are told apart.
        Where a column becomes known later, the row's two times are those at which the last one did.

    Raises:
        TableNotFoundError: the source was never ingested.
        MissingColumnsError: a column is neither stored nor derived.
    """
    wanted: list[str | pl.Expr] = [*columns, *source.filters]
    times = _waits_for(source, wanted)
    whole = bool(times) or not reach.narrow
    if whole:
        # A version that a correction replaced stays replaced, also where the correction itself is filtered out.
        rows = superseded(_joined(source, lake, _inputs(source, wanted), times)).filter(reach.in_time)
    else:
        rows = _within(source, lake, wanted, reach)
    rows = with_derived(source, rows, wanted)
    rows = rows.filter(*source.filters) if source.filters else rows
    rows = rows.select(*dict.fromkeys([*columns, *FACT, "superseded_at"]))
    return reach.of_entities(rows) if whole else rows


def read_whole(source: Source, columns: Collection[str]) -> bool:
    """Whether some of these columns become known later, so that `facts` puts whole tables together."""
    return bool(_waits_for(source, [*columns, *source.filters]))


def _within(source: Source, lake: Lake, wanted: Sequence[str | pl.Expr], reach: Reach) -> pl.DataFrame:
    """The rows in reach, without the others ever being in memory, and what replaces them, reached or not."""
    table = table_of(source)
    lake.hold(table)
    seen = ABSENT
    while seen != lake.version(table):  # both looks are of one version, though others append
        seen = lake.version(table)
        reached, versions = scanned(source, lake, wanted, reach), lake.scan(table, [KEY, "available_at", SEQUENCE])
    with lake.reading(table):
        rows = reached.collect(engine="streaming")
        every = superseded(versions.join(rows.lazy().select(KEY), on=KEY, how="semi").collect(engine="streaming"))
    replaced = every.filter(pl.col("superseded_at").is_not_null()).select(KEY, SEQUENCE, "superseded_at")
    return rows.join(replaced, on=[KEY, SEQUENCE], how="left", maintain_order="left")


def scanned(source: Source, lake: Lake, wanted: Sequence[str | pl.Expr], reach: Reach) -> pl.LazyFrame:
    """The stored rows in reach with what `wanted` is made of, of a source whose columns are known at once."""
    inputs = _inputs(source, wanted)
    _check_columns(source, lake, table_of(source), inputs)
    rows = lake.scan(table_of(source), dict.fromkeys([*inputs, *FACT])).filter(reach.in_time)
    entities = reach.entities
    if entities is None:
        return rows
    return rows.map_batches(
        lambda batch: batch.filter(entities.holds(with_derived(source, batch, entities.by))), streamable=True
    )


def with_derived(source: Source, rows: pl.DataFrame, wanted: Sequence[str | pl.Expr]) -> pl.DataFrame:
    """The rows with those derived columns that are asked for, or that one is made of."""
    for name in _derived_for(source, wanted):
        rows = rows.with_columns(source.derive[name].alias(name))
    return rows


def _inputs(source: Source, wanted: Sequence[str | pl.Expr]) -> frozenset[str]:
    return frozenset[str]().union(*(source.inputs(one) for one in wanted))


def _waits_for(source: Source, wanted: Sequence[str | pl.Expr]) -> list[str]:
    """The later moments at which some of what is wanted becomes known."""
    return [time for time in source.later if any(time in source.known_with(one) for one in wanted)]


def known(source: Source, lake: Lake, as_of: datetime) -> pl.DataFrame:
    """The rows as they were known at `as_of`: the newest of each key, with later columns where known by then."""
    as_of = utc("as_of", as_of)
    rows = _newest(lake.read(table_of(source)), as_of)
    for time, columns in source.later.items():
        group = _group(source, lake, time, [time, *columns])
        newest = _newest(group, as_of).select(KEY, time, *columns)
        rows = rows.join(newest, on=KEY, how="left", maintain_order="left")
    for name, expression in source.derive.items():
        waits = [pl.col(time).is_not_null() for time in source.known_with(name)]
        value = pl.when(*waits).then(expression) if waits else expression
        rows = rows.with_columns(value.alias(name))
    rows = rows.filter(*source.filters) if source.filters else rows
    hidden = [ROW, KEY, SEQUENCE, BATCH]
    return rows.sort("event_time", "available_at", ROW).drop(hidden)


def source_digest(source: Source, lake: Lake, as_of: datetime) -> str:
    """The digest of all that the source knew at `as_of`, whatever the order and batches it came in."""
    as_of = utc("as_of", as_of)
    found = []
    for table in tables_of(source):
        if table == table_of(source) or lake.exists(table):
            rows = lake.read(table, [ROW, "available_at"])
            found.append(rows.filter(pl.col("available_at") <= as_of)[ROW])
    return content_digest(found)


def superseded(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `superseded_at`: when a newer version of the row's key became available; null for the newest."""
    if "superseded_at" in rows.columns:
        return rows
    if _each_once(rows[KEY]):
        return rows.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("superseded_at"))
    ordered = rows.with_row_index("_place").sort(KEY, "available_at", SEQUENCE)
    follower = pl.col("available_at").shift(-1).over(KEY)
    return ordered.with_columns(follower.alias("superseded_at")).sort("_place").drop("_place")


def _each_once(keys: pl.Series) -> bool:
    ordered = np.sort(keys.to_numpy())
    return not (ordered[1:] == ordered[:-1]).any()


def own_digests(source: Source, rows: pl.DataFrame) -> NDArray[np.int64]:
    """The key digests that rows of the source are stored with, given the columns of their key."""
    return row_digests(rows, sparse=() if source.key_columns else source.optional).to_numpy().view(np.int64)


def added_times(source: Source) -> set[str]:
    """The two times, unless the source's own columns have these names."""
    return {name for name in ("event_time", "available_at") if getattr(source, name) != name}


def _derived_for(source: Source, wanted: Sequence[str | pl.Expr]) -> list[str]:
    """The derived columns that are asked for, and those they are made of, in the order of making."""
    needed: set[str] = set()
    pending = [root for one in wanted for root in ([one] if isinstance(one, str) else one.meta.root_names())]
    while pending:
        name = pending.pop()
        if name in source.derive and name not in needed:
            needed.add(name)
            pending.extend(source.derive[name].meta.root_names())
    return [name for name in source.derive if name in needed]


def _group(
    source: Source, lake: Lake, time: str, columns: Collection[str], with_row: Collection[str] = ()
) -> pl.DataFrame:
    """The rows of a later group; without a row, as long as nothing has become known."""
    if lake.exists(table_of(source, time)):
        return _picked(source, lake, table_of(source, time), [*columns, *with_row])
    stored = lake.schema(table_of(source))
    types: dict[str, pl.DataType] = {name: stored[name] for name in (*with_row, *FACT)}
    return pl.DataFrame(schema=types | _group_types(source, lake, time, columns))


def _group_types(source: Source, lake: Lake, time: str, columns: Collection[str]) -> dict[str, pl.DataType]:
    """The types of what becomes known later; of numbers, as long as nothing has."""
    if lake.exists(table_of(source, time)):
        stored = lake.schema(table_of(source, time))
        return {name: stored[name] for name in columns}
    return {name: pl.Datetime("us", "UTC") if name == time else pl.Float64() for name in columns}


def _newest(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    rows = rows.filter(pl.col("available_at") <= as_of)
    if _each_once(rows[KEY]):
        return rows
    return rows.sort("available_at", SEQUENCE).unique(KEY, keep="last", maintain_order=True)


def _joined(source: Source, lake: Lake, inputs: frozenset[str], times: Sequence[str]) -> pl.DataFrame:
    """The versions of rows with columns of one or several groups."""
    owners = source.later_columns
    with_row = {column for column in inputs if column not in owners}
    parts = []
    for time in times:
        columns = sorted(column for column in inputs if owners.get(column) == time)
        covered = with_row & set(source.key_columns or ())
        parts.append(_group(source, lake, time, columns, sorted(covered)))
        with_row -= covered
    if with_row or not parts:
        parts.insert(0, _picked(source, lake, table_of(source), sorted(with_row)))
    else:
        parts = [_not_before_its_row(part, source, lake) for part in parts]
    if len(parts) == 1:
        return parts[0]
    if all(_each_once(part[KEY]) for part in parts):
        return _put_together(parts, on=[KEY], late=len(times))
    return _put_together(_versions(parts), on=[KEY, "_stamp"], late=len(times))


def _not_before_its_row(part: pl.DataFrame, source: Source, lake: Lake) -> pl.DataFrame:
    """What became known before the row itself was available is available with the row."""
    rows = lake.read(table_of(source), [KEY, "available_at"]).rename({"available_at": "_row"})
    rows = rows if _each_once(rows[KEY]) else rows.group_by(KEY).agg(pl.col("_row").min())
    with_row = part.join(rows, on=KEY, how="left", maintain_order="left")
    if not (with_row["available_at"] < with_row["_row"]).any():
        return part
    ordered = with_row.sort("available_at", SEQUENCE).with_columns(
        available_at=pl.max_horizontal("available_at", "_row")
    )
    return ordered.unique([KEY, "available_at"], keep="last", maintain_order=True).drop("_row")


def _picked(source: Source, lake: Lake, table: str, columns: Collection[str]) -> pl.DataFrame:
    _check_columns(source, lake, table, columns)
    return lake.read(table, list(dict.fromkeys([*columns, *FACT])))


def _check_columns(source: Source, lake: Lake, table: str, columns: Collection[str]) -> None:
    _refuse_absent(source, columns, lake.schema(table))


def _refuse_absent(source: Source, columns: Collection[str], stored: Collection[str]) -> None:
    absent = set(columns) - set(stored)
    if absent:
        raise MissingColumnsError(source.name, absent, [*(set(stored) - set(STORED)), *source.derive])


def _versions(parts: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Each part as it stood at every moment at which any part of the same key changed."""
    stamps = pl.concat([part.select(KEY, pl.col("available_at").alias("_stamp")) for part in parts]).unique()
    stamps = stamps.sort("_stamp")
    found = []
    for part in parts:
        ordered = part.sort("available_at", SEQUENCE).unique([KEY, "available_at"], keep="last", maintain_order=True)
        ordered = ordered.with_columns(pl.col("available_at").alias("_stamp"))
        found.append(
            stamps.join_asof(ordered, on="_stamp", by=KEY, strategy="backward", check_sortedness=False).filter(
                pl.col(ROW).is_not_null()
            )
        )
    return found


def _put_together(parts: Sequence[pl.DataFrame], *, on: list[str], late: int) -> pl.DataFrame:
    """Join parts; the event is the last of the `late` ones, the availability the last of all."""
    numbered = [
        part.rename({name: f"{name}.{number}" for name in FACT if name not in on}) for number, part in enumerate(parts)
    ]
    joined = reduce(lambda left, right: left.join(right, on=on, how="inner", maintain_order="left"), numbered)
    numbers = range(len(parts))
    rows = combine(*(joined[f"{ROW}.{number}"] for number in numbers))
    return joined.with_columns(
        pl.max_horizontal(f"event_time.{number}" for number in numbers[-late:]).alias("event_time"),
        pl.max_horizontal(f"available_at.{number}" for number in numbers).alias("available_at"),
        pl.max_horizontal(f"{SEQUENCE}.{number}" for number in numbers).alias(SEQUENCE),
        pl.Series(ROW, rows.to_numpy().view("int64"), dtype=pl.Int64),
    )
