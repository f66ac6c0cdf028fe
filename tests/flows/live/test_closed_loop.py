"""Both servers and the worker are up, and nobody touches them: what a schedule alone sets going."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_folder import Folder, PrefectApi, nothing_left_alive, wait_until
from small_data import WEEK, Shape, week, write_small_model

from flows.servers import live_server
from lifecycle.actions import Hold, Promote, Retrain
from lifecycle.decisions import WINDOW, Decision
from lifecycle.moments import iso, parse_moment
from mlflow_plugins.ledger import SqlLedger

NOW = 12  # in weeks after the first question
TRAINED = 6
ESTIMATOR = "HistGradientBoostingClassifier(max_iter=30)"
POLICY = 'Policy(every="7d", retrain=drifted(), min_labels=100)'
VERBS = ("train", "monitor", "score", "requests")
SHAPES = {
    "moved": Shape(weeks=NOW, rows=9000, flip_from=TRAINED + 1),
    "still": Shape(weeks=NOW, rows=9000),
}

# A person's morning: take in what is known, train the first champions, and leave the rest to the schedules.
PREPARE = """
import sys
from datetime import UTC, datetime, timedelta
from incumbent.command import main

as_of, models = sys.argv[1], sys.argv[2:]
for model in models:
    assert main(["ingest", model, "--as-of", as_of]) == 0
    assert main(["train", model, "--as-of", as_of]) == 0
# Prefect looks for new schedules every 5 s; what is due before it looks is never run.
for lead in (3600, 15):
    start = (datetime.now(UTC) + timedelta(seconds=lead)).replace(microsecond=0).isoformat()
    for model in models:
        assert main(["deploy", model, "--start", start]) == 0
for model in models:
    assert main(["deploy", model, "--json"]) == 0
"""

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@dataclass
class Morning:
    """Where to look, and when the schedules began."""

    folder: Folder
    prefect: PrefectApi
    mlflow_url: str
    models: dict[str, Path]
    start: datetime

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(self.folder.settings.ledger_url)

    def decisions(self, model: str) -> list[Decision]:
        """The decisions of the scheduled part, oldest first."""
        return [d for d in self.ledger.decisions(model) if d.as_of == self.start]

    def finished(self, deployment: str) -> list[dict[str, Any]]:
        """Its runs, once all of them have ended; a run that did not complete fails the test."""
        runs = self.prefect.runs(deployment)
        states = {run["state_type"] for run in runs}
        if states & {"FAILED", "CRASHED", "CANCELLED"}:
            pytest.fail(f"{deployment}: {[run['state'] for run in runs]}\n{self.folder.logs()}")
        return runs if states == {"COMPLETED"} else []


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    folder = Folder.make(tmp_path_factory.mktemp("live"))
    models = {name: put_model(folder.path / name, name) for name in SHAPES}
    up = folder.start("up")
    with nothing_left_alive(folder, up):
        up.wait_to_say("Prefect  http")
        prepared = folder.run(PREPARE, iso(start_of_data() + TRAINED * WEEK), *map(str, models.values()))
        assert prepared.returncode == 0, prepared.stdout + prepared.stderr
        start = parse_moment(json.loads(prepared.stdout.splitlines()[-1])["as_of"])
        up.wait_to_say("Ctrl-C")
        prefect, mlflow = (str(live_server(folder.settings, name)) for name in ("prefect", "mlflow"))
        yield Morning(folder, PrefectApi(prefect), mlflow, models, start)
        assert up.process.poll() is None, up.said
        up.end(signal.SIGTERM)


def start_of_data() -> datetime:
    """The first question was asked so long ago that the last one was asked just now."""
    return datetime.now(UTC).replace(microsecond=0, second=0, minute=0) - NOW * WEEK


def put_model(folder: Path, name: str) -> Path:
    """The small model under a name of its own, its questions moved to the weeks before now."""
    shape = SHAPES[name]
    path = write_small_model(folder, shape, name=name, policy=POLICY, estimator=ESTIMATOR)
    path.write_text(path.read_text().replace('"questions",', f'"{name}_questions",'))
    questions = pl.read_parquet(folder / "questions.parquet")
    changed = pl.lit(False) if shape.flip_from is None else pl.col("asked_at") >= week(shape.flip_from)
    # What turned its meaning around lies elsewhere, too: drift starts the training, and there is something to learn.
    questions = questions.with_columns(signal=pl.col("signal") + 3.0 * changed)
    questions = questions.with_columns(pl.col("asked_at", "answered_at") + (start_of_data() - week(0)))
    questions.write_parquet(folder / "questions.parquet")
    return path


@pytest.fixture(scope="module")
def watched(morning: Morning) -> dict[str, dict[str, Any]]:
    """The scheduled monitor run of each model, once both have ended."""
    return {name: ended(morning, f"{name} monitor") for name in SHAPES}


@pytest.fixture(scope="module")
def trained(morning: Morning, watched: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The training of the model whose data has moved, once it has ended."""
    return ended(morning, "moved train")


def ended(morning: Morning, deployment: str) -> dict[str, Any]:
    found = wait_until(f"the run of {deployment!r}", lambda: morning.finished(deployment), morning.folder.logs)
    (run,) = found
    return dict(run)


