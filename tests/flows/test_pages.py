"""What a person is shown of a window: Evidently's pages as artifacts, and a run a window in its workspace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_data import Shape, week, write_small_model

from flows.ingest import ingest
from flows.monitor import monitor
from flows.score import score
from flows.settings import Monitoring
from flows.train import train
from flows.wiring import running
from lifecycle.moments import iso

pytestmark = pytest.mark.timeout(900)  # walks of the whole loop, which wait long on a busy machine


def test_a_month_has_three_pages_and_each_window_is_a_run_in_the_workspace(
    tmp_path: Path, small_loop: Callable[..., Any]
) -> None:
    path = str(write_small_model(tmp_path, Shape(weeks=10, rows=3000)))
    loop = small_loop()
    loop.settings = loop.settings.model_copy(update={"monitoring": Monitoring(evidently_workspace=True)})

    with running(loop):
        ingest(path, iso(week(7)))
        train(path, iso(week(7)))
        links = []
        for number in (8, 9):  # week 9 ends in another month than it starts, so its pages are due
            ingest(path, iso(week(number)))
            score(path, iso(week(number)))
            links.append(monitor(path, iso(week(number))).links)

    pages = {name: link.rpartition("/artifacts/")[2] for name, link in links[1].items() if "Evidently" in name}
    assert not [name for name in links[0] if "Evidently" in name]
    assert pages == {
        "Evidently report": "reports/drift-2021-05-03.html",
        "Evidently data summary": "reports/summary-2021-05-03.html",
        "Evidently quality": "reports/quality-2021-05-03.html",
    }
    assert runs(loop.settings.folder / "evidently") == {
        "small": ["2021-04-26T00:00:00+00:00", "2021-05-03T00:00:00+00:00"]
    }


def runs(folder: Path) -> dict[str, list[str]]:
    """The moment of each run of each project of a workspace, as Evidently reads it."""
    from evidently.ui.workspace import Workspace

    workspace = Workspace.create(str(folder))
    return {
        project.name: sorted(
            workspace.get_run(project.id, run).timestamp.isoformat() for run in workspace.list_runs(project.id)
        )
        for project in workspace.list_projects()
    }
