"""Pages: what a person is shown of a window, as artifacts in MLflow, and as a run in Evidently's own workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from flows.steps import Step
from flows.tasks import task
from flows.wiring import Reign
from lifecycle.evidence import DriftFinding
from monitoring.errors import NothingToReportError
from monitoring.figures import drift_figure
from monitoring.labels import LabelledRows
from monitoring.presets import write_quality, write_summary
from monitoring.report import DriftReport
from monitoring.workspace import keep_run


@task("write report")
def log_page(
    step: Step, champion: Reign, findings: Sequence[DriftFinding], current: pd.DataFrame, report: DriftReport | None
) -> dict[str, str]:
    """Evidently's pages on the columns of the window, with the scores the decision is made on; their addresses.

    The page on drift is left out where no column has a score; the evidence says why of each.
    """
    links = {}
    title = title_of(step, champion)
    with TemporaryDirectory() as folder:
        if report is not None:
            links["Evidently report"] = _log(step, report.write(_named(step, folder, "drift")))
        summary = write_summary(champion.reference, current, _named(step, folder, "summary"), f"{title}: columns")
        links["Evidently data summary"] = _log(step, summary)
    step.run.figure(drift_figure(findings), "drift.png")
    return links


@task("write quality report")
def log_quality(step: Step, champion: Reign, rows: LabelledRows) -> dict[str, str]:
    """Evidently's page on the answers of the newest fully labelled window; its address, where labels differ."""
    title = f"{title_of(step, champion)}: answers of the newest fully labelled window"
    with TemporaryDirectory() as folder:
        try:
            return {"Evidently quality": _log(step, write_quality(rows, _named(step, folder, "quality"), title))}
        except NothingToReportError:
            return {}


@task("keep Evidently run")
def keep_evidently_run(step: Step, report: DriftReport) -> None:
    """The window as a run in the workspace that `evidently ui` opens."""
    keep_run(step.loop.settings.folder / "evidently", step.model.name, report, step.as_of)


def drift_report(
    step: Step, champion: Reign, findings: Sequence[DriftFinding], current: pd.DataFrame
) -> DriftReport | None:
    """Evidently's report of the window; none where no column has a score."""
    if all(finding.score is None for finding in findings):
        return None
    return DriftReport.of(champion.reference, current, findings, title_of(step, champion), step.as_of)


def title_of(step: Step, champion: Reign) -> str:
    """What a page is about."""
    return f"{step.model.name} version {champion.epoch.version}, window to {step.as_of:%Y-%m-%d}"


def _named(step: Step, folder: str, page: str) -> Path:
    return Path(folder) / f"{page}-{step.as_of:%Y-%m-%d}.html"  # MLflow opens no link to a name with spaces


def _log(step: Step, path: Path) -> str:
    step.run.file(path, "reports")
    return f"{step.loop.tracker.run_url(step.run.run_id)}/artifacts/reports/{path.name}"
