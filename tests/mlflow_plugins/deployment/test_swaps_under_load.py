"""Thirty swaps while sixteen clients ask two workers without a pause, and five of the versions are altered."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil
import pytest
from asking import split
from reigns import Reigns
from server_process import running
from small_models import flights

from mlflow_plugins.deployment.options import Limits

pytestmark = pytest.mark.services

ROW = flights().dropna().head(1)
BODY = split(ROW.columns, ROW.to_numpy().tolist())
ALTERED = {5: 4, 11: 5, 17: 4, 23: 5, 29: 4}  # which version is promoted as this swap
PATIENCE = 90


@pytest.fixture(scope="module")
def reigns(embedded, tmp_path_factory):
    """Versions 1, 2 and 3, and 4 and 5 that were altered."""
    embedded.use()
    made = Reigns(embedded, tmp_path_factory.mktemp("swaps"), "swapped")
    for trees in (3, 5, 7):
        made.register(trees)
    for trees in (9, 11):
        made.corrupt(made.register(trees))
    made.promote(1)
    return made


@dataclass
class Clients:
    """Sixteen connections that ask until they are told to stop, and what they were answered."""

    port: int
    expected: dict[str, bytes]
    outcomes: Counter[str] = field(default_factory=Counter)
    latest: dict[int, int] = field(default_factory=dict)
    stopped: bool = False

    def __enter__(self):
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(16)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stopped = True
        for thread in self.threads:
            thread.join(60)

    def _ask(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.stopped:
            try:
                connection.request("POST", "/invocations", BODY, {"content-type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[f"lost: {error!r}"] += 1
                return
            self.outcomes[self._judged(number, answer, body)] += 1
            if answer.getheader("connection") == "close":
                return

    def _judged(self, number, answer, body):
        if answer.status != 200:
            return f"status {answer.status}"
        epoch, before = int(answer.getheader("x-incumbent-epoch")), self.latest.get(number, 0)
        self.latest[number] = epoch
        if epoch < before:
            return f"epoch {epoch} after {before} on one connection"
        same = body == self.expected[answer.getheader("x-incumbent-version")]
        return "right" if same else "another version's answer"


def test_thirty_swaps_fail_no_request_and_no_answer_disagrees_with_its_version(reigns, tmp_path):
    expected = {
        str(version): json.dumps({"predictions": reigns.predictions(version, ROW)}).encode() for version in (1, 2, 3)
    }
    folder = tmp_path / "metrics"
    folder.mkdir()
    options = reigns.options(1, 1, workers=2, metrics_folder=str(folder), limits=Limits(drain=0.5))

    with running(options, tmp_path / "log") as server:
        _until_both_listen(folder)
        with Clients(server.port, expected) as clients:
            memory = {}
            for swap in range(1, 31):
                version = ALTERED.get(swap, (1, 2, 3)[swap % 3])
                epoch = reigns.promote(version)
                if swap in ALTERED:
                    _until_told(server, f"{reigns.registry.artifact(reigns.model, version)}")
                else:
                    _until_all_say(server, epoch, 2)
                memory[swap] = _memory(server)
            asked = sum(clients.outcomes.values())
            server.process.send_signal(signal.SIGTERM)
            for thread in clients.threads:
                thread.join(60)
        assert server.process.wait(60) == 0

    assert clients.outcomes.keys() == {"right"}
    assert asked > 300
    assert memory[30] < 1.1 * memory[10]


def _until_both_listen(folder):
    """A worker publishes its counts from when it listens."""
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.glob("worker-*.json"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_all_say(server, epoch, workers):
    """Wait until so many answers one after the other, on connections of their own, are of this epoch."""
    deadline, alike = time.monotonic() + PATIENCE, 0
    while alike < 6 * workers:
        status, ready = server.get("/ready")
        alike = alike + 1 if status == 200 and ready["models"][0]["epoch"] == epoch else 0
        assert time.monotonic() < deadline, (epoch, ready, server.log.read_text()[-2000:])


def _until_told(server, part):
    deadline = time.monotonic() + PATIENCE
    while not any(part in problem for problem in server.get("/ready")[1]["problems"]):
        assert time.monotonic() < deadline, server.log.read_text()[-2000:]
        time.sleep(0.02)


def _memory(server):
    return sum(each.memory_info().rss for each in psutil.Process(server.process.pid).children(recursive=True))
