"""The stores that are read: views of the newest row, and windows of a day with four rows an hour, in LMDB and Redis.

Views of the newest row are ingested into a lake and materialized. So are the windows of a few entities; their records
are then written under many keys, because a hundred million rows would measure the patience of the reader.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.online_peers.question import HOURS, TTL, VIEWS, WRITTEN, names
from feature_store.definitions.feature_view import Feature, latest, window
from feature_store.definitions.source import Source, before
from feature_store.definitions.spine import Each, each
from feature_store.intake.ingest import ingest_batch
from feature_store.online.catalog import entries
from feature_store.online.keys import RECORDS
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.store import Changes, OnlineStore
from feature_store.storage.lake import Lake

ROWS_AN_HOUR = 4
ENTITY = {"entity": pl.Int64()}
_SIGN = 1 << 63
_UTC = pl.Datetime("us", "UTC")


def _source(name: str) -> Source:
    return Source(
        name, read=dict, key=["entity", "event_time"], event_time="event_time", available_at="event_time",
        entity="entity",
    )  # fmt: skip


ASKING = Source("asked", read=dict, key="entity", event_time="as_of", available_at=before("as_of", "30d"))
SPINE: Each = each(ASKING, as_of=before("as_of", "0s"))
NEWEST = [_source(f"view{view}") for view in range(VIEWS)]
EVENTS = [_source(f"events{view}") for view in range(VIEWS)]
_AMOUNT = pl.col("amount")

_LATEST: list[Feature] = [latest(source, *names(view), ttl=TTL) for view, source in enumerate(NEWEST)]


def _window(view: int, source: Source) -> Feature:
    aggregates = {
        f"sum{view}": _AMOUNT.sum(),
        f"mean{view}": _AMOUNT.mean(),
        f"rows{view}": pl.len(),
        f"least{view}": _AMOUNT.min(),
        f"most{view}": _AMOUNT.max(),
    }
    return window(source, over=f"{HOURS}h", by=None, **aggregates)


_WINDOWS = [_window(view, source) for view, source in enumerate(EVENTS)]


def latest_views() -> OnlineViews:
    """Ten features of the newest rows."""
    return OnlineViews(_LATEST, SPINE)


def window_views() -> OnlineViews:
    """Ten features of windows: sum, mean, length, least and most over a day, twice."""
    return OnlineViews(_WINDOWS, SPINE)


def write_latest(keys: int, folder: Path, stores: list[OnlineStore]) -> None:
    """Take in a row per entity and view, and materialize them into every store."""
    _take_in(keys, folder, WRITTEN, "all")
    for store in stores:
        materialize(latest_views(), Lake(folder / "lake"), store, as_of=WRITTEN)


def tell_again(keys: int, folder: Path) -> None:
    """Take in a newer row of every entity, with the same numbers."""
    _take_in(keys, folder, WRITTEN + timedelta(minutes=10), "again")


def _take_in(keys: int, folder: Path, moment: datetime, batch: str) -> None:
    lake, entity = Lake(folder / "lake"), np.arange(keys)
    for view, source in enumerate(NEWEST):
        columns = {name: entity + (len(names(view)) * view + place) / 16 for place, name in enumerate(names(view))}
        frame = pl.DataFrame({"entity": entity, **columns}).with_columns(event_time=pl.lit(moment, _UTC))
        ingest_batch(source, frame, lake, as_of=moment, batch=batch)


def write_windows(keys: int, few: int, folder: Path, store: LmdbStore) -> int:
    """Materialize the windows of a few entities, write what they became under all keys; the bytes of a record."""
    lake = Lake(folder / "lake")
    for view, source in enumerate(EVENTS):
        ingest_batch(source, events(view, few), lake, as_of=WRITTEN, batch="all")
    materialize(window_views(), lake, store, as_of=WRITTEN)
    for ending in endings(window_views(), store):
        records = store.get_many([key_of(entity, ending) for entity in range(few)])
        for begin in range(few, keys, store.batch_records):
            more = range(begin, min(begin + store.batch_records, keys))
            store.write(Changes([(key_of(one, ending), records[one % few] or b"") for one in more]))
    return len(records[0] or b"")


def events(view: int, entities: int) -> pl.DataFrame:
    """Rows of a day and an hour up to the moment of writing, evenly in time; amounts whose sums are exact doubles."""
    count = (HOURS + 1) * ROWS_AN_HOUR
    moments = [WRITTEN - timedelta(hours=1) * place / ROWS_AN_HOUR for place in range(count)]
    amounts = np.random.default_rng(view).integers(0, 1000, entities * count) / 8
    return pl.DataFrame(
        {
            "entity": np.repeat(np.arange(entities), count),
            "event_time": pl.Series(moments * entities, dtype=_UTC),
            "amount": amounts,
        }
    )


def endings(online: OnlineViews, store: OnlineStore) -> Iterator[bytes]:
    """What the keys of each view end with."""
    for entry in entries(online.parts, store):
        assert entry is not None
        assert entry.serving is not None
        yield bytes.fromhex(entry.serving.ending)


def key_of(entity: int, ending: bytes) -> bytes:
    """The key of an entity's record, by hand."""
    return RECORDS + struct.pack(">Q", entity + _SIGN) + ending
