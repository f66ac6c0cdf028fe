"""Local servers as child processes: started on loopback, recorded by process id, ended with the one who started them.

What a crash left alive is recognised by process id and start time together (ids are reused) and ended at the next start.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from flows.errors import ServerError
from flows.settings import Settings

_START_LIMIT = 180.0  # seconds; both servers migrate an empty database at first, on two busy cores that takes a while
_STOP_LIMIT = 15.0


@dataclass(slots=True)
class Server:
    """A child process that answers at `url`."""

    name: str
    url: str
    health: str
    log: Path
    record: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> Server:
        """Wait until it answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(self.name, f"ended at once with exit code {self.process.returncode}", self.log)
            if answers(self.health):
                return self
            time.sleep(0.2)
        self.stop()
        raise ServerError(self.name, f"did not answer at {self.url} within {_START_LIMIT:.0f} s", self.log)

    def stop(self) -> None:
        """End it and its children, and forget its process id."""
        _end_tree(self.process.pid)
        self.process.wait()
        self.record.unlink(missing_ok=True)


def answers(url: str) -> bool:
    """Whether a GET of the address succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - a loopback address of our own
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port(host: str, wanted: int = 0) -> int:
    """The wanted port if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError("A local server", f"found no free port on {host}", Path(os.devnull))


def start_prefect(settings: Settings, *, services: bool) -> Server:
    """Start Prefect's server on the state folder's database; `services` are its scheduler and automations."""
    host, port = settings.servers.host, free_port(settings.servers.host, settings.servers.prefect_port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    if not services:
        command.append("--no-services")
    url = f"http://{host}:{port}"
    environment = {
        "PREFECT_HOME": str(settings.folder / "prefect"),
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_API_DATABASE_TIMEOUT": "60",
    }
    return _start(settings, "prefect", command, environment, (url, f"{url}/api/health"))


def start_mlflow(settings: Settings) -> Server:
    """Start MLflow's server on the state folder's database and artifacts."""
    host, port = settings.servers.host, free_port(settings.servers.host, settings.servers.mlflow_port)
    folder = settings.folder / "mlflow"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--backend-store-uri", settings.tracking_uri, "--workers", str(settings.servers.workers)),
        *("--default-artifact-root", str(folder / "artifacts")),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    url = f"http://{host}:{port}"
    return _start(settings, "mlflow", command, environment, (url, f"{url}/health"))


def start_worker(settings: Settings, api_url: str) -> Server:
    """Start the process that runs what the schedules and automations ask for."""
    command = [
        *(sys.executable, "-m", "prefect", "worker", "start", "--pool", settings.prefect.work_pool),
        *("--type", "process", "--name", f"incumbent-{os.getpid()}", "--with-healthcheck"),
    ]
    port = free_port(settings.servers.host)
    environment = {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(settings.folder / "prefect"),
        "PREFECT_WORKER_WEBSERVER_HOST": settings.servers.host,
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    url = f"http://{settings.servers.host}:{port}"
    return _start(settings, "worker", command, environment, (url, f"{url}/health"))


@contextmanager
def running_servers(servers: Sequence[Server]) -> Iterator[Sequence[Server]]:
    """Stop them all at the end of the block, the last one first."""
    try:
        yield servers
    finally:
        for server in reversed(servers):
            server.stop()


def end_leftovers(settings: Settings) -> list[str]:
    """End servers that a crash left alive in this state folder; their names."""
    ended = []
    for record in sorted((settings.folder / "servers").glob("*.json")):
        known = json.loads(record.read_text())
        if _is_alive(known["pid"], known["started"]) and not _is_alive(known["owner"], known["owner_started"]):
            _end_tree(known["pid"])
            ended.append(record.stem)
            record.unlink(missing_ok=True)
    return ended


def live_server(settings: Settings, name: str) -> str | None:
    """Address of a server of this state folder that another process has running, or none."""
    for record in sorted((settings.folder / "servers").glob(f"{name}-*.json")):
        known = json.loads(record.read_text())
        if _is_alive(known["pid"], known["started"]) and answers(known["health"]):
            return str(known["url"])
    return None


def _start(
    settings: Settings, name: str, command: list[str], environment: Mapping[str, str], addresses: tuple[str, str]
) -> Server:
    folder = settings.folder / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "prefect").mkdir(exist_ok=True)
    (settings.folder / "mlflow").mkdir(exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, cwd=folder
        )
    url, health = addresses
    record = folder / f"{name}-{process.pid}.json"
    owner = psutil.Process()
    known = {
        "pid": process.pid,
        "started": psutil.Process(process.pid).create_time(),
        "owner": owner.pid,
        "owner_started": owner.create_time(),
        "url": url,
        "health": health,
    }
    record.write_text(json.dumps(known))
    return Server(name, url, health, log, record, process)


def _is_alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end_tree(pid: int) -> None:
    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=_STOP_LIMIT)
    for process in alive:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
