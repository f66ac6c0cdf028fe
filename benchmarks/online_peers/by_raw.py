"""The limit: one transaction, `get`, `struct.unpack`, tuples, by hand, for these ten numbers and nothing else.

Newest rows are the same bytes under the same keys in the same file as ours. Windows are records of 24 hourly tiles,
each a sum, a count, a least and a most, filled up to as many bytes as ours have. No ttl, no status, no null, no type,
and a window is the last 24 tiles, whatever the minute is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Any

import lmdb as lmdb_
import polars as pl
import redis as redis_

from benchmarks.online_peers.question import COLUMNS, HOURS, VIEWS, Question
from benchmarks.online_peers.stores import endings, events, latest_views
from feature_store.online.keys import RECORDS
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.redis_store import RedisStore

Answer = Callable[[list[Question]], list[tuple[object, ...]]]

_KEY = Struct(">Q").pack
_SIGN = 1 << 63
# The five numbers stand behind four moments and a byte of null bits.
_NEWEST = Struct(f"<33x{COLUMNS}d").unpack_from
_TILES = Struct(f"<{HOURS}d{HOURS}q{2 * HOURS}d").unpack_from


def lmdb(folder: Path, url: str, keys: int) -> Answer:
    """Newest rows from LMDB."""
    store = LmdbStore(folder / "online", readonly=True)
    first, second = endings(latest_views(), store)
    store.close()
    environment = _environment(folder / "online")

    def answer(questions: list[Question]) -> list[tuple[object, ...]]:
        transaction = environment.begin()
        get = transaction.get
        found = []
        for one in questions:
            entity = RECORDS + _KEY(one["entity"] + _SIGN)
            found.append(_NEWEST(get(entity + first)) + _NEWEST(get(entity + second)))
        transaction.abort()
        return found

    return answer


def windows_lmdb(folder: Path, url: str, keys: int) -> Answer:
    """Windows from LMDB."""
    environment = _environment(folder / "tiles")

    def answer(questions: list[Question]) -> list[tuple[object, ...]]:
        transaction = environment.begin()
        get = transaction.get
        found = []
        for one in questions:
            entity = _KEY(one["entity"])
            found.append(_summed(_TILES(get(entity + b"0"))) + _summed(_TILES(get(entity + b"1"))))
        transaction.abort()
        return found

    return answer


def _summed(tiles: tuple[float, ...]) -> tuple[object, ...]:
    total, rows = sum(tiles[:HOURS]), sum(tiles[HOURS : 2 * HOURS])
    return total, total / rows, rows, min(tiles[2 * HOURS : 3 * HOURS]), max(tiles[3 * HOURS :])


def write_tiles(keys: int, few: int, folder: Path, length: int) -> None:
    """Write the tiles of a few entities under all keys, each record so many bytes long."""
    environment = lmdb_.open(str(folder / "tiles"), map_size=4 << 30)
    records = [_tiles_of(events(view, few)) for view in range(VIEWS)]
    with environment.begin(write=True) as transaction:
        for entity in range(keys):
            for view in range(VIEWS):
                key = _KEY(entity) + str(view).encode()
                transaction.put(key, records[view][entity % few].ljust(length, b"\x00"), append=True)
    environment.close()


def _tiles_of(rows: pl.DataFrame) -> list[bytes]:
    amount = pl.col("amount")
    # A tile ends at its hour, and holds it.
    hour = pl.col("event_time").dt.offset_by("-1us").dt.truncate("1h")
    tiles = (
        rows.sort("event_time")
        .group_by("entity", hour=hour, maintain_order=True)
        .agg(sum=amount.sum(), rows=pl.len().cast(pl.Int64), least=amount.min(), most=amount.max())
    )
    entities = tiles.sort("entity", "hour").group_by("entity", maintain_order=True).agg(pl.exclude("hour").tail(HOURS))
    pack = Struct(f"<{HOURS}d{HOURS}q{2 * HOURS}d").pack
    return [pack(*(one for column in columns for one in column)) for _, *columns in entities.iter_rows()]


def redis(folder: Path, url: str, keys: int) -> Answer:
    """Newest rows from Redis, in one round trip."""
    first, second = endings(latest_views(), RedisStore(url, readonly=True))
    client: Any = redis_.Redis.from_url(url)

    def answer(questions: list[Question]) -> list[tuple[object, ...]]:
        entities = [b"incumbent:" + RECORDS + _KEY(one["entity"] + _SIGN) for one in questions]
        raws = client.mget([one + first for one in entities] + [one + second for one in entities])
        values = [_NEWEST(raw) for raw in raws]
        return [one + other for one, other in zip(values, values[len(entities) :], strict=False)]

    return answer


def _environment(path: Path) -> Any:
    """A process may open a file only once, so that the store that told the prefixes lets go of it first."""
    return lmdb_.open(str(path), readonly=True, max_readers=1024)
