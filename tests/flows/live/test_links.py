"""One click leads from Prefect to MLflow and back: every flow run of a short run, and every MLflow run of its loop."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from live_folder import PrefectApi
from small_data import Shape, week, write_small_model

from flows.ingest import ingest
from flows.retraining import train_here
from flows.settings import Prefect, Settings, State
from flows.train import train
from flows.watch import watch
from flows.wiring import build, running
from lifecycle.moments import iso

RUN_PAGE = re.compile(r"/#/experiments/\d+/runs/([0-9a-f]{32})\b")
FLOW_RUN_PAGE = re.compile(r"/runs/flow-run/([0-9a-f-]{36})$")


@dataclass
class Walked:
    """What a short run left in both UIs.

    Attributes:
        flow_runs: Prefect's, by id.
        pages: the Markdown that a flow run's page shows, by flow run id.
        mlflow_runs: MLflow's of all of the model's experiments, by id.
    """

    flow_runs: dict[str, dict[str, Any]]
    pages: dict[str, list[str]]
    mlflow_runs: dict[str, Any]

    def named(self, start: str) -> list[str]:
        return sorted(run["name"] for run in self.flow_runs.values() if run["name"].startswith(start))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path, prefect_api: str) -> Walked:
    """Two windows, the second of which has drifted: a first training, and one that the policy asked for."""
    folder = tmp_path_factory.mktemp("linked")
    (folder / ".incumbent" / "mlflow").mkdir(parents=True)
    shutil.copy(empty_mlflow, folder / ".incumbent" / "mlflow")
    settings = Settings(state=State(folder=folder / ".incumbent"), prefect=Prefect(api_url=prefect_api))
    shape = Shape(drift_from=6)
    policy = 'Policy(every="7d", retrain=drifted(), min_labels=100)'
    model = f"{write_small_model(folder, shape, name='linked', policy=policy)}:linked"
    with running(build(settings, start_training=train_here)) as loop:
        ingest(model, iso(week(5)))
        train(model, iso(week(5)))
        watch(model, iso(week(6)))
        watch(model, iso(week(7)))
        client = loop.tracker.connection.client
        experiments = [e.experiment_id for e in client.search_experiments() if e.name.startswith("linked")]
        mlflow_runs = {run.info.run_id: run for run in client.search_runs(experiments, max_results=1000)}
    prefect = PrefectApi(prefect_api.removesuffix("/api"))
    everybodys = prefect.ask("/flow_runs/filter", {"sort": "START_TIME_DESC"})
    flow_runs = {run["id"]: run for run in everybodys if run["parameters"].get("model") == model}
    pages = {each: [artifact["data"] for artifact in prefect.artifacts(each)] for each in flow_runs}
    return Walked(flow_runs, pages, mlflow_runs)


def test_the_run_has_every_kind_of_step(walked: Walked) -> None:
    assert walked.named("watch") == [f"watch {iso(week(6))}", f"watch {iso(week(7))}"]
    assert len(walked.named("ingest")) == 3
    assert len(walked.named("train")) == 2
    assert walked.named("decide on challenger") == ["decide on challenger 1", "decide on challenger 2"]
    assert walked.named("promote")[0] == "promote version 1"
    assert {run["state_type"] for run in walked.flow_runs.values()} == {"COMPLETED"}


def test_every_flow_run_leads_to_an_mlflow_run_that_names_it(walked: Walked) -> None:
    for flow_run, pages in walked.pages.items():
        name = walked.flow_runs[flow_run]["name"]
        # Beside the page of the run, a watch shows the history of the champion's windows, which leads nowhere.
        (found,) = [match for page in pages if (match := RUN_PAGE.search(page))]
        assert walked.mlflow_runs[found.group(1)].data.tags["prefect.flow_run_id"] == flow_run, name


def test_every_mlflow_run_of_the_loop_leads_to_a_flow_run(walked: Walked) -> None:
    for run in walked.mlflow_runs.values():
        flow_run = run.data.tags["prefect.flow_run_id"]
        assert flow_run in walked.flow_runs, run.info.run_name
        page = FLOW_RUN_PAGE.search(run.data.tags["prefect.flow_run_url"])
        assert page, run.data.tags
        assert page.group(1) == flow_run
    named_by_a_page = {found for pages in walked.pages.values() for page in pages for found in RUN_PAGE.findall(page)}
    steps = {each for each, run in walked.mlflow_runs.items() if run.data.tags.get("incumbent.step")}
    below = {each for each, run in walked.mlflow_runs.items() if "mlflow.parentRunId" in run.data.tags}
    series = {each for each, run in walked.mlflow_runs.items() if "incumbent.series" in run.data.tags}
    assert steps - below - series == named_by_a_page
    for each in named_by_a_page:
        assert "[Prefect run](" in walked.mlflow_runs[each].data.tags["mlflow.note.content"]
