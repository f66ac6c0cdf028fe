"""Materialize: what the lake has come to know goes into the online store, for every version that may be asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from prefect import flow, get_run_logger

from feature_store.online.claims import claim, expire_daily, release
from feature_store.online.materialize import materializing
from feature_store.online.plan import OnlineViews
from feature_store.online.store import OnlineStore
from flows.features.held import online_views
from flows.ingest import ingest
from flows.model import Model
from flows.online import opened
from flows.results import Result
from flows.showing import bars
from flows.steps import carry_out_again, run_name
from flows.wiring import Loop
from lifecycle.moments import iso


@flow(name="materialize", flow_run_name=run_name)
def materialize(model: str, as_of: str | None = None) -> Result:
    """Bring the online store up to what the lake knew at `as_of`; what is there already is not written again."""
    return carry_out_again(model, as_of, bring_up)


@flow(name="refresh", flow_run_name=run_name)
def refresh(model: str, as_of: str | None = None) -> Result:
    """What a schedule runs between two looks at the model: take in what is new, and bring it online."""
    return carry_out_again(model, as_of, _refresh)


def _refresh(loop: Loop, model: Model, as_of: datetime) -> Result:
    ingest(model.reference, iso(as_of))
    return materialize(model.reference, iso(as_of))


def bring_up(loop: Loop, model: Model, as_of: datetime) -> Result:
    """Materialize a model's features, remove what no version reads any more, and once a day what has expired.

    Raises:
        UnsupportedAggregateError: a window that cannot be kept up online.
        TableNotFoundError: a source was never ingested.
        StoreAheadError: the store has taken in more than the lake held at `as_of`.
        OnlineStoreError: the store is locked, full or away; what was written before is whole.
    """
    read = online_views(loop, model)
    if not read:
        facts: dict[str, Any] = {"views": "none is read from the online store: all comes with the question"}
        return Result("materialize", model.name, iso(as_of), facts)
    with opened(loop.settings) as store:
        claim(model.name, read, store)
        rows = _written(loop, read, store, as_of)
        told = {
            "store": repr(store),
            "records": sum(row["records"] for row in rows),
            "definitions_removed": release(model.name, read, store),
            "records_expired": expire_daily(model.name, read, store, as_of=as_of),
            "views": rows or "all of them stood there already",
        }
    return Result("materialize", model.name, iso(as_of), told)


def _written(loop: Loop, read: Sequence[OnlineViews], store: OnlineStore, as_of: datetime) -> list[dict[str, Any]]:
    """What each view took, as a table."""
    rows: list[dict[str, Any]] = []
    begins = True
    with bars(get_run_logger()) as tell:
        for batch in chain.from_iterable(materializing(one, loop.lake, store, as_of=as_of) for one in read):
            if begins:
                rows.append({"view": batch.view, "rows": 0, "records": 0, "removed": 0})
            for name in ("rows", "records", "removed"):
                rows[-1][name] += getattr(batch, name)
            tell(len(rows), batch.view, batch.done, batch.todo)
            begins = batch.last
    return rows
