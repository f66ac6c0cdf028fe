"""A challenger in the shadow: it scores what was answered, in a process of its own, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from asking import split
from hypothesis import given
from hypothesis import strategies as st
from reigns import Reigns
from server_process import running
from small_models import flights

from mlflow_plugins.deployment.options import Rollout
from mlflow_plugins.deployment.shadow_messages import Question
from mlflow_plugins.deployment.shadow_queue import ShadowQueue

ROW = flights().dropna().head(1)
BODY = split(ROW.columns, ROW.to_numpy().tolist())


@given(sizes=st.lists(st.integers(0, 40), max_size=30), most=st.integers(1, 5), most_bytes=st.integers(1, 100))
def test_a_full_queue_drops_the_oldest_and_counts_each(sizes, most, most_bytes):
    queue = ShadowQueue(most, most_bytes)
    questions = [Question("m", [], b"x" * size) for size in sizes]

    dropped = sum(queue.put(question) for question in questions)

    kept = queue.take(100)
    assert len(kept) + dropped == len(questions)
    assert kept == questions[dropped:]
    assert len(kept) <= most
    assert sum(question.size for question in kept) <= most_bytes


@pytest.fixture(scope="module")
def reigns(embedded, tmp_path_factory):
    """Version 1 reigns, and 2 challenges it."""
    embedded.use()
    made = Reigns(embedded, tmp_path_factory.mktemp("shadow"), "shadowed")
    for trees in (3, 5):
        made.register(trees)
    made.promote(1)
    made.challenge(2)
    return made


@pytest.mark.services
def test_the_shadow_scores_what_was_answered_and_nobody_notices_when_it_stops(reigns, tmp_path):
    options = reigns.options(1, 1, rollout=Rollout(shadow=1.0, shadow_queue=5, gives_way=False))

    with running(options, tmp_path / "log") as server:
        _until(server, 'incumbent_shadow_model{model="shadowed",version="2"}')
        scored = [server.post("/invocations", BODY) for _ in range(3)]
        _until(server, 'incumbent_shadow_total{model="shadowed",outcome="scored",version="2"} 3.0')
        (shadow,) = _children(server.process.pid)
        os.kill(shadow, signal.SIGSTOP)
        meanwhile = [server.post("/invocations", BODY) for _ in range(40)]
        dropped = _until(server, 'outcome="dropped"')
        os.kill(shadow, signal.SIGKILL)
        _until(server, "incumbent_problems 1.0")
        _until(server, 'incumbent_shadow_model{model="shadowed",version="2"}')
        problems = server.get("/ready")[1]["problems"]
        assert server.stop() == 0

    expected = {"predictions": reigns.predictions(1, ROW)}
    assert [answer for _, answer in scored + meanwhile] == [expected] * 43
    assert 'incumbent_answers_total{model="shadowed",path="fast",status="200",version="1"} 43.0' in dropped
    assert problems == []


def _until(server, part):
    """What the metrics say, once they say this."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        text = server.get("/metrics")[1].decode()
        if part in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f"{part} is not in:\n{text}\n{server.log.read_text()[-2000:]}")


def _children(parent):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
