"""Feast's online stores in SQLite and Redis; run by the Python of .venv-peers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from feast import (  # type: ignore[import-not-found]  # of .venv-peers
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    ValueType,
)
from feast.types import Float64  # type: ignore[import-not-found]

from benchmarks.online_peers.question import NAMES, TTL, VIEWS, Question, names, values

Answer = Callable[[list[Question]], list[tuple[object, ...]]]

_ROWS_AT_ONCE = 50_000


def sqlite(folder: Path, url: str, keys: int) -> Answer:
    """From SQLite."""
    scratch = Path(tempfile.mkdtemp(prefix="feast-", dir=folder))
    return _answering({"type": "sqlite", "path": str(scratch / "online.db")}, scratch, keys)


def redis(folder: Path, url: str, keys: int) -> Answer:
    """From Redis."""
    place = url.removeprefix("redis://").partition("/")[0]
    return _answering(
        {"type": "redis", "connection_string": place}, Path(tempfile.mkdtemp(prefix="feast-", dir=folder)), keys
    )


def _answering(online: dict[str, str], scratch: Path, keys: int) -> Answer:
    store = store_of(online, scratch)
    # Of the present, because Feast compares a ttl with the clock.
    write(store, keys, pd.Timestamp.now(tz="UTC"))
    asked = [f"view{view}:{name}" for view in range(VIEWS) for name in names(view)]

    def answer(questions: list[Question]) -> list[tuple[object, ...]]:
        found = store.get_online_features(features=asked, entity_rows=questions).to_dict()
        return list(zip(*(found[name] for name in NAMES), strict=True))

    return answer


def store_of(online: dict[str, str], scratch: Path) -> Any:
    """A Feast repository with the two views."""
    config = RepoConfig(
        project="online",
        provider="local",
        registry=str(scratch / "registry.db"),
        online_store=online,
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config, repo_path=None)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    store.apply([entity, *(_view(entity, view, scratch) for view in range(VIEWS))])
    return store


def _view(entity: Any, view: int, scratch: Path) -> Any:
    return FeatureView(
        name=f"view{view}",
        entities=[entity],
        ttl=TTL,
        schema=[Field(name=name, dtype=Float64) for name in names(view)],
        source=FileSource(name=f"file{view}", path=file_of(scratch, view), timestamp_field="event_time"),
        online=True,
    )


def file_of(scratch: Path, view: int) -> str:
    """Where the rows of a view would be."""
    return str(scratch / f"view{view}.parquet")


def frame_of(view: int, entities: range, moment: pd.Timestamp) -> pd.DataFrame:
    """A row of every entity."""
    rows = [values(entity) for entity in entities]
    columns = {name: [row[NAMES.index(name)] for row in rows] for name in names(view)}
    return pd.DataFrame({"entity": entities, **columns, "event_time": moment})


def write(store: Any, keys: int, moment: pd.Timestamp) -> None:
    """A row of every entity into each view, some at once, because Feast makes objects of every cell of a frame."""
    for view in range(VIEWS):
        for begin in range(0, keys, _ROWS_AT_ONCE):
            some = range(begin, min(begin + _ROWS_AT_ONCE, keys))
            store.write_to_online_store(f"view{view}", frame_of(view, some, moment))