def test_deploying_again_leaves_four_deployments_one_schedule_each_and_one_automation(morning: Morning) -> None:
    deployments = {each["name"]: each for each in morning.prefect.ask("/deployments/filter")}
    automations = morning.prefect.ask("/automations/filter")

    assert sorted(deployments) == sorted(f"{name} {verb}" for name in SHAPES for verb in VERBS)
    assert sorted(each["name"].partition(":")[0] for each in automations) == sorted(SHAPES)
    for name in SHAPES:
        active = {verb: schedule_of(deployments[f"{name} {verb}"])["active"] for verb in VERBS}
        assert active == {"train": False, "monitor": True, "score": False, "requests": True}
        anchor = schedule_of(deployments[f"{name} monitor"])["schedule"]["anchor_date"]
        assert parse_moment(anchor) == morning.start, "deploying without --start keeps the anchor"


def schedule_of(deployment: dict[str, Any]) -> dict[str, Any]:
    (schedule,) = deployment["schedules"]
    return dict(schedule)


def test_a_schedule_alone_makes_the_monitor_run_and_the_run_is_about_its_scheduled_start(
    morning: Morning, watched: dict[str, dict[str, Any]]
) -> None:
    for name, run in watched.items():
        assert run["created_by"]["type"] == "SCHEDULE"
        assert parse_moment(run["expected_start_time"]) == morning.start
        assert run["name"] == f"watch {iso(morning.start)}"
        assert [d.as_of for d in morning.decisions(name) if d.stage == WINDOW] == [morning.start]
        steps = [each["name"].split()[0] for each in morning.prefect.below(run["id"])]
        assert sorted(steps) == ["decide", "ingest", "monitor", "score"]


def test_a_drifted_window_emits_the_event_and_the_automation_starts_the_training(
    morning: Morning, watched: dict[str, dict[str, Any]], trained: dict[str, Any]
) -> None:
    (event,) = morning.prefect.events("incumbent.retrain")
    (automation,) = [a for a in morning.prefect.ask("/automations/filter") if a["name"].startswith("moved:")]
    window = next(d for d in morning.decisions("moved") if d.stage == WINDOW)

    assert isinstance(window.action, Retrain)
    assert "columns drifted" in window.action.reason
    assert event["resource"]["prefect.resource.id"] == "incumbent.model.moved"
    assert event["payload"]["as_of"] == iso(morning.start)
    assert event["payload"]["flow_run_id"] == window.links.flow_run_id
    assert window.links.flow_run_id in {each["id"] for each in morning.prefect.below(watched["moved"]["id"])}
    assert trained["created_by"]["type"] == "AUTOMATION"
    assert trained["created_by"]["id"] == automation["id"]
    assert trained["parameters"] == {"model": f"{morning.models['moved']}:moved", "as_of": iso(morning.start)}


def test_the_training_registers_a_challenger_and_the_policy_promotes_it_with_ids_that_lead_both_ways(
    morning: Morning, trained: dict[str, Any]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(morning.mlflow_url)
    champion = client.get_model_version_by_alias("moved", "champion")
    run = client.get_run(champion.run_id)
    promoted = next(d for d in morning.decisions("moved") if isinstance(d.action, Promote))
    head = morning.ledger.head("moved")

    assert [type(d.action) for d in morning.decisions("moved")] == [Retrain, Promote]
    # MLflow -> Prefect
    assert run.data.tags["prefect.flow_run_id"] == trained["id"]
    assert run.data.tags["prefect.deployment"] == "moved train"
    assert run.data.tags["prefect.flow_run_url"] == f"{morning.prefect.url}/runs/flow-run/{trained['id']}"
    # Prefect -> MLflow
    (artifact,) = morning.prefect.artifacts(trained["id"])
    assert f"{morning.mlflow_url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}" in artifact["data"]
    # the ledger -> both, and the registry -> the ledger
    assert (head.version, head.epoch) == (2, 2)
    assert head.decision_id == promoted.decision_id == champion.tags["incumbent.decision"]
    assert (int(champion.version), champion.tags["incumbent.epoch"]) == (2, "2")
    assert champion.tags["incumbent.digest"] == head.digest
    assert promoted.links.flow_run_id in {each["id"] for each in morning.prefect.below(trained["id"])}
    decided = client.get_run(str(promoted.links.mlflow_run_id))
    assert decided.data.tags["prefect.flow_run_id"] == promoted.links.flow_run_id
    assert client.get_model_version_by_alias("moved", "previous").version == "1"


def test_a_window_that_has_not_drifted_starts_nothing(
    morning: Morning, watched: dict[str, dict[str, Any]], trained: dict[str, Any]
) -> None:
    from mlflow import MlflowClient

    window = morning.decisions("still")

    assert [type(d.action) for d in window] == [Hold]
    assert "columns drifted" in window[0].action.reason
    assert [e["resource"]["prefect.resource.name"] for e in morning.prefect.events("incumbent.retrain")] == ["moved"]
    assert morning.prefect.runs("still train") == []
    assert [v.version for v in MlflowClient(morning.mlflow_url).search_model_versions("name = 'still'")] == ["1"]
    assert morning.ledger.head("still").epoch == 1
