"""Feast's DuckDB store: historical features of the three joins; run by the Python of .venv-peers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
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

from benchmarks.asof_join_peers.question import COLUMNS, FEW, JOINS


def prepared(folder: Path, questions: str) -> Callable[[], Any]:
    """What answers the questions of a file with the 17 features of the joins."""
    assert questions == FEW
    views = [_view(folder, table) for table in JOINS]
    store = _store()
    store.apply([*_entities().values(), *views])
    spine = pd.read_parquet(folder / f"{questions}.parquet").rename(columns={"as_of": "event_timestamp"})
    asked = [f"{table}:{table}_{column}" for table in JOINS for column in COLUMNS[table]]
    return lambda: store.get_historical_features(entity_df=spine, features=asked).to_df()


def _store() -> Any:
    scratch = Path(tempfile.mkdtemp(prefix="incumbent-feast-"))
    return FeatureStore(
        config=RepoConfig(
            project="asof_join",
            provider="local",
            registry=str(scratch / "registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(scratch / "online.db")},
            entity_key_serialization_version=3,
        ),
        repo_path=None,
    )


def _entities() -> dict[str, Any]:
    names = dict.fromkeys(key for keys, _ in JOINS.values() for key in keys)
    return {name: Entity(name=name, join_keys=[name], value_type=ValueType.STRING) for name in names}


def _view(folder: Path, table: str) -> Any:
    keys, ttl = JOINS[table]
    entities = _entities()
    return FeatureView(
        name=table,
        entities=[entities[key] for key in keys],
        ttl=timedelta(hours=ttl),
        schema=[Field(name=f"{table}_{column}", dtype=Float64) for column in COLUMNS[table]],
        source=FileSource(name=f"{table}_file", path=str(folder / f"{table}.parquet"), timestamp_field="event_time"),
        online=False,
    )
