"""Parity: logged serving features computed again offline, and every difference reported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Any

from prefect import flow

from feature_store.offline.parity import Difference, FeatureParity, merged, ranked
from flows.features.lineage import trained_views
from flows.features.recompute import logged, newest_logged, versions_logged, window_parity
from flows.frames import predictions_table
from flows.model import Model
from flows.results import Result
from flows.steps import Step, carry_out, data_version, moment_of, run_name
from flows.tasks import task
from flows.wiring import Loop, current_loop
from lifecycle.moments import Window, iso, parse_moment

REPORT = "parity.json"


@flow(name="parity", flow_run_name=run_name)
def parity(model: str, as_of: str | None = None, start: str | None = None) -> Result:
    """Compute the features of logged answers again, as of each question, and report every difference.

    Args:
        as_of: the end of the questions looked at; in a scheduled run its scheduled start.
        start: their beginning; by default one window of the policy before the end.

    The same questions over the same data are looked at once.
    """
    loop = current_loop()
    end = moment_of(as_of)
    known = loop.model(model)
    window = Window(parse_moment(start) if start else end - loop.policy_of(known).every, end)
    part = f" from {iso(window.start)} {_tables_digest(loop, known)}"
    return carry_out("parity", model, iso(end), lambda step: _parity(step, window), part=part)


def _tables_digest(loop: Loop, model: Model) -> str:
    table = predictions_table(model.name)
    log = loop.lake.version(table) if loop.lake.exists(table) else "none"
    return sha256(f"{data_version(loop, model)}, {table}@{log}".encode()).hexdigest()[:8]


def _parity(step: Step, window: Window) -> Result:
    found = ranked(merged(compare_window(step, piece) for piece in pieces(step, window)))
    rows = max((one.checked + one.unchecked for one in found), default=0)
    log(step, found, rows)
    newest = newest_logged(step.model, step.loop.lake, window.end)
    shown = {**told(found, rows, window), "newest": iso(newest) if newest else None}
    facts = {**shown, "features": [cells(one) for one in found if rows]}
    return Result("parity", step.model.name, iso(step.as_of), facts)


def pieces(step: Step, window: Window) -> Iterator[Window]:
    """The window cut into the policy's windows, oldest first; nothing where nothing was ever logged."""
    if not step.loop.lake.exists(predictions_table(step.model.name)):
        return
    every = step.loop.policy_of(step.model).every
    start = window.start
    while start < window.end:
        end = min(start + every, window.end)
        yield Window(start, end)
        start = end


@task("compare window")
def compare_window(step: Step, window: Window) -> list[FeatureParity]:
    """Every feature of one window's answers against what is computed now."""
    loop, model = step.loop, step.model
    trained = {version: trained_views(loop, model, version) for version in versions_logged(model, loop.lake, window)}
    return window_parity(logged(model, loop.lake, window, trained))


def log(step: Step, found: Sequence[FeatureParity], rows: int) -> None:
    """Shares as metrics to chart, and everything as an artifact."""
    skewed = [one for one in found if one.differing]
    step.run.metrics({"rows": rows, "skewed_features": len(skewed), "skewed_cells": sum(o.differing for o in found)})
    step.run.metrics({f"skew.{one.feature}": one.share for one in found if one.checked})
    step.run.text(json.dumps([asdict(one) for one in found], default=_plain, indent=1), REPORT)


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else str(value)


def told(found: Sequence[FeatureParity], rows: int, window: Window) -> dict[str, Any]:
    """The comparison in a few lines."""
    skewed = [one.feature for one in found if one.differing]
    checked = sum(one.checked for one in found)
    verdict = f"{len(skewed)} of {len(found)} features were served otherwise than they are computed"
    return {
        "window": str(window),
        "rows": rows,
        "cells": checked,
        "verdict": verdict if checked else "nothing was logged in this window, so nothing is known",
        "skewed": skewed,
        "late": {one.feature: one.late for one in found if one.late},
    }


def cells(one: FeatureParity) -> dict[str, Any]:
    """One feature as a row of the table."""
    return {
        "feature": one.feature,
        "differing": one.differing,
        "share": one.share,
        "largest": one.largest,
        "deviations": one.deviations,
        "late": one.late,
        "checked": one.checked,
        "unchecked": one.unchecked,
        "first": "; ".join(map(_told, one.examples[:1])),
    }


def _told(example: Difference) -> str:
    asked = ", ".join(f"{k} {iso(v) if isinstance(v, datetime) else v}" for k, v in example.question.items())
    return f"{asked}: served {example.served!r}, offline {example.offline!r}"
