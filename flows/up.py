"""Everything local as one process group: MLflow, Prefect and a worker, stopped together."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from flows.errors import ServerError
from flows.servers import (
    Server,
    addressed,
    end_leftovers,
    live_server,
    start_mlflow,
    start_prefect,
    start_worker,
    stopped_together,
)
from flows.settings import Settings, set_environment

_LOOK_EVERY = 0.5  # seconds


def serve_until_interrupted(settings: Settings, *, worker: bool) -> None:
    """Start what is not running yet, say where it is, and stop it on Ctrl-C, SIGTERM or a closed terminal.

    Raises:
        ServerError: one of them did not start, or ended by itself.
    """
    stop = _asked_to_stop()
    settings.folder.mkdir(parents=True, exist_ok=True)
    for name in end_leftovers(settings):
        _say(name, "left over from a crash, ended")
    set_environment(settings)
    with stopped_together() as servers:
        _start(settings, servers, stop)
        if worker:
            _start_worker(settings, servers, stop)
        if not servers:
            sys.stdout.write("Another process has them running; Ctrl-C there stops them all.\n")
            return
        if not stop.is_set():
            sys.stdout.write("Ctrl-C stops them all.\n")
            sys.stdout.flush()
        _watch(servers, stop)


def _asked_to_stop() -> threading.Event:
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    return stop


def _start(settings: Settings, servers: list[Server], stop: threading.Event) -> None:
    """Start both at once, since both take long, then wait for both."""
    if not settings.mlflow.tracking_uri and live_server(settings, "mlflow") is None:
        servers.append(start_mlflow(settings))
    if not settings.prefect.api_url and live_server(settings, "prefect") is None:
        servers.append(start_prefect(settings, services=True, group=_group(servers)))
    for server in servers:
        server.wait(stop)
    now = addressed(settings)
    _say("MLflow", now.mlflow_url + _moved(settings.servers.mlflow_port, now.servers.mlflow_port))
    _say("Prefect", now.prefect_url + _moved(settings.servers.prefect_port, now.servers.prefect_port))


def _start_worker(settings: Settings, servers: list[Server], stop: threading.Event) -> None:
    if stop.is_set() or live_server(settings, "worker") is not None:
        return
    api_url = settings.prefect.api_url or f"{addressed(settings).prefect_url}/api"
    servers.append(start_worker(settings, api_url, group=_group(servers)))
    servers[-1].wait(stop)
    _say("worker", f"pool {settings.prefect.work_pool!r}")


def _group(servers: list[Server]) -> int:
    """The first that is started leads the group; Ctrl-C reaches them through this process alone, in good order."""
    return servers[0].process.pid if servers else 0


def _watch(servers: list[Server], stop: threading.Event) -> None:
    while not stop.wait(_LOOK_EVERY):
        for server in servers:
            if server.process.poll() is not None:
                raise ServerError(
                    server.name, f"ended by itself with exit code {server.process.returncode}", server.log
                )


def _moved(given: int, found: int) -> str:
    return f"  (port {given} was taken)" if given not in (0, found) else ""


def _say(name: str, told: str) -> None:
    sys.stdout.write(f"{name:<8} {told}\n")
    sys.stdout.flush()
