from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lifecycle.ports import TrackedRun, Tracker
from lifecycle.run_tags import FLOW_RUN_ID, tagged
from mlflow_plugins.connection import Connection
from mlflow_plugins.tracking import MlflowTracker

MONDAY = datetime(2013, 1, 7, tzinfo=UTC)


def test_the_tracker_fits_its_port(embedded: Connection) -> None:
    tracker: Tracker = MlflowTracker(embedded)

    with tracker.run("fits", "run") as run:
        fitting: TrackedRun = run

    assert fitting.run_id


def test_a_run_keeps_what_was_logged(mlflow_at: Connection, name: str, tmp_path: Path) -> None:
    local = tmp_path / "report.html"
    local.write_text("<p>drift</p>")

    with MlflowTracker(mlflow_at).run(name, "window 1") as run:
        run.params({"depth": 3, "window": None})
        run.metrics({"brier": 0.25, "auc": float("nan")}, step=2, at=MONDAY)
        run.tags({"incumbent.step": "train"})
        run.text("# why", "notes/why.md")
        run.file(local, "reports")

    kept = mlflow_at.client.get_run(run.run_id)
    assert kept.info.run_name == "window 1"
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {"depth": "3", "window": "None"}
    assert kept.data.tags["incumbent.step"] == "train"
    (brier,) = mlflow_at.client.get_metric_history(run.run_id, "brier")
    assert (brier.value, brier.step, brier.timestamp) == (0.25, 2, 1357516800000)
    folders = {file.path for file in mlflow_at.client.list_artifacts(run.run_id)}
    assert folders == {"notes", "reports"}


def test_a_figure_is_stored_as_a_picture(embedded: Connection, name: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([0, 1], [0, 1])

    with MlflowTracker(embedded).run(name, "train") as run:
        run.figure(figure, "plots/calibration.png")

    (file,) = embedded.client.list_artifacts(run.run_id, "plots")
    assert file.path == "plots/calibration.png"


def test_more_than_one_batch_is_logged_whole(embedded: Connection, name: str) -> None:
    with MlflowTracker(embedded).run(name, "train") as run:
        run.params({f"p{number}": number for number in range(230)})
        run.metrics({f"m{number}": number for number in range(230)})
        run.tags({f"t{number}": str(number) for number in range(230)})

    data = embedded.client.get_run(run.run_id).data
    assert (len(data.params), len(data.metrics)) == (230, 230)
    assert {f"t{number}" for number in range(230)} <= data.tags.keys()


@pytest.mark.parametrize(("raised", "status"), [(ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_whose_block_raises_is_ended(raised: BaseException, status: str, embedded: Connection, name: str) -> None:
    tracker = MlflowTracker(embedded)

    with pytest.raises(type(raised)), tracker.run(name, "train") as run:
        raise raised

    assert embedded.client.get_run(run.run_id).info.status == status


def test_the_tags_of_the_step_are_on_its_run_and_a_secret_of_the_environment_is_not(
    mlflow_at: Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCUMBENT_CANARY", "canary-5up3r53cr3t")

    with tagged({FLOW_RUN_ID: "flow-7"}), MlflowTracker(mlflow_at).run(name, "train") as run:
        run.metrics({"brier": 0.2})

    kept = mlflow_at.client.get_run(run.run_id)
    assert kept.data.tags[FLOW_RUN_ID] == "flow-7"
    assert "canary" not in str(kept.to_dictionary())


def test_runs_on_several_threads_do_not_meet(embedded: Connection, name: str) -> None:
    tracker, logged = MlflowTracker(embedded), {}

    def train(number: int) -> None:
        with tracker.run(name, f"candidate {number}") as run:
            run.metrics({"brier": number})
        logged[number] = run.run_id

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    values = {number: embedded.client.get_run(run_id).data.metrics["brier"] for number, run_id in logged.items()}
    assert values == {number: float(number) for number in range(4)}


def test_a_series_is_one_run_over_all_windows(mlflow_at: Connection, name: str) -> None:
    for week in range(3):
        # A new tracker each time, as in a new process.
        with MlflowTracker(mlflow_at).series(name, "performance") as run:
            run.metrics({"brier": 0.2 + week}, step=week, at=MONDAY + timedelta(weeks=week))

    history = mlflow_at.client.get_metric_history(run.run_id, "brier")
    assert [(point.step, point.value) for point in history] == [(0, 0.2), (1, 1.2), (2, 2.2)]
    assert mlflow_at.client.get_run(run.run_id).info.status == "FINISHED"


def test_a_window_that_is_logged_again_shows_once(mlflow_at: Connection, name: str) -> None:
    tracker = MlflowTracker(mlflow_at)
    with tracker.series(name, "performance") as run:
        run.metrics({"brier": 0.2}, step=0, at=MONDAY)
        run.metrics({"brier": 0.3}, step=1, at=MONDAY + timedelta(weeks=1))

    with tracker.series(name, "performance") as again:
        again.metrics({"brier": 0.2}, step=0, at=MONDAY)
        again.metrics({"brier": 0.9, "auc": 0.7}, step=1)  # another value at another time: the first stays

    history = mlflow_at.client.get_metric_history(run.run_id, "brier")
    assert again.run_id == run.run_id
    assert [(point.step, point.value) for point in history] == [(0, 0.2), (1, 0.3)]
    assert mlflow_at.client.get_run(run.run_id).data.metrics["auc"] == 0.7


def test_series_of_other_names_are_other_runs(embedded: Connection, name: str) -> None:
    tracker = MlflowTracker(embedded)

    with tracker.series(name, "drift") as drift, tracker.series(name, "it's performance") as performance:
        pass

    with MlflowTracker(embedded).series(name, "it's performance") as again:
        pass
    assert drift.run_id != performance.run_id == again.run_id


def test_what_a_killed_process_left_running_is_marked_and_a_living_run_is_not(embedded: Connection, name: str) -> None:
    tracker = MlflowTracker(embedded)
    orphan = _run_left_by_a_killed_process(embedded, name)

    with tracker.run(name, "alive") as alive:
        ended = tracker.end_stale(name)
        status = embedded.client.get_run(alive.run_id).info.status

    assert (ended, status) == (1, "RUNNING")
    assert embedded.client.get_run(orphan).info.status == "KILLED"
    assert tracker.end_stale(name) == 0
    assert tracker.end_stale("an experiment that nobody made") == 0


def test_a_run_of_another_machine_is_left_alone(embedded: Connection, name: str) -> None:
    tracker = MlflowTracker(embedded)

    with tracker.run(name, "far away") as run:
        run.tags({"incumbent.process": "elsewhere:1:0.00"})
        ended = tracker.end_stale(name)

    assert ended == 0


def test_the_url_of_a_run_is_its_page(embedded: Connection, name: str) -> None:
    tracker = MlflowTracker(embedded)
    with tracker.run(name, "train") as run:
        pass

    url = tracker.run_url(run.run_id)

    experiment = embedded.client.get_experiment_by_name(name)
    assert url == f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs/{run.run_id}"


def _run_left_by_a_killed_process(connection: Connection, experiment: str) -> str:
    code = f"""
import os, pathlib, sys
from mlflow_plugins.connection import connect
from mlflow_plugins.tracking import MlflowTracker
connection = connect({connection.tracking_uri!r}, artifacts=pathlib.Path({str(connection.artifacts)!r}))
with MlflowTracker(connection).run({experiment!r}, "killed") as run:
    print(run.run_id, flush=True)
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    return killed.stdout.strip()
