"""The history of the champion's windows on the page of a scheduled run: the same picture as MLflow's charts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.runtime import flow_run

from flows.decide import earlier_evidence
from flows.evidence import noted_evidence
from flows.keys import artifact_key
from flows.steps import Step
from lifecycle.evidence import Evidence
from monitoring.history import history_figure

_MOST = 52


def windows_of(step: Step) -> list[Evidence]:
    """The windows of the present champion's reign, oldest first; at most 52."""
    evidence = noted_evidence(step.loop, step.model, step.as_of)
    if evidence.champion is None:
        return []
    epoch = evidence.champion.epoch
    earlier = earlier_evidence(step.loop.ledger, step.model, evidence)
    same = [one for one in earlier if one.champion is not None and one.champion.epoch == epoch]
    return [*reversed(same[: _MOST - 1]), evidence]


def log_history(step: Step) -> None:
    """Keep the figure with the MLflow run, and show it and its numbers with the flow run."""
    windows = windows_of(step)
    if not windows:
        return
    figure = history_figure(windows)
    step.run.figure(figure, "history.png")
    if flow_run.id:
        picture = BytesIO()
        figure.savefig(picture, format="png", dpi=90)
        told = f"{step.model.name}: {len(windows)} windows under the present champion"
        key = artifact_key(step.model.name, "history")
        create_image_artifact(_inline(picture.getvalue()), key=key, description=told)
        create_table_artifact(rows_of(windows), key=f"{key}-numbers", description=told)


def _inline(picture: bytes) -> str:
    """As an address that holds the picture itself, so that the page needs no other server."""
    return f"data:image/png;base64,{b64encode(picture).decode()}"


def rows_of(windows: Sequence[Evidence]) -> list[dict[str, Any]]:
    """One row a window, the newest first."""
    return [dict(_row(one)) for one in reversed(windows)]


def _row(one: Evidence) -> Mapping[str, Any]:
    seen = one.performance
    return {
        "window to": f"{one.window.end:%Y-%m-%d %H:%M}",
        "version": one.champion.version if one.champion else None,
        seen.metric if seen else "performance": str(seen.estimate) if seen and seen.estimate else "unknown",
        "labels": f"{seen.coverage.share:.0%}" if seen else "none",
        "drifted": ", ".join(finding.column for finding in one.drifted) or ("none" if one.drift_known else "unknown"),
        "anomalies": sum(len(facts.anomalies) for facts in one.ingested),
        "quarantined": sum(facts.quarantined for facts in one.ingested),
    }
