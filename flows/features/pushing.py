"""Rows as they happen: pushed into the lake and, for every version that may be asked, at once into the online store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from feature_store.definitions.source import Source
from feature_store.intake.ingest import ingest_batch
from feature_store.online.materialize import materialize
from flows.errors import BatchRefusedError, UnknownSourceError
from flows.features.held import online_views
from flows.model import Model
from flows.online import opened
from flows.results import Result
from flows.wiring import Loop
from lifecycle.moments import iso


@dataclass(frozen=True, slots=True)
class Pushed:
    """Some rows of a source.

    Attributes:
        source: its name.
        frame: Polars or pandas, with the columns that `read` of the source gives.
        batch: the id under which a repetition is recognised as one, for callers that may send twice. Rows that are
            known already are not taken in again in any case.
    """

    source: str
    frame: Any
    batch: str = field(default_factory=lambda: f"push {uuid4().hex}")


def push_rows(loop: Loop, model: Model, rows: Pushed, as_of: datetime) -> Result:
    """Take rows of one source in as `ingest` does, and bring the views of that source up to `as_of`.

    The same rows again change nothing. What a crash between lake and store left out is made up for by the next push
    or `materialize`.

    Raises:
        UnknownSourceError: the model reads no source of this name.
        BatchRefusedError: an expectation that stops the batch failed; nothing of it was stored.
        MissingColumnsError, ColumnTypeError: the rows do not fit the source.
        OnlineStoreError: the rows are in the lake and not yet online.
    """
    source = _source(model, rows.source)
    read = [online.reading(source.name) for online in online_views(loop, model)]
    done = ingest_batch(source, rows.frame, loop.lake, as_of=as_of, batch=rows.batch)
    if done.stopped:
        raise BatchRefusedError(source.name, done.stopped)
    records = 0
    with opened(loop.settings) as store:
        for online in read:
            records += materialize(online, loop.lake, store, as_of=as_of).records
    facts: dict[str, Any] = {
        "source": source.name,
        "batch": rows.batch,
        "rows": done.appended,
        "filled": done.filled,
        "quarantined": done.quarantined,
        "already_known": done.already_known,
        "records": records,
        "store": repr(store),
    }
    return Result("features push", model.name, iso(as_of), facts)


def _source(model: Model, name: str) -> Source:
    for source in model.sources:
        if source.name == name:
            return source
    raise UnknownSourceError(model.name, name, [source.name for source in model.sources])
