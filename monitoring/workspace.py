"""Evidently's own history of a model: one project a model, one run a window, in a folder that `evidently ui` opens."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid5

from monitoring.report import DriftReport

_NAMES = UUID("0f3c7f0e-9d0a-4f55-9a43-6f1f3a1c4a52")


def keep_run(folder: Path, model: str, report: DriftReport, as_of: datetime) -> UUID:
    """Keep a report as the run of the window that ends at `as_of`, about 1.5 MB; its id.

    The id of a run is made of the model and the moment, so a window has one run: kept again, it is written over.

    Args:
        folder: the workspace; made where there is none.
        model: name of the project; made where there is none.
        report: made with the same `as_of`, which is the time that Evidently's charts show it at.
    """
    from evidently.sdk.models import ProjectModel
    from evidently.ui.workspace import Workspace

    workspace = Workspace.create(str(folder))
    project, run = uuid5(_NAMES, model), uuid5(_NAMES, f"{model}|{as_of.isoformat()}")
    if workspace.get_project(project) is None:
        workspace.add_project(ProjectModel(id=project, name=model))
    report.snapshot.set_name(report.title)
    # not `add_run`, which would draw another id each time
    workspace.state.write_snapshot(project, run, report.snapshot.to_snapshot_model())
    return run
