"""The feature store's own join and windows, from tables that are in memory already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import polars as pl

from benchmarks.asof_join_peers.flights import COLUMNS, JOINS, WINDOWS
from feature_store.digest import as_stored, row_digests
from feature_store.feature_view import Feature, Latest, Windowed, latest, window
from feature_store.features import features as features_of
from feature_store.lake import Lake
from feature_store.source import Source, before
from feature_store.spine import Each, each
from feature_store.tables import KEY, ROW, SEQUENCE, table_of


class Tables:
    """Tables as the lake returns them, in memory: what ingest made of the frames, whose cost is not counted."""

    def __init__(self, frames: Mapping[str, pl.DataFrame]) -> None:
        self._tables = {table_of(source): _ingested(frames[name], source) for name, source in SOURCES.items()}

    def read(self, table: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Every row."""
        rows = self._tables[table]
        return rows if columns is None else rows.select(columns)

    def scan(self, table: str, columns: Collection[str]) -> pl.LazyFrame:
        """The same, lazily."""
        return self._tables[table].lazy().select(columns)

    def reading(self, table: str) -> AbstractContextManager[None]:
        """Nothing can go wrong."""
        return nullcontext()

    def schema(self, table: str) -> dict[str, pl.DataType]:
        """Columns and types."""
        return dict(self._tables[table].schema)

    def exists(self, table: str) -> bool:
        """Whether there is such a table."""
        return table in self._tables

    def version(self, table: str) -> int:
        """They never change."""
        return 0

    def at(self, versions: Mapping[str, int]) -> Tables:
        """They never change."""
        return self


def _source(name: str) -> Source:
    keys, _ = JOINS[name]
    return Source(
        name, read=dict, key=[*keys, "event_time"], event_time="event_time", available_at="event_time", entity=keys
    )


SOURCES = {name: _source(name) for name in JOINS}
ASKED = Source("asked", read=dict, key="question", event_time="as_of", available_at=before("as_of", "30d"))
SPINE: Each = each(ASKED, as_of=before("as_of", "0s"))
LATEST: list[Latest] = [
    latest(SOURCES[name], *(f"{name}_{column}" for column in COLUMNS[name]), ttl=f"{ttl}h")
    for name, (_, ttl) in JOINS.items()
]
WINDOW: Windowed = window(
    SOURCES["carrier"], delay=pl.col("carrier_arr_delay").mean(), over=[f"{hours}h" for hours in WINDOWS]
)


def _ingested(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    return rows.with_columns(
        pl.col("event_time").alias("available_at"),
        as_stored(row_digests(rows), ROW),
        as_stored(row_digests(rows.select(source.key_columns or ())), KEY),
        pl.int_range(rows.height).alias(SEQUENCE),
    )


def joined(spine: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The three joins: every question with 17 features."""
    return _found(LATEST, spine, tables)


def features(spine: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """All 20 features."""
    return _found([*LATEST, WINDOW], spine, tables)


def _found(views: Sequence[Feature], spine: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    return features_of(views, spine, cast(Lake, tables), spine=SPINE)
