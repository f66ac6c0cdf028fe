"""Ingest: what has become known by `as_of` is validated; the good is stored, the bad quarantined with its reason."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from feature_store.feature_view import Latest
from feature_store.ingest import ingest_batch
from feature_store.lake import Lake
from feature_store.source import Source
from feature_store.tables import source_digest, table_of
from flows.errors import BatchRefusedError
from flows.model import Model
from flows.results import Result
from flows.steps import Step, carry_out, run_name
from lifecycle.evidence import IngestFacts
from lifecycle.moments import iso
from lifecycle.records import to_plain


@flow(name="ingest", flow_run_name=run_name, validate_parameters=True)
def ingest(model: str, as_of: str | None = None) -> Result:
    """Validate what has become known by `as_of`, source by source; a refused batch stops everything after it."""
    return carry_out("ingest", model, as_of, _ingest)


def _ingest(step: Step) -> Result:
    facts = [
        ingest_source.with_options(task_run_name=f"ingest {source.name}")(step, source) for source in step.model.sources
    ]
    step.run.metrics(
        {f"{f.source}_rows": f.rows for f in facts} | {f"{f.source}_quarantined": f.quarantined for f in facts}
    )
    shown = {f.source: _told(f) for f in facts}
    return Result("ingest", step.model.name, iso(step.as_of), {**shown, "_facts": [to_plain(f) for f in facts]})


@task(name="ingest source", cache_policy=NO_CACHE)
def ingest_source(step: Step, source: Source) -> IngestFacts:
    """One batch of one source.

    Raises:
        BatchRefusedError: an expectation that stops the batch failed; nothing of it was stored.
    """
    loop, as_of = step.loop, step.as_of
    result = ingest_batch(source, loop.read(source), loop.lake, as_of=as_of, batch=step.key(f"ingest {source.name}"))
    if result.stopped:
        raise BatchRefusedError(source.name, result.stopped)
    newest = newest_event(source, loop.lake, as_of)
    return IngestFacts(
        source=source.name,
        rows=result.appended,
        quarantined=result.quarantined,
        digest=source_digest(source, loop.lake, as_of),
        newest_event=newest,
        stale=is_stale(step.model, source, newest, as_of),
    )


def newest_event(source: Source, lake: Lake, as_of: datetime) -> datetime | None:
    """When the newest row known at `as_of` happened; none for a timeless source and an empty one."""
    if source.timeless or not lake.exists(table_of(source)):
        return None
    times = lake.read(table_of(source), columns=["event_time", "available_at"])
    newest = times.filter(pl.col("available_at") <= as_of)["event_time"].max()
    return newest if isinstance(newest, datetime) else None


def is_stale(model: Model, source: Source, newest: datetime | None, as_of: datetime) -> bool:
    """Whether the newest row is older than any feature that reads the source would still use."""
    limits = [v.ttl for v in model.features if isinstance(v, Latest) and v.source.name == source.name and v.ttl]
    return bool(limits) and (newest is None or as_of - newest > max(limits))


def _told(facts: IngestFacts) -> str:
    told = f"{facts.rows:,} new rows, {facts.quarantined} quarantined"
    return (
        f"{told}, STALE: newest {iso(facts.newest_event) if facts.newest_event else 'never'}" if facts.stale else told
    )
