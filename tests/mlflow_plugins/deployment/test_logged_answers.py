"""The request log behind HTTP: what was acknowledged is in it, also after kill -9, whoever answered."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from asking import Request, ask, split
from server_process import Running, running

import mlflow_plugins.deployment.logged_answers as logged_answers
from mlflow_plugins.deployment.completion import AS_OF
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import ServerOptions
from mlflow_plugins.request_log.options import LogOptions
from mlflow_plugins.request_log.reading import Read, read_segment
from mlflow_plugins.request_log.segment import Finished, segments
from mlflow_plugins.request_log.writer import RequestLog, model_folder


def read_log(folder: Path, model: str = "late-flights") -> list[Read]:
    found = []
    for path in segments(model_folder(folder, model)):
        taken = Finished.taken(path)
        assert taken is not None, f"{path} is still open"
        found.append(read_segment(taken.name, taken.lines()[0]))
        taken.release()
    return found


def ids_in(read: list[Read]) -> list[str]:
    found = {row["prediction_id"].rpartition(".")[0] for one in read for row in one.predictions}
    return [*found, *(row["request_id"] for one in read for row in one.requests)]


@pytest.fixture(scope="module")
def late(small):
    return load_served(small("late").stored)


@pytest.fixture
def logging_application(application, late, tmp_path):
    made = application(late)
    log = RequestLog(LogOptions(folder=str(tmp_path / "requests")))
    logged_answers.log_requests(made, log)
    return made, log


ROW = split(["distance", "carrier", "dep hour"], [[719.5, "UA", 7.0], [None, None, 3.0]])
OTHER_ORDER = split(["carrier", "dep hour", "distance"], [["UA", 7.0, 719.5]])


INFER = "/v2/models/late-flights/infer"
TENSORS = [
    {"name": "distance", "datatype": "FP64", "shape": [1], "data": [719.5]},
    {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["UA"]},
    {"name": "dep hour", "datatype": "FP64", "shape": [1], "data": [7.0]},
]


async def answers_of(made, *bodies: bytes):
    return [await ask(made, Request(body)) for body in bodies]


def test_every_answer_names_its_record_and_the_record_holds_what_was_answered(logging_application, tmp_path):
    made, log = logging_application

    fast, by_mlflow, refused = asyncio.run(answers_of(made, ROW, OTHER_ORDER, b"{"))
    log.close()

    (read,) = read_log(tmp_path / "requests")
    assert [answer.status for answer in (fast, by_mlflow, refused)] == [200, 200, 400]
    assert [row["prediction_id"] for row in read.predictions] == [
        f"{fast.ours['x-incumbent-request-id']}.0", f"{fast.ours['x-incumbent-request-id']}.1",
        f"{by_mlflow.ours['x-incumbent-request-id']}.0",
    ]  # fmt: skip
    assert [row["prediction"] for row in read.predictions] == [
        *(one[1] for one in fast.json()["predictions"]), by_mlflow.json()["predictions"][0][1],
    ]  # fmt: skip
    assert [row["feature.carrier"] for row in read.predictions] == ["UA", None, "UA"]
    assert {(row["version"], row["variant"], row["origin"]) for row in read.predictions} == {(3, "version", "server")}
    (request,) = read.requests
    assert (request["request_id"], request["status"]) == (refused.ours["x-incumbent-request-id"], 400)
    assert request["answer"] == refused.body.decode()


def test_the_open_inference_protocol_is_logged_like_the_rest(logging_application, tmp_path):
    made, log = logging_application
    body = json.dumps({"inputs": TENSORS}).encode()

    answer = asyncio.run(ask(made, Request(body, path=INFER)))
    log.close()

    ((row,),) = [read.predictions for read in read_log(tmp_path / "requests")]
    assert row["prediction_id"] == f"{answer.ours['x-incumbent-request-id']}.0"
    assert row["prediction"] == answer.json()["outputs"][0]["data"][1]
    assert (row["feature.distance"], row["feature.carrier"]) == (719.5, "UA")


@pytest.mark.parametrize("moment", [b"garbage", b"0001-01-01T00:00:00+01:00", b"9999-12-31T23:59:59-01:00"])
def test_a_moment_that_is_none_is_the_clients_error_at_every_address(logging_application, moment):
    made, log = logging_application
    asked = ((AS_OF, moment),)
    tensors = Request(json.dumps({"inputs": TENSORS}).encode(), path=INFER, headers=asked)

    answers = [asyncio.run(ask(made, request)) for request in (Request(ROW, headers=asked), tensors)]
    log.close()

    assert [answer.status for answer in answers] == [422, 400]
    assert [moment.decode() in answer.body.decode() for answer in answers] == [True, True]


def test_an_answer_that_cannot_be_logged_is_503_and_the_server_is_not_ready(logging_application, tmp_path):
    made, log = logging_application
    (tmp_path / "requests").write_text("a file where the folder should be")

    fast, by_mlflow = asyncio.run(answers_of(made, ROW, OTHER_ORDER))
    ready = asyncio.run(ask(made, Request(path="/ready", method="GET")))
    (tmp_path / "requests").unlink()
    again = asyncio.run(ask(made, Request(ROW)))

    for answer in (fast, by_mlflow):
        assert (answer.status, dict(answer.headers)[b"retry-after"]) == (503, b"1")
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert "request log" in answer.json()["message"]
    assert ready.status == 503
    assert "the request log cannot be written" in ready.json()["problems"][0]
    assert (again.status, made.counts.refused[("log",)]) == (200, 2)
    log.close()


@dataclass
class Load:
    """Clients that ask without pause and remember which records were acknowledged."""

    server: Running
    acknowledged: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def ask(self, body: bytes) -> None:
        while not self.ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
            try:
                while not self.ended.is_set():
                    connection.request("POST", "/invocations", body, {"content-type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 200:
                        self.acknowledged.append(answer.headers["x-incumbent-request-id"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
            finally:
                connection.close()


def workers_of(server: Running) -> list[int]:
    return [
        int(pid) for pid in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    ]


def kill_under_load(small, folder: Path, kills: int) -> None:
    """Workers are killed, one after the other, while clients ask; a supervisor starts them again."""
    log = LogOptions(folder=str(folder / "requests"))
    options = ServerOptions(models=(small("late").stored,), workers=2, log=log, metrics_folder=str(folder))
    with running(options, folder / "log") as server, ThreadPoolExecutor(4) as clients:
        load = Load(server)
        for body in (ROW, OTHER_ORDER, ROW, ROW):
            clients.submit(load.ask, body)
        for _ in range(kills):
            before = len(load.acknowledged)
            deadline = time.monotonic() + 100
            while len(load.acknowledged) < before + 150 and time.monotonic() < deadline:
                time.sleep(0.005)
            assert len(load.acknowledged) >= before + 150
            os.kill(workers_of(server)[0], signal.SIGKILL)  # the one that has answered for longest
        time.sleep(0.05)
        load.ended.set()
        clients.shutdown()
        server.stop()
    read = read_log(folder / "requests")
    found = ids_in(read)

    assert set(load.acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert len(load.acknowledged) >= 150 * kills
    assert sum(one.torn for one in read) == 0


@pytest.mark.services
def test_no_acknowledged_record_is_lost_when_workers_are_killed_under_load(small, tmp_path):
    kill_under_load(small, tmp_path, kills=3)


@pytest.mark.stress
@pytest.mark.services
def test_no_acknowledged_record_is_lost_in_twenty_kills_under_load(small, tmp_path):
    kill_under_load(small, tmp_path, kills=20)
