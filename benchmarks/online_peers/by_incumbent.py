"""The online reader, on LMDB and Redis."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks.online_peers.question import ASKED, Question
from benchmarks.online_peers.stores import ENTITY, latest_views, window_views
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.online.redis_store import RedisStore
from feature_store.online.store import OnlineStore

Answer = Callable[[list[Question]], list[tuple[object, ...]]]


def lmdb(folder: Path, url: str, keys: int) -> Answer:
    """Newest rows from LMDB."""
    return answering(latest_views(), LmdbStore(folder / "online", readonly=True))


def windows_lmdb(folder: Path, url: str, keys: int) -> Answer:
    """Windows from LMDB."""
    return answering(window_views(), LmdbStore(folder / "online", readonly=True))


def redis(folder: Path, url: str, keys: int) -> Answer:
    """Newest rows from Redis."""
    return answering(latest_views(), RedisStore(url, readonly=True))


def answering(online: OnlineViews, store: OnlineStore, as_of: datetime = ASKED) -> Answer:
    """What the reader answers at a moment."""
    reader = OnlineReader(online, store, types=ENTITY)
    return lambda questions: reader.read(questions, as_of).rows
