"""Rows as they happen: into the lake, and at once into the online store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feature_store.definitions.source import Source
from feature_store.intake.ingest import IngestResult, ingest_batch
from feature_store.online.materialize import Materialized, materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.store import OnlineStore
from feature_store.storage.lake import Lake


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a source.

    Attributes:
        frame: a Polars or pandas frame with the columns that the source's table has.
        batch: the id under which a repetition is recognised.
    """

    source: Source
    frame: Any
    batch: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of the rows in the lake, and which records were written online."""

    ingested: IngestResult
    online: Materialized


def push(rows: Rows, online: OnlineViews, lake: Lake, store: OnlineStore, *, as_of: datetime) -> Pushed:
    """Take rows in as `ingest_batch` does, and bring the views of their source up to `as_of`.

    Pushed again under the same batch id they change nothing, and what a crash between lake and store left
    out is made up for: by the same push, by any later one, or by `materialize`.

    Raises:
        MissingColumnsError, ColumnTypeError: the rows do not fit the source.
        StoreLockedError, StoreFullError, StoreUnreachableError: the rows are in the lake and not yet online.
    """
    ingested = ingest_batch(rows.source, rows.frame, lake, as_of=as_of, batch=rows.batch)
    return Pushed(ingested, materialize(online.reading(rows.source.name), lake, store, as_of=as_of))
