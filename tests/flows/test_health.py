"""Health in the loop: a slow step is told, a server is looked at, and Prometheus' file is written."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prometheus_client.parser import text_string_to_metric_families
from small_data import week, write_small_model

from flows.health import health, system_health
from flows.ingest import ingest
from flows.settings import Monitoring
from flows.train import train
from flows.watch import watch
from flows.wiring import Loop, running
from lifecycle.alerts import Alert
from lifecycle.moments import iso
from mlflow_plugins.deployment.metrics import Board, Counts, render

Small = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[str]:
    """Something that tells the metrics of a scoring server."""
    counts = Counts()
    counts.answered(("small", "1", "fast", "200"), 1, 0.002, b"")
    board = Board(counts)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = render(board.total(), [])
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Page) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def looking_at(loop: Loop, *servers: str) -> None:
    loop.settings = loop.settings.model_copy(update={"monitoring": Monitoring(servers=servers)})


def pretend(loop: Loop, step: str, *seconds: float) -> None:
    """Runs of the past, oldest first, as MLflow would have recorded them."""
    client = loop.tracker.connection.client
    found = client.get_experiment_by_name("small loop")
    experiment = found.experiment_id if found else client.create_experiment("small loop")
    for number, taken in enumerate(seconds):
        start = 1_600_000_000_000 + number * 1_000_000
        run = client.create_run(experiment, start_time=start, tags={"incumbent.step": step})
        client.set_terminated(run.info.run_id, end_time=start + int(taken * 1000))


def test_a_slow_step_is_told_once_and_everything_is_written_for_prometheus(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path))
    told: list[Alert] = []
    with running(small_loop()) as loop:
        loop.tell_owner = lambda alert, _: told.append(alert)
        ingest(model, iso(week(6)))
        train(model, iso(week(6)))
        pretend(loop, "compact", *[2.0, 2.1, 1.9] * 4, 9.0)
        watch(model, iso(week(7)))
        last = watch(model, iso(week(8)))
        pictures = [each.path for each in loop.tracker.connection.client.list_artifacts(last.ids["mlflow_run_id"])]
        shown, numbers = (artifact(key) for key in ("small-history", "small-history-numbers"))
        written = (loop.settings.textfiles / "incumbent-small.prom").read_text()

    assert "history.png" in pictures
    assert shown.startswith("data:image/png;base64,")
    assert [row["window to"] for row in json.loads(numbers)] == ["2021-04-26 00:00", "2021-04-19 00:00"]
    slow = [alert for alert in told if alert.places == ("step compact",)]
    assert len(slow) == 1
    assert slow[0].lines[0].startswith("health, step compact: took 9 s; half of its 12 runs before took less than 2 s")
    found = {family.name: family.samples for family in text_string_to_metric_families(written)}
    assert {one.labels["step"] for one in found["incumbent_step_slow"] if one.value == 1.0} == {"compact"}
    assert {"ingest", "score", "monitor", "decide", "train"} <= {
        one.labels["step"] for one in found["incumbent_step_seconds"]
    }
    assert found["incumbent_champion_version"][0].value == 1.0


def artifact(key: str) -> str:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda one: one.created).data)


def test_health_is_told_as_tables_with_servers_between_two_looks(
    tmp_path: Path, small_loop: Small, server: str
) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop:
        looking_at(loop, server, "http://127.0.0.1:9")
        ingest(model, iso(week(6)))

        first = health(loop, loop.model(model), week(6))
        second = system_health(loop, loop.model(model), week(6))

    answering, away = first.facts["servers"]
    assert (answering["answers"], answering["fallbacks"], answering["p50"]) == (1, 0, 0.0018)
    assert away["problem"].startswith("does not tell its metrics: ")
    assert first.facts["away"] == ["http://127.0.0.1:9"]
    assert first.facts["slow"] == "nothing"
    assert [step["step"] for step in first.facts["steps"]] == ["ingest"]
    assert second.servers[0].answers == 0
    assert second.servers[0].per_second == 0.0
    assert second.servers[0].cores is not None
    assert answering["resident_bytes"] > 10_000_000
    assert Path(first.facts["metrics"]).exists()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", b"no HTTP\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n\r\nincumbent_answers_total 3\n"],
    ids=["half an answer", "no HTTP", "no labels"],
)  # fmt: skip
def test_a_server_that_answers_something_else_is_away_and_ends_no_look(
    tmp_path: Path, small_loop: Small, answer: bytes
) -> None:
    model = str(write_small_model(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listening, running(small_loop()) as loop:
        threading.Thread(target=lambda: _answer(listening, answer)).start()
        looking_at(loop, f"http://127.0.0.1:{listening.getsockname()[1]}")

        (found,) = system_health(loop, loop.model(model), week(6)).servers

    assert found.problem.startswith("does not tell its metrics: ")


def _answer(listening: socket.socket, answer: bytes) -> None:
    taken, _ = listening.accept()
    with taken:
        taken.recv(10_000)
        taken.sendall(answer)


def test_a_step_that_fails_is_counted(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop:
        (tmp_path / "questions.parquet").rename(tmp_path / "away")
        with pytest.raises(FileNotFoundError):
            ingest(model, iso(week(6)))
        (tmp_path / "away").rename(tmp_path / "questions.parquet")
        ingest(model, iso(week(6)))

        (found,) = system_health(loop, loop.model(model), week(6)).steps

    assert (found.step, found.failures, found.runs) == ("ingest", 1, 2)
    assert found.seconds is not None
