"""Taking in a batch: what exists by now, is new and is as expected is appended; the rest is kept apart."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import polars as pl

from feature_store.definitions.source import Source
from feature_store.errors import AppendConflictError, TableChangedError
from feature_store.intake.arrivals import arrivals
from feature_store.intake.intake import IngestResult, Intake, Moment, quarantine_of
from feature_store.intake.validation import CheckResult
from feature_store.span import utc
from feature_store.storage.lake import Lake
from feature_store.storage.tables import STORED, table_of, tables_of

__all__ = ["IngestResult", "ingest_batch", "quarantine_of"]

_UTC = pl.Datetime("us", "UTC")
_TRIES = 20


def ingest_batch(source: Source, raw: Any, lake: Lake, *, as_of: datetime, batch: str) -> IngestResult:
    """Take in what a raw frame tells by `as_of`, once per batch id.

    Several processes and machines may take in batches of one source, also the same one, at the same time: what a
    batch adds is decided on the newest versions of the source's tables, and decided anew when they have moved.

    Rows that contradict one another (one key, one availability, other values) follow `source.duplicates`; a row
    that contradicts one of an earlier batch cannot undo it, and is set apart alone.

    Args:
        raw: a Polars or pandas frame. It may reach beyond `as_of`: rows that are not available by then do
            not exist yet, and later columns whose moment has not come are not looked at.
        batch: the id under which a repetition is recognised, also after a crash half-way.

    Raises:
        MissingColumnsError, ColumnTypeError, UntypedColumnError, ReservedColumnError: the frame does not fit.
        ExpectationFailedToRunError: an expectation could not be checked.
        SuiteUnreadableError: the suite holds an expectation that Great Expectations does not know.
        TableLockedError: another process of this machine went on taking in batches of the source.
        AppendConflictError: other machines did.
    """
    as_of = utc("as_of", as_of)
    with lake.writing(f"sources/{source.name}"):
        for _ in range(_TRIES):
            earlier = _recorded(source, lake, batch)
            if earlier is not None:
                return earlier
            versions = {table: lake.newest(table) for table in (*tables_of(source), quarantine_of(source))}
            moment = Moment(as_of, batch, versions, _days_since(source, lake, as_of))
            arrived = arrivals(source, raw, _stored_types(source, lake))
            try:
                result = Intake(source, lake, moment, arrived).run()
            except TableChangedError:
                # Another machine was faster. What this batch has written stays and is met again as its own.
                continue
            return _record(source, lake, batch, as_of, result)
    raise AppendConflictError(table_of(source), _TRIES)


def _record(source: Source, lake: Lake, batch: str, as_of: datetime, result: IngestResult) -> IngestResult:
    if result.stopped is not None:
        return result
    record = pl.DataFrame({"batch": [batch], "as_of": [as_of], "result": [json.dumps(asdict(result))]})
    lake.append(f"batches/{source.name}", record.cast({"as_of": _UTC}), batch=batch)
    return _recorded(source, lake, batch) or result


def _recorded(source: Source, lake: Lake, batch: str) -> IngestResult | None:
    table = f"batches/{source.name}"
    if not lake.has_batch(table, batch):
        return None
    with lake.reading(table):
        text = lake.scan(table).filter(pl.col("batch") == batch).select("result").collect().item()
    fields = json.loads(text)
    checks = tuple(CheckResult(**one) for one in fields.get("checks", ()))
    return IngestResult(**fields | {"unexpected_columns": tuple(fields["unexpected_columns"]), "checks": checks})


def _days_since(source: Source, lake: Lake, as_of: datetime) -> float | None:
    """Days since the newest batch that was taken in before this one; only a suite asks for them."""
    table = f"batches/{source.name}"
    if source.suite is None or not lake.exists(table):
        return None
    moments = lake.read(table, ["as_of"])["as_of"]
    newest = moments.filter(moments < as_of).max()
    return (as_of - newest).total_seconds() / 86_400 if isinstance(newest, datetime) else None


def _stored_types(source: Source, lake: Lake) -> dict[str, pl.DataType]:
    types: dict[str, pl.DataType] = {}
    for time in (None, *source.later):
        if lake.exists(table_of(source, time)):
            types |= lake.schema(table_of(source, time))
    declared = {source.event_time, source.available_at}
    return {name: kind for name, kind in types.items() if name not in STORED or name in declared}
