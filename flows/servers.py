"""Local servers as child processes: started on loopback, recorded by process id, ended with the one who started them.

What a crash left alive is known by process id and start time together (ids are reused), and ended at the next start.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from flows.errors import ServerError
from flows.settings import Settings, variables

_START_LIMIT = 180.0  # seconds; both servers migrate an empty database at first, on two busy cores that takes a while
_STARTING_LIMIT = 60.0  # seconds for a server that somebody else has started
_STOP_LIMIT = 5.0


@dataclass(slots=True)
class Server:
    """A child process that answers at `url`."""

    name: str
    url: str
    health: str
    log: Path
    record: Path
    process: subprocess.Popen[bytes]

    def wait(self, stop: threading.Event | None = None) -> Server:
        """Wait until it answers, or until `stop` is set.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                return self
            if self.process.poll() is not None:
                raise ServerError(self.name, f"ended at once with exit code {self.process.returncode}", self.log)
            if answers(self.health):
                return self
            time.sleep(0.2)
        self.stop()
        raise ServerError(self.name, f"did not answer at {self.url} within {_START_LIMIT:.0f} s", self.log)

    def stop(self) -> None:
        """End it and its children, and forget its process id."""
        _end(_family(self.process.pid))
        self.process.wait()
        self.record.unlink(missing_ok=True)


def answers(url: str) -> bool:
    """Whether a GET of the address succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start_prefect(settings: Settings, *, services: bool, group: int = 0) -> Server:
    """Start Prefect's server on the state folder's database; `services` are its scheduler and automations.

    Args:
        group: process group to join; 0 makes a new one, so that Ctrl-C reaches the server through its owner alone.
    """
    host, port = settings.servers.host, _settled_port(settings, "prefect")
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
    plan = _Plan("prefect", command, environment, url, f"{url}/api/health", lasting=services)
    return _start(settings, plan, group)


def start_mlflow(settings: Settings, *, group: int = 0) -> Server:
    """Start MLflow's server on the state folder's database and artifacts."""
    host, port = settings.servers.host, _settled_port(settings, "mlflow")
    folder = settings.folder / "mlflow"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--backend-store-uri", settings.tracking_uri, "--workers", str(settings.servers.workers)),
        *("--default-artifact-root", str(folder / "artifacts")),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    url = f"http://{host}:{port}"
    return _start(settings, _Plan("mlflow", command, environment, url, f"{url}/health"), group)


def start_worker(settings: Settings, api_url: str, *, group: int = 0) -> Server:
    """Start the process that runs what the schedules and automations ask for."""
    command = [
        *(sys.executable, "-m", "prefect", "worker", "start", "--pool", settings.prefect.work_pool),
        *("--type", "process", "--name", f"incumbent-{os.getpid()}", "--with-healthcheck"),
    ]
    port = free_port(settings.servers.host)
    environment = {
        **variables(settings),  # its flow runs build their loop from these
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(settings.folder / "prefect"),
        "PREFECT_WORKER_WEBSERVER_HOST": settings.servers.host,
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    url = f"http://{settings.servers.host}:{port}"
    return _start(settings, _Plan("worker", command, environment, url, f"{url}/health"), group)


@contextmanager
def stopped_together() -> Iterator[list[Server]]:
    """A list of servers that are all stopped at the end of the block.

    The worker goes first, while Prefect can still be told what became of its runs; the servers follow side by side.
    """
    servers: list[Server] = []
    try:
        yield servers
    finally:
        workers = [server for server in servers if server.name == "worker"]
        for some in (workers, servers):
            _end([process for server in some for process in _family(server.process.pid)])
        for server in servers:
            server.process.wait()
            server.record.unlink(missing_ok=True)


def end_leftovers(settings: Settings) -> list[str]:
    """End servers that a crash left alive in this state folder; their names."""
    left = [each for each in _records(settings, "*") if not _is_alive(each[1]["owner"], each[1]["owner_started"])]
    alive = [known for _, known in left if _is_alive(known["pid"], known["started"])]
    _end([process for known in alive for process in (*_family(known["pid"]), *_group_of(known))])
    for record, _ in left:
        record.unlink(missing_ok=True)
    return [known["name"] for known in alive]


def live_server(settings: Settings, name: str) -> str | None:
    """Address of a lasting server of this state folder (one that `up` or `ui` has running), or none.

    One that is just starting is waited for: a second one would migrate the same new database at the same time.
    """
    for known in _lasting(settings, name):
        deadline = time.monotonic() + _STARTING_LIMIT
        while time.monotonic() < deadline and _is_alive(known["pid"], known["started"]):
            if answers(known["health"]):
                return str(known["url"])
            time.sleep(0.2)
    return None


def addressed(settings: Settings) -> Settings:
    """The settings with the ports where this folder's servers are, or were last; links to their pages use them."""
    servers = settings.servers
    ports = {f"{name}_port": _known_port(settings, name) for name in ("mlflow", "prefect")}
    return settings.model_copy(update={"servers": servers.model_copy(update=ports)})


