"""Servers as processes pinned to one core, and the load on them from another: one cell of the table."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from mlflow_plugins.deployment.options import ServerOptions, StoredModel
from mlflow_plugins.deployment.starting import SUPERVISOR, WORKER, WORKERS, environment, listen

SERVER_CORE, CLIENT_CORE = 0, (os.cpu_count() or 2) - 1
HERE = str(Path(__file__).parents[2])
_START_LIMIT = 240.0


class NoAnswerError(RuntimeError):
    """A server did not start, or did not answer 200 to everything."""

    def __init__(self, server: str, problem: str) -> None:
        super().__init__(f"{server}: {problem}. Its figures would mean nothing; start it by hand to see why.")


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured at one server, with so many connections and rows a request."""

    server: str
    model: str
    connections: int
    rows: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float

    def facts(self) -> dict[str, object]:
        """For JSON, rounded."""
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    name: str
    model: str
    port: int
    process: subprocess.Popen[bytes]

    def measure(self, connections: int, rows: int, body: Path, seconds: float, address: str = "/invocations") -> Cell:
        """Warm up, then measure: CPU of the server over all requests that it answered meanwhile.

        Raises:
            NoAnswerError: an answer was not 200.
        """
        _load(self, connections, body, seconds / 4, address)
        before = self.cpu_seconds()
        found = _load(self, connections, body, seconds, address)
        used = self.cpu_seconds() - before
        count = int(found["requests"])
        if found["statuses"] != {"200": count}:
            raise NoAnswerError(self.name, f"statuses {found['statuses']}")
        rate = count / float(found["seconds"])
        times = float(found["p50_ms"]), float(found["p99_ms"])
        return Cell(self.name, self.model, connections, rows, count, rate, *times, 1e6 * used / count)

    def cpu_seconds(self) -> float:
        """Of all its processes, since they began."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return float(sum(sum(process.cpu_times()[:2]) for process in family))


def _load(server: Running, connections: int, body: Path, seconds: float, address: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load.closed_loop", str(server.port), str(connections), str(seconds)]
    client = subprocess.Popen([*command, str(body), address], stdout=subprocess.PIPE)
    os.sched_setaffinity(client.pid, {CLIENT_CORE})
    output, _ = client.communicate(timeout=60 + 10 * seconds)
    if client.returncode:
        raise NoAnswerError(server.name, f"the load client ended with {client.returncode}")
    return dict(json.loads(output.splitlines()[-1]))


@contextmanager
def ours(name: str, model: str, stored: StoredModel) -> Iterator[Running]:
    """Our server, one worker, at the tier of the stored model."""
    with serving(ServerOptions(models=(stored,)), name, model) as running:
        tier = json.loads(_get(running.port, "/models"))["models"][0]["tier"]
        if stored.tier is not None and tier != stored.tier:
            raise NoAnswerError(name, f"it serves at tier {tier}, not {stored.tier}")
        yield running


@contextmanager
def serving(options: ServerOptions, name: str, model: str, cores: Sequence[int] = (SERVER_CORE,)) -> Iterator[Running]:
    """Our server with these options, each worker on one of these cores."""
    with listen("127.0.0.1", 0) as listening:
        told = {**_found_here(environment(options.to_json(), listening.fileno())), WORKERS: str(options.workers)}
        port = listening.getsockname()[1]
        command = WORKER if options.workers == 1 else SUPERVISOR
        process = subprocess.Popen(command, env=told, pass_fds=[listening.fileno()])
    with _ended(Running(name, model, port, process), "/ready", cores) as running:
        yield running


@contextmanager
def mlflow(model: str, folder: Path) -> Iterator[Running]:
    """MLflow's server, one worker, one thread of OpenMP as ours has."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", str(folder), "-p", str(port)]
    told = {**_found_here(environment("", 0)), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [*command, "--env-manager", "local", "--workers", "1"],
        env=told,
        stdout=subprocess.DEVNULL,  # a line for each request
        stderr=subprocess.DEVNULL,
    )
    with _ended(Running("mlflow", model, port, process), "/ping") as running:
        yield running


def _found_here(told: dict[str, str]) -> dict[str, str]:
    """Where the servers find the transformer of the user's own."""
    return {**told, "PYTHONPATH": HERE}


@contextmanager
def echo(answer: int) -> Iterator[Running]:
    """The limit."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.load.echo", str(port), str(answer)])
    with _ended(Running("echo", "none", port, process), "/") as running:
        yield running


@contextmanager
def _ended(server: Running, ready: str, cores: Sequence[int] = (SERVER_CORE,)) -> Iterator[Running]:
    try:
        _wait(server, ready)
        started = psutil.Process(server.process.pid)
        for place, process in enumerate(started.children(recursive=True) or [started]):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, {cores[place % len(cores)]})
        yield server
    finally:
        family = psutil.Process(server.process.pid).children(recursive=True) if server.process.poll() is None else []
        server.process.terminate()
        for child in family:
            child.terminate()
        server.process.wait()


def _wait(server: Running, path: str) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            _get(server.port, path)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise NoAnswerError(server.name, f"it did not answer at {path} within {_START_LIMIT:.0f} s")


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ratios(cells: Sequence[Cell], base: float) -> dict[str, dict[str, float]]:
    """How many times less CPU than the base, by tier and connections, for one row."""
    found: dict[str, dict[str, float]] = {}
    for cell in cells:
        if cell.rows == 1 and cell.server not in ("mlflow", "echo"):
            found.setdefault(cell.server, {})[str(cell.connections)] = round(base / cell.cpu_us, 2)
    return found
