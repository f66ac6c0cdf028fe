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

from benchmarks.online_peers.question import FEAST_KEYS, NAMES, TTL, VIEWS, Question, names, values

Answer = Callable[[list[Question]], list[tuple[object, ...]]]


def sqlite(folder: Path, url: str) -> Answer:
    """From SQLite."""
    scratch = Path(tempfile.mkdtemp(prefix="incumbent-feast-"))
    return _answering({"type": "sqlite", "path": str(scratch / "online.db")}, scratch)


def redis(folder: Path, url: str) -> Answer:
    """From Redis."""
    place = url.removeprefix("redis://").partition("/")[0]
    return _answering({"type": "redis", "connection_string": place}, Path(tempfile.mkdtemp(prefix="incumbent-feast-")))


def _answering(online: dict[str, str], scratch: Path) -> Answer:
    store = store_of(online, scratch)
    # Of the present, because Feast compares a ttl with the clock.
    write(store, FEAST_KEYS, pd.Timestamp.now(tz="UTC"))
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


def frame_of(view: int, keys: int, moment: pd.Timestamp) -> pd.DataFrame:
    """A row of every entity."""
    rows = [values(entity) for entity in range(keys)]
    columns = {name: [row[NAMES.index(name)] for row in rows] for name in names(view)}
    return pd.DataFrame({"entity": range(keys), **columns, "event_time": moment})


def write(store: Any, keys: int, moment: pd.Timestamp) -> None:
    """A row of every entity into each view."""
    for view in range(VIEWS):
        store.write_to_online_store(f"view{view}", frame_of(view, keys, moment))
