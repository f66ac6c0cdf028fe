"""From the lake into the online store: what changed since the last time, chunk by chunk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

import polars as pl

from feature_store.definitions.aggregates import answer_type
from feature_store.online import newest_rows, window_records
from feature_store.online.catalog import Build, Entry, Shape, entries, entry_key, type_texts, types_of
from feature_store.online.cells import as_datetime, as_microseconds
from feature_store.online.errors import StoreAheadError, UnsupportedAggregateError
from feature_store.online.key_ranges import ToldBy, Wanted, key_ranges
from feature_store.online.keys import RECORDS, encode_all
from feature_store.online.plan import VIEW_BYTES, NewestRow, OnlineViews, Part
from feature_store.online.sorted_rows import SortedRows
from feature_store.online.store import Changes, OnlineStore
from feature_store.span import utc
from feature_store.storage.lake import Lake
from feature_store.storage.reach import Reach
from feature_store.storage.tables import KEY, SEQUENCE, base_columns, fact_types, facts, table_of, tables_of

CHUNK_ROWS = 200_000
_CHUNKS_A_RANGE = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """One batch of changes that a run has written.

    Attributes:
        view: told as messages tell it.
        rows: versions of rows that this batch is made of.
        records: that it wrote.
        removed: that it took out.
        done: rows of the view that the run has come through so far, of `todo`.
        last: whether the view is through with it.
    """

    view: str
    rows: int
    records: int
    removed: int
    done: int
    todo: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Materialized:
    """What a run did.

    Attributes:
        rows: versions of rows that were looked at.
        records: written.
        removed: records of entities that no row tells about any more.
        watermark: everything available by then, and ingested, can be read.
    """

    rows: int
    records: int
    removed: int
    watermark: datetime

    def with_batch(self, batch: Progress) -> Materialized:
        """What it was, and one more batch."""
        rows, records, removed = self.rows + batch.rows, self.records + batch.records, self.removed + batch.removed
        return Materialized(rows, records, removed, self.watermark)


def materialize(
    online: OnlineViews, lake: Lake, store: OnlineStore, *, as_of: datetime, chunk_rows: int = CHUNK_ROWS
) -> Materialized:
    """Bring the online store up to what the lake knew at `as_of`.

    Only entities with new rows are packed again: rows ingested since the last run, whenever they were available,
    and rows that became available since then. An entity's record is made of its rows alone, so that neither the order
    in which rows arrive nor how often this runs can show. A run that was killed is taken up where it stood. Readers
    go on reading meanwhile; a changed definition is written beside the old one.

    Args:
        chunk_rows: about how many rows one batch of changes is made of.

    Raises:
        TableNotFoundError: a source was never ingested.
        StoreAheadError: the store has taken in more than this lake holds at `as_of`.
        StoreLockedError, StoreFullError, StoreUnreachableError: what was written before is whole.
    """
    done = Materialized(0, 0, 0, utc("as_of", as_of))
    for batch in materializing(online, lake, store, as_of=as_of, chunk_rows=chunk_rows):
        done = done.with_batch(batch)
    return done


def materializing(
    online: OnlineViews, lake: Lake, store: OnlineStore, *, as_of: datetime, chunk_rows: int = CHUNK_ROWS
) -> Iterator[Progress]:
    """`materialize` batch by batch, for those who tell how far it is: each batch is on disk when it is yielded.

    Left before its end it is as a run that was killed, and the next one takes it up.
    """
    moment = as_microseconds(utc("as_of", as_of))
    with store.writing():
        for part, entry in zip(online.parts, entries(online.parts, store), strict=True):
            if _stands_there(part, entry, lake, moment):
                continue
            run = _Run.begun(part, entry, lake, moment)
            for changes, progress in run.chunks(lake, chunk_rows):
                _write(changes, store)
                yield progress


def _stands_there(part: Part, entry: Entry | None, lake: Lake, moment: int) -> bool:
    """Whether the records are those of this moment already, so that not a row need be looked at."""
    if entry is None or entry.serving is None or entry.building is not None:
        return False
    return entry.serving.as_of == moment and entry.serving.heights == _heights(part, lake)


def _heights(part: Part, lake: Lake) -> dict[str, int]:
    return {table: lake.height(table) for table in tables_of(part.source) if lake.exists(table)}


def _write(changes: Changes, store: OnlineStore) -> None:
    """In batches that the store can take; how far they came, which stands last, is in the last of them."""
    size = store.batch_records
    for begin in range(0, max(len(changes.put), 1), size):
        last = begin + size >= len(changes.put)
        store.write(Changes(changes.put[begin : begin + size], changes.delete if last else ()))


class _Run:
    """One view on its way from one state of the lake to the next.

    Args:
        entry: what the store holds of it.
        target: the records as they will be.
        wanted: the entities whose records are to be written.
    """

    def __init__(self, part: Part, entry: Entry, target: Build, wanted: Wanted) -> None:
        self._part, self._entry, self._target, self._wanted = part, entry, target, wanted

    @classmethod
    def begun(cls, part: Part, entry: Entry | None, lake: Lake, as_of: int) -> _Run:
        source = part.source
        # What is appended between this look and the next is seen by both, never by neither.
        heights = _heights(part, lake)
        shape = _shape(part, fact_types(source, lake, [*part.by, *part.inputs]), lake)
        target = Build(_ending(part, shape).hex(), shape, as_of, heights)
        entry = Entry(part.told, source.name) if entry is None else entry
        for earlier in (entry.serving, entry.building):
            if earlier is not None:
                _refuse_less(earlier, target, part.told)
        return cls(part, entry, target, _wanted(part, entry, target, lake))

    def chunks(self, lake: Lake, chunk_rows: int) -> Iterator[tuple[Changes, Progress]]:
        """Changes, and how far the run has come with them; the last ones say that it is through."""
        ending, types = bytes.fromhex(self._target.ending), types_of(self._target.shape.inputs)
        ranges = key_ranges(self._part, ending, self._wanted, lake, _CHUNKS_A_RANGE * chunk_rows)
        told, done = self._part.told, 0
        for number, one in enumerate(ranges, start=1):
            versions = facts(self._part.source, lake, [*self._part.by, *self._part.inputs], one.reach)
            rows = SortedRows.of(versions, ending, self._part.by, self._target.as_of)
            del versions
            # The ranges to come are as large as those before.
            todo = (done + len(rows.event)) * len(ranges) // number
            for chunk in rows.chunks(chunk_rows):
                records = _packed(self._part, chunk, types)
                gone = _gone(chunk, records) if self._updates else ()
                reached = replace(self._entry, building=replace(self._target, reached=chunk.keys[-1].hex()))
                done += len(chunk.event)
                progress = Progress(told, len(chunk.event), len(records), len(gone), done, todo)
                yield self._changes(records, gone, reached), progress
        through = replace(self._entry, serving=self._target, building=None)
        yield self._changes([], (), through), Progress(told, 0, 0, 0, done, done, last=True)

    @property
    def _updates(self) -> bool:
        """Whether records of these entities may be there already."""
        return any(one is not None and one.ending == self._target.ending for one in _builds(self._entry))

    def _changes(self, records: list[tuple[bytes, bytes]], gone: Sequence[bytes], entry: Entry) -> Changes:
        return Changes([*records, (entry_key(self._part.view), entry.encoded())], gone)


def _packed(part: Part, rows: SortedRows, types: Mapping[str, pl.DataType]) -> list[tuple[bytes, bytes]]:
    if isinstance(part, NewestRow):
        return newest_rows.pack(part, rows, types)
    return window_records.pack(part, rows, types)


def _gone(rows: SortedRows, records: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    return sorted(set(rows.keys) - {key for key, _ in records}) if len(records) < len(rows.keys) else []


def _builds(entry: Entry) -> tuple[Build | None, Build | None]:
    return entry.serving, entry.building


def _wanted(part: Part, entry: Entry, target: Build, lake: Lake) -> Wanted:
    """The entities whose records must be written."""
    serving, building = (one if one is not None and one.ending == target.ending else None for one in _builds(entry))
    keys = None if serving is None else _changed(part, serving, target, lake)
    if building is None:
        return Wanted(keys)
    # A killed run: what lies behind the last key that it wrote, and what has changed since it began.
    return Wanted(keys, bytes.fromhex(building.reached), _changed(part, building, target, lake))


def _changed(part: Part, since: Build, target: Build, lake: Lake) -> pl.Series:
    """The keys of all entities that a row has ever told about which was ingested, or became available, since then."""
    told = facts(part.source, lake, part.by, Reach(entities=ToldBy(_changed_rows(since, target, lake))))
    return encode_all(RECORDS, told, part.by, bytes.fromhex(target.ending)).drop_nulls().unique()


def _changed_rows(since: Build, target: Build, lake: Lake) -> pl.Series:
    """The key digests of rows that were ingested, or became available, after an earlier state."""
    moments = [pl.lit(as_datetime(one)) for one in (since.as_of, target.as_of)]
    available = pl.col("available_at")
    found = [pl.Series(KEY, [], dtype=pl.Int64)]
    for table in target.heights:
        new = pl.col(SEQUENCE) >= since.heights.get(table, 0)
        lake.hold(table)
        with lake.reading(table):
            rows = lake.scan(table, [KEY, SEQUENCE, "available_at"])
            rows = rows.filter(new | ((available > moments[0]) & (available <= moments[1])))
            found.append(rows.select(KEY).collect(engine="streaming")[KEY])
    return pl.concat(found).unique()


def _refuse_less(earlier: Build, target: Build, told: str) -> None:
    """Rows are never taken out of a lake, so one that holds less is an earlier or another one."""
    if target.as_of < earlier.as_of:
        raise StoreAheadError(told, f"as of {as_datetime(earlier.as_of)}", f"as of {as_datetime(target.as_of)}")
    for table, height in earlier.heights.items():
        if target.heights.get(table, 0) < height:
            raise StoreAheadError(told, f"{height} rows of {table}", f"{target.heights.get(table, 0)}")


def _shape(part: Part, types: Mapping[str, pl.DataType], lake: Lake) -> Shape:
    """The types of a part's records and answers.

    Raises:
        UnsupportedAggregateError: an aggregate that does not go with the type of its values.
    """
    own: dict[str, str] = {}
    if part.own:
        stored = lake.schema(table_of(part.source))
        own = type_texts(stored, part.source.key_columns or base_columns(part.source, lake))
    return Shape(type_texts(types, part.by), type_texts(types, part.inputs), _answer_types(part, types), own)


def _answer_types(part: Part, types: Mapping[str, pl.DataType]) -> dict[str, str]:
    if isinstance(part, NewestRow):
        found = [types[name] for name in part.columns] or [pl.Float64()]
        return {name: str(dtype) for name, dtype in zip(part.names, found, strict=True)}
    answers = []
    for name, aggregate in part.aggregates:
        dtype = answer_type(aggregate, types)
        if dtype is None:
            raise UnsupportedAggregateError(name, f"{aggregate.kind.value} of {aggregate.values}")
        answers.append(str(dtype))
    return dict(zip(part.names, answers * len(part.over), strict=True))


def _ending(part: Part, shape: Shape) -> bytes:
    types = json.dumps([shape.key, shape.inputs], sort_keys=True).encode()
    return blake2b(part.view + types, digest_size=VIEW_BYTES).digest()
