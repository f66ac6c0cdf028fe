"""Expectations beside the model file: `expectations/SOURCE.json`, inferred, reviewed, and used by every ingest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from feature_store.definitions.source import Source
from feature_store.definitions.suite import Suite, read_suite
from feature_store.intake.inference import infer_suite
from feature_store.storage.tables import table_of
from flows.errors import EmptyWindowError
from flows.model import Model
from flows.results import Result
from flows.wiring import Loop
from lifecycle.moments import Window, iso

FOLDER = "expectations"


def suite_file(model: Model, source: Source) -> Path | None:
    """Where the suite of a source lies; none for a model that came from no file."""
    return model.path.parent / FOLDER / f"{source.name}.json" if model.path else None


def suite_of(model: Model, source: Source) -> Suite | None:
    """The reviewed suite of a source, or none where there is no file.

    Raises:
        SuiteUnreadableError: the file is no suite.
    """
    path = suite_file(model, source)
    return read_suite(path) if path else None


def expecting(model: Model, source: Source) -> Source:
    """The source with the expectations of its file; the same one every time, so that what it read is remembered."""
    suite = suite_of(model, source)
    return source if suite is None else _with_suite(source, suite)


@lru_cache(maxsize=64)
def _with_suite(source: Source, suite: Suite) -> Source:
    return replace(source, suite=suite)


def expect(loop: Loop, model: Model, as_of: datetime, *, write: bool = False) -> Result:
    """Infer what may be expected of each source's next batch, and show what differs from the files.

    Args:
        write: write the files; without it they are only compared.

    Raises:
        EmptyWindowError: nothing was taken in yet to infer anything from.
        SuiteUnreadableError: a file that is there is no suite.
    """
    every = loop.policy_of(model).every
    stored = [source for source in model.sources if loop.lake.exists(table_of(source))]
    if not stored:
        raise EmptyWindowError("batch", "taken in", Window.before(as_of, every), None)
    facts: dict[str, Any] = {}
    for source in stored:
        inferred = infer_suite(source, loop.lake, as_of=as_of, every=every)
        facts[source.name] = _told(inferred, suite_of(model, source))
        facts[f"changes_of_{source.name}"] = _changes(inferred, suite_of(model, source))
        path = suite_file(model, source)
        if write and path is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(inferred.to_json(), encoding="utf-8")
            facts[f"wrote_{source.name}"] = str(path)
    facts["next"] = "look at the diff; every ingest keeps to the files" if write else "add --write to write the files"
    return Result("expect", model.name, iso(as_of), facts)


def _told(inferred: Suite, written: Suite | None) -> str:
    against = f"the file has {len(written.checks)}, version {written.version}" if written else "there is no file yet"
    return f"{len(inferred.checks)} expectations, version {inferred.version}; {against}"


def _changes(inferred: Suite, written: Suite | None) -> Sequence[dict[str, str]] | str:
    reasons = {(one.column or "all columns", one.told): one.why for one in inferred.checks}
    rows = []
    for change in inferred.changes(written):
        row = {"column": change.column, "now": change.now, "was": change.was}
        why = reasons.get((change.column, change.now.rpartition(", else ")[0]), "")
        rows.append({name: text for name, text in (row | {"why": why}).items() if text or name == "now"})
    return rows or "none"