def free_port(host: str, *wanted: int) -> int:
    """The first wanted port on which nobody listens, else any free one."""
    for port in (*wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError("A local server", f"found no free port on {host}", Path(os.devnull))


@dataclass(frozen=True, slots=True)
class _Plan:
    name: str
    command: list[str]
    environment: Mapping[str, str]
    url: str
    health: str
    lasting: bool = True  # serves others too, until it is asked to stop


def _start(settings: Settings, plan: _Plan, group: int) -> Server:
    folder = settings.folder / "servers"
    for each in (folder, settings.folder / "prefect", settings.folder / "mlflow"):
        each.mkdir(parents=True, exist_ok=True)
    log = folder / f"{plan.name}.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            plan.command,
            env={**os.environ, **plan.environment},
            stdout=sink,
            stderr=sink,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            process_group=group,
        )
    record = folder / f"{plan.name}-{process.pid}.json"
    owner = psutil.Process()
    known = {
        "name": plan.name,
        "pid": process.pid,
        "started": psutil.Process(process.pid).create_time(),
        "group": group or process.pid,
        "owner": owner.pid,
        "owner_started": owner.create_time(),
        "url": plan.url,
        "health": plan.health,
        "lasting": plan.lasting,
    }
    _write(record, known)
    return Server(plan.name, plan.url, plan.health, log, record, process)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all: another process may be reading."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def _records(settings: Settings, name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for record in sorted((settings.folder / "servers").glob(f"{name}-*.json")):
        yield record, json.loads(record.read_text())


def _lasting(settings: Settings, name: str) -> list[dict[str, Any]]:
    known = [known for _, known in _records(settings, name)]
    return [each for each in known if each["lasting"] and _is_alive(each["pid"], each["started"])]


def _noted_ports(settings: Settings) -> Path:
    return settings.folder / "servers" / "ports.json"


def _given_port(settings: Settings, name: str) -> int:
    return int(getattr(settings.servers, f"{name}_port"))


def _settled_port(settings: Settings, name: str) -> int:
    """The port of last time while the setting is the same, since stored links lead there; else the given, or any."""
    given = _given_port(settings, name)
    path = _noted_ports(settings)
    noted = json.loads(path.read_text()) if path.exists() else {}
    port = free_port(settings.servers.host, noted.get(f"{name} {given}", given), given)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, {**noted, f"{name} {given}": port})
    return port


def _known_port(settings: Settings, name: str) -> int:
    for known in _lasting(settings, name):
        return int(known["url"].rpartition(":")[2])
    path, given = _noted_ports(settings), _given_port(settings, name)
    return int(json.loads(path.read_text()).get(f"{name} {given}", given)) if path.exists() else given


def _is_alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _family(pid: int) -> list[psutil.Process]:
    """A process and all below it, the youngest generation first."""
    try:
        root = psutil.Process(pid)
        return [*reversed(root.children(recursive=True)), root]
    except psutil.NoSuchProcess:
        return []


def _group_of(known: Mapping[str, Any]) -> list[psutil.Process]:
    """Whoever is in the group of a recorded process: grandchildren whose parent has ended are nobody's children."""
    return [process for process in psutil.process_iter() if _group(process) == known["group"]]


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _end(processes: Iterable[psutil.Process]) -> None:
    """Ask them to end, and end those that do not."""
    family = list(dict.fromkeys(processes))
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
