"""Ingest: what has become known by `as_of` is validated; the good is stored, the bad quarantined with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from prefect import flow
from prefect.artifacts import create_link_artifact

from feature_store.definitions.feature_view import Latest
from feature_store.definitions.source import Source
from feature_store.definitions.suite import STOP
from feature_store.intake.ingest import IngestResult, ingest_batch
from feature_store.intake.validation_page import validation_page
from feature_store.storage.lake import Lake
from feature_store.storage.tables import source_digest, table_of
from flows.errors import BatchRefusedError
from flows.expecting import expecting
from flows.keys import artifact_key
from flows.model import Model
from flows.results import Result
from flows.steps import Step, carry_out, run_name
from flows.tasks import task
from lifecycle.evidence import Anomaly, IngestFacts
from lifecycle.moments import iso
from lifecycle.records import to_plain


@flow(name="ingest", flow_run_name=run_name, validate_parameters=True)
def ingest(model: str, as_of: str | None = None) -> Result:
    """Validate what has become known by `as_of`, source by source; a refused batch stops everything after it."""
    return carry_out("ingest", model, as_of, _ingest)


def _ingest(step: Step) -> Result:
    facts: list[IngestFacts] = []
    batches: dict[str, IngestResult] = {}
    for source in step.model.sources:
        name = source.name
        batches[name] = ingest_source(step, source)
        if batches[name].stopped:
            break
        facts.append(facts_of(step, source, batches[name]))
    page = log_page(step, batches)
    refuse(step, batches, page)
    step.run.metrics(
        {f"{f.source}_rows": f.rows for f in facts}
        | {f"{f.source}_quarantined": f.quarantined for f in facts}
        | {f"{f.source}_anomalies": len(f.anomalies) for f in facts}
    )
    shown = {f.source: _told(f) for f in facts}
    plain = {**shown, "_facts": [to_plain(f) for f in facts]}
    return Result("ingest", step.model.name, iso(step.as_of), plain, {"Validation": page})


@task("ingest source", run_name="ingest {source.name}")
def ingest_source(step: Step, source: Source) -> IngestResult:
    """One batch of one source, held against the model file and the suite beside it."""
    loop, key = step.loop, step.key(f"ingest {source.name}")
    return ingest_batch(expecting(step.model, source), loop.read(source), loop.lake, as_of=step.as_of, batch=key)


def facts_of(step: Step, source: Source, result: IngestResult) -> IngestFacts:
    """What a batch was like, as evidence."""
    newest = newest_event(source, step.loop.lake, step.as_of)
    found = [Anomaly(one.column, one.told) for one in result.checks if not one.passed]
    found += [Anomaly(name, "a new column, which is not stored") for name in result.unexpected_columns]
    return IngestFacts(
        source=source.name,
        rows=result.appended,
        quarantined=result.quarantined,
        digest=source_digest(source, step.loop.lake, step.as_of),
        newest_event=newest,
        stale=is_stale(step.model, source, newest, step.as_of),
        suite=result.suite,
        anomalies=tuple(found),
    )


def log_page(step: Step, batches: Mapping[str, IngestResult]) -> str:
    """The page of the validation as an artifact; its address in the MLflow UI."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"validation-{step.as_of:%Y-%m-%d}.html"
        path.write_text(validation_page(f"{step.model.name}, data to {iso(step.as_of)}", batches), encoding="utf-8")
        step.run.file(path, "reports")
    return f"{step.loop.tracker.run_url(step.run.run_id)}/artifacts/reports/{path.name}"


def refuse(step: Step, batches: Mapping[str, IngestResult], page: str) -> None:
    """Stop where a batch was refused, and leave the way to its page with the flow run.

    Raises:
        BatchRefusedError: an expectation that stops the batch failed; nothing of it was stored.
    """
    for name, result in batches.items():
        if result.stopped:
            create_link_artifact(page, link_text=f"Validation of {name}", key=artifact_key(step.model.name, "refused"))
            columns = dict.fromkeys(one.column for one in result.checks if one.otherwise == STOP and not one.passed)
            raise BatchRefusedError(name, result.stopped, columns)


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
    if facts.stale:
        told += f", STALE: newest {iso(facts.newest_event) if facts.newest_event else 'never'}"
    return "; ".join([told, *(f"{one.column or 'the batch'}: {one.told}" for one in facts.anomalies)])
