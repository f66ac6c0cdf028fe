"""`incumbent up` as a person starts it: real processes in a folder of their own, looked at over HTTP, ended by id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.servers import end_leftovers
from flows.settings import Servers, Settings, State

PATIENCE = 240.0  # seconds, on a machine that is busy with something else; what is waited for ends the wait


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(what: str, found: Callable[[], Any], told: Callable[[], str] = str, patience: float = PATIENCE) -> Any:
    """Ask again until the answer is not empty; fail with what is known when that takes too long."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        answer = found()
        if answer:
            return answer
        time.sleep(0.5)
    pytest.fail(f"waited {patience:.0f} s for {what}\n{told()}")


@dataclass
class Folder:
    """A project folder: `incumbent.toml`, and what lies beside it."""

    path: Path
    mlflow_port: int
    prefect_port: int

    @classmethod
    def make(cls, path: Path, mlflow_port: int = 0, prefect_port: int = 0) -> Folder:
        (path / "incumbent.toml").write_text(f"[servers]\nmlflow_port = {mlflow_port}\nprefect_port = {prefect_port}\n")
        return cls(path, mlflow_port, prefect_port)

    @property
    def settings(self) -> Settings:
        servers = Servers(mlflow_port=self.mlflow_port, prefect_port=self.prefect_port)
        return Settings(state=State(folder=self.path / ".incumbent"), servers=servers)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a person's shell: nothing of the test session's own servers."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "INCUMBENT_"))}
        # A worker looks for work every 10 s by itself.
        return {name: value for name, value in ours.items() if name != "MLFLOW_TRACKING_URI"} | {
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
        }

    def start(self, verb: str, *given: str) -> Verb:
        """Start `incumbent VERB ...` here."""
        log = self.path / f"{verb}-{time.monotonic_ns()}.txt"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "incumbent.command", verb, *given],
                cwd=self.path,
                env=self.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        return Verb(process, log)

    def run(self, script: str, *given: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script here, to its end."""
        return subprocess.run(
            [sys.executable, "-c", script, *given],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def logs(self) -> str:
        """The end of every server's log."""
        logs = sorted((self.path / ".incumbent" / "servers").glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


@dataclass
class Verb:
    """A running `incumbent` command."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_to_say(self, text: str) -> str:
        """Wait until it has printed this; all it has printed so far."""

        def heard() -> bool:
            if self.process.poll() is not None and text not in self.said:
                pytest.fail(f"incumbent ended with {self.process.returncode}:\n{self.said}")
            return text in self.said

        wait_until(f"{text!r}", heard, lambda: self.said)
        return self.said

    def end(self, number: signal.Signals) -> float:
        """Send a signal; after how many seconds it had ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=PATIENCE)
        return time.monotonic() - started


@contextmanager
def nothing_left_alive(folder: Folder, *verbs: Verb) -> Iterator[None]:
    """End what a failed test left, by its id."""
    try:
        yield
    finally:
        for verb in verbs:
            if verb.process.poll() is None:
                verb.end(signal.SIGTERM)
        end_leftovers(folder.settings)


@dataclass
class PrefectApi:
    """What Prefect's server tells over HTTP."""

    url: str

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = httpx.post(f"{self.url}/api{path}", json=body or {}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}/api{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The flow runs of a deployment that have begun, oldest first."""
        body = {
            "deployments": {"name": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return list(self.ask("/flow_runs/filter", body))

    def below(self, flow_run: str) -> list[dict[str, Any]]:
        """A flow run's subflows, theirs too."""
        body = {"flow_runs": {"parent_flow_run_id": {"any_": [flow_run]}}}
        children = self.ask("/flow_runs/filter", body)
        return [each for child in children for each in (child, *self.below(child["id"]))]

    def artifacts(self, flow_run: str) -> list[dict[str, Any]]:
        return list(self.ask("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run]}}}))

    def events(self, name: str) -> list[dict[str, Any]]:
        return list(self.ask("/events/filter", {"filter": {"event": {"name": [name]}}})["events"])
