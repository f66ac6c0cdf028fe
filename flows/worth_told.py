"""What a person sees of a champion's worth: a time series, a few lines, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import polars as pl

from flows.evidence import watched
from flows.steps import Step
from flows.tasks import task
from flows.worth import labelled
from lifecycle.estimates import Estimate
from lifecycle.evidence import Evidence
from lifecycle.records import to_plain
from lifecycle.worth import Reconciliation, Revision, Worth
from mlflow_plugins.mlflow_run import MlflowRun
from modeling.figures import reliability_of
from monitoring.figures import attribution_figure, estimate_figure, segments_figure

_TABLES = ("estimated", "reconciled", "revised", "segments", "fairness", "clients")


def series_of(worth: Worth, metric: str) -> dict[str, float]:
    """What the version's time series keeps of it, one point a window."""
    values: dict[str, float] = {}
    for one in worth.estimated:
        if one.estimate is not None:
            values |= _limits(f"estimated.{one.metric}", one.estimate, limits=one.metric == metric)
    for pair in worth.reconciled:
        values[f"estimate_error.{pair.metric}"] = pair.realised - pair.estimated.value
    if worth.calibration and worth.calibration.error:
        values |= _limits("calibration_error", worth.calibration.error)
    if worth.calibration and worth.calibration.slope:
        values["calibration_slope"] = worth.calibration.slope.value
    values["weak_segments"] = float(sum(one.weak for one in worth.segments))
    if worth.outliers and worth.outliers.rows:
        values["outlier_share"] = worth.outliers.share
    values |= {f"gap.{one.column}.{one.rate}": one.gap.value for one in worth.fairness if one.gap is not None}
    return values


def revised_series(one: Revision) -> dict[str, float]:
    """A point that is added to the series of an earlier window; what was known of it then stays beside."""
    values = {"revised.label_coverage": one.coverage.share}
    return values if one.estimate is None else values | {f"revised.{one.metric}": one.estimate.value}


def _limits(name: str, estimate: Estimate, *, limits: bool = True) -> dict[str, float]:
    reach = {f"{name}_low": estimate.low, f"{name}_high": estimate.high} if limits else {}
    return {name: estimate.value, **reach}


def told(worth: Worth, metric: str) -> dict[str, object]:
    """A few lines for a person."""
    weak = [one.segment for one in worth.segments if one.weak]
    facts: dict[str, object] = {
        "estimated": _estimate_told(worth, metric),
        "weak segments": ", ".join(weak) or "none found",
    }
    found = worth.outliers
    if found is not None:
        facts["outliers"] = found.note or f"{found.extreme} of {found.rows}, {found.expected:.0%} expected"
    if found is not None and found.quarantined:
        facts["set aside"] = found.quarantined
    if worth.clients:
        facts["clients"] = ", ".join(one.client for one in worth.clients)
    return facts


def _estimate_told(worth: Worth, metric: str) -> str:
    """The estimate, what it cannot see, and what its interval was learned from."""
    stated = next((one for one in worth.estimated if one.metric == metric), None)
    if stated is None:
        return f"unknown: {metric} cannot be estimated without labels"
    if stated.estimate is None:
        return f"unknown: {stated.note}"
    return f"{metric} {stated.estimate}, blind to {stated.blind_to}; {stated.basis}"


@task("show worth")
def log_worth(step: Step, evidence: Evidence, asked: pl.DataFrame, earlier: Sequence[Evidence]) -> None:
    """Tables and figures as artifacts, under `worth/`."""
    worth = evidence.worth
    if worth is None:
        return
    log_tables(step.run, worth)
    known = labelled(step.model, watched(step.model, asked, step.as_of))
    if known is not None and known.binary:
        step.run.figure(reliability_of(known.labels, {"champion": known.predictions}), "worth/calibration.png")
    if worth.segments:
        step.run.figure(segments_figure(worth.segments), "worth/segments.png")
    for place, drift in enumerate(worth.attributions):
        if drift.findings:
            step.run.figure(attribution_figure(drift), f"worth/attributions-{place + 1}.png")
    history = reconciled_before(evidence, earlier, step.model.gate.metric)
    if history:
        step.run.figure(estimate_figure(history), "worth/estimated-and-realised.png")


def log_tables(run: MlflowRun, worth: Worth) -> None:
    """One CSV a kind of finding, which MLflow shows as a table."""
    for name in _TABLES:
        findings = getattr(worth, name)
        if findings:
            run.text(table(findings), f"worth/{name}.csv")
    for place, drift in enumerate(worth.attributions):
        if drift.findings:
            run.text(f"# {drift.method}\n{table(drift.findings)}", f"worth/attributions-{place + 1}.csv")


def table(findings: Sequence[object]) -> str:
    """Findings as CSV, a value's limits in columns of their own."""
    frame = pd.json_normalize([to_plain(one) for one in findings])
    return frame.drop(columns=[name for name in map(str, frame.columns) if name.split(".")[-1] == "type"]).to_csv(
        index=False
    )


def reconciled_before(evidence: Evidence, earlier: Sequence[Evidence], metric: str) -> list[Reconciliation]:
    """What was estimated and realised of one metric under this version, oldest first."""
    version = evidence.champion and evidence.champion.version
    seen = [one for one in (evidence, *earlier) if one.champion and one.champion.version == version and one.worth]
    pairs = [pair for one in seen if one.worth for pair in one.worth.reconciled if pair.metric == metric]
    return sorted(pairs, key=lambda pair: pair.window.end)
