"""`incumbent serve` as a person starts it: a champion, and a challenger that takes a share and scores the rest."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import httpx
import pytest
from live_folder import Folder, Verb, nothing_left_alive, wait_until
from small_data import week, write_small_model

from flows.ingest import ingest
from flows.retraining import train_here
from flows.settings import Prefect, Settings
from flows.train import train
from flows.wiring import build, running
from lifecycle.experiments import Experiment, Variant, experiment_of
from lifecycle.moments import iso

SHARE = 0.5
UNITS = [f"unit {number}" for number in range(40)]
QUESTIONS = {"dataframe_records": [{"signal": 0.5, "noise": 0.25}]}
SCORED = re.compile(r'^incumbent_shadow_total\{.*outcome="scored".*\} (\d+)', re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, empty_mlflow: Path, prefect_api: str) -> Folder:
    """A project folder in which version 1 is the champion, and version 2 was trained and refused."""
    made = Folder.make(tmp_path)
    (tmp_path / ".incumbent" / "mlflow").mkdir(parents=True)
    shutil.copy(empty_mlflow, tmp_path / ".incumbent" / "mlflow")
    settings = Settings(state=made.settings.state, prefect=Prefect(api_url=prefect_api))
    for number, gate in ((6, 'Gate("brier")'), (7, 'Gate("brier", at_most=0.0001)')):
        path = str(write_small_model(tmp_path, gate=gate))
        with running(build(settings, start_training=train_here)):
            ingest(path, iso(week(number)))
            assert (train(path, iso(week(number))).facts["action"] == "promote") is (number == 6)
    return made


@pytest.mark.timeout(600)
def test_a_challenger_answers_its_share_and_scores_the_rest_and_a_restart_deals_the_same(folder: Folder) -> None:
    dealt = {unit: Experiment(experiment_of("small", 2), SHARE).assign(unit).value for unit in UNITS}
    assert set(dealt.values()) == {each.value for each in Variant}

    for _ in range(2):
        assert served_once(folder) == dealt


def served_once(folder: Folder) -> dict[str, str]:
    """Who answered each unit of a server that was started for this, once the challenger was there and had scored."""
    server = folder.start("serve", "small", "--canary", str(SHARE), "--shadow", "1", "--port", "0", "--workers", "1")
    with nothing_left_alive(folder, server):
        url = address_of(server)
        wait_until("a challenger", lambda: "challenger" in answering(url).values(), lambda: server.said)
        found = answering(url)
        assert {asked(url, unit)["x-incumbent-version"] for unit in UNITS} == {"1", "2"}
        wait_until("an answer of the champion's that the challenger scored", lambda: scored(url))
        server.end(signal.SIGTERM)
    assert server.process.returncode == 0, server.said
    return found


def address_of(server: Verb) -> str:
    (url,) = re.findall(r"at (http://[\d.:]+) with", server.wait_to_say("worker(s)"))
    wait_until("a server that is ready", lambda: is_ready(url), lambda: server.said)
    return str(url)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def answering(url: str) -> dict[str, str]:
    """Who answers each unit."""
    return {unit: asked(url, unit)["x-incumbent-variant"] for unit in UNITS}


def asked(url: str, unit: str) -> httpx.Headers:
    answer = httpx.post(f"{url}/invocations", json=QUESTIONS, headers={"x-incumbent-unit": unit}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.headers


def scored(url: str) -> int:
    """How many answers the challenger has scored."""
    return sum(map(int, SCORED.findall(httpx.get(f"{url}/metrics", timeout=60).text)))
