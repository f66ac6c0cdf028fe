"""The feature store itself: sources in a lake, and `features(...)` with all its checks.

What was ingested is held in memory for the questions on every flight, as every engine has its tables there. For the
20,000 the lake is opened anew each time and read from its files, as Feast reads its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from benchmarks.asof_join_peers.question import ALL, COLUMNS, FEW, JOINS, WINDOWS
from feature_store.definitions.feature_view import Feature, latest, window
from feature_store.definitions.source import Source, before
from feature_store.definitions.spine import Each, each
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.storage.lake import Lake
from feature_store.storage.tables import table_of


def _source(name: str) -> Source:
    keys, _ = JOINS[name]
    return Source(
        name, read=dict, key=[*keys, "event_time"], event_time="event_time", available_at="event_time", entity=keys
    )


SOURCES = {name: _source(name) for name in JOINS}
ASKED = Source("asked", read=dict, key="question", event_time="as_of", available_at=before("as_of", "30d"))
SPINE: Each = each(ASKED, as_of=before("as_of", "0s"))
LATEST: list[Feature] = [
    latest(SOURCES[name], *(f"{name}_{column}" for column in COLUMNS[name]), ttl=f"{ttl}h")
    for name, (_, ttl) in JOINS.items()
]
WINDOW = window(SOURCES["carrier"], delay=pl.col("carrier_arr_delay").mean(), over=[f"{hours}h" for hours in WINDOWS])
END = datetime(2014, 2, 1, tzinfo=UTC)


def ingest(folder: Path) -> None:
    """Take the three tables into the lake of the folder."""
    lake = Lake(folder / "lake")
    for name, source in SOURCES.items():
        ingest_batch(source, pl.read_parquet(folder / f"{name}.parquet"), lake, as_of=END, batch="all")


def prepared(folder: Path, questions: str) -> Callable[[], pl.DataFrame]:
    """What answers the questions of a file: 20 features to all, the 17 of the joins to the few."""
    spine = pl.read_parquet(folder / f"{questions}.parquet")
    if questions == FEW:
        return lambda: _found(LATEST, spine, Lake(folder / "lake"))
    assert questions == ALL
    lake = Lake(folder / "lake")
    for source in SOURCES.values():
        lake.read(table_of(source))
    return lambda: _found([*LATEST, WINDOW], spine, lake)


def _found(views: Sequence[Feature], spine: pl.DataFrame, lake: Lake) -> pl.DataFrame:
    return features(views, spine, lake, spine=SPINE)
