"""The tour is run from its first cell to its last, servers, worker and all, and its table says what it should."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from flows.servers import end_leftovers
from flows.settings import Settings, State

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "examples" / "flights" / "tour.py"
sys.path.append(str(ROOT / "infra"))

ASK = """
import json
print(json.dumps({
    "first": {**first.facts, **first.ids},
    "second": {**second.facts, **second.ids},
    "deployed": dict(deployed.ids),
    "watched": {**watched.facts, **watched.ids},
    "runs": list(runs["run_id"]),
    "flow_runs": list(runs["tags.prefect.flow_run_id"]),
    "compared": compared.astype(str).to_dict("list"),
    "why": late_flights.why().facts,
    "ended": up.returncode,
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the notebook knows after its last cell."""
    from notebook import notebook_of

    folder = tmp_path_factory.mktemp("tour")
    tour = notebook_of(SCRIPT)
    # Somebody who has imported Prefect already is no worse off.
    tour.cells.insert(
        0, nbformat.v4.new_code_cell(f"import os, prefect; os.environ['INCUMBENT_STATE__FOLDER'] = {str(folder)!r}")
    )
    tour.cells.append(nbformat.v4.new_code_cell(ASK))
    client = NotebookClient(tour, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}})
    try:
        client.execute()
        yield json.loads(tour.cells[-1].outputs[0].text)
    finally:
        end_what_a_failed_cell_left(folder)


def end_what_a_failed_cell_left(folder: Path) -> None:
    """The servers' owner is `incumbent up`, a child of a kernel that is gone."""
    for record in (folder / "servers").glob("*-*.json"):
        known = json.loads(record.read_text())
        if psutil.pid_exists(known["owner"]):
            psutil.Process(known["owner"]).kill()
    end_leftovers(Settings(state=State(folder=folder)))


@pytest.mark.services
@pytest.mark.timeout(400)
def test_the_tour_trains_a_champion_and_a_deployment_watches_it(told: dict[str, Any]) -> None:
    assert told["first"]["version"] == 1
    assert told["first"]["action"] == "promote"
    assert told["watched"]["state"] == "Completed"
    assert told["watched"]["flow_run"] == "watch 2013-02-15T00:00:00Z"
    assert told["ended"] == 0


@pytest.mark.services
@pytest.mark.timeout(400)
def test_the_tour_compares_the_runs_that_it_made(told: dict[str, Any]) -> None:
    made = [told["first"], told["second"]]

    assert told["runs"] == [each["mlflow_run_id"] for each in made]
    assert told["flow_runs"] == [each["flow_run_id"] for each in made]
    assert told["compared"]["tags.incumbent.as_of"] == ["2013-02-08T00:00:00Z", "2013-02-15T00:00:00Z"]
    assert all(0.10 < float(brier) < 0.20 for brier in told["compared"]["metrics.brier"])


@pytest.mark.services
@pytest.mark.timeout(400)
def test_the_tour_tells_why(told: dict[str, Any]) -> None:
    kinds = [text.partition(":")[0] for text in told["why"].values()]

    assert kinds[:2] == ["promote", "hold"]
    assert kinds[2] == told["second"]["action"]
    assert any(text.startswith("version 1 from 2013-02-08T00:00:00Z") for text in told["why"].values())


def test_the_notebook_is_the_script() -> None:
    from notebook import notebook_of

    kept = nbformat.read(SCRIPT.with_suffix(".ipynb"), as_version=4)

    assert kept.cells == notebook_of(SCRIPT).cells
