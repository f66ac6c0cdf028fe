"""Everything local as one process group: MLflow, Prefect and a worker, stopped together."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from flows.servers import Server, end_leftovers, running_servers, start_mlflow, start_prefect, start_worker
from flows.settings import Settings, set_environment


def serve_until_interrupted(settings: Settings, *, worker: bool) -> None:
    """Start the servers, print where they are, and stop them all on Ctrl-C or SIGTERM."""
    stop = threading.Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    settings.folder.mkdir(parents=True, exist_ok=True)
    end_leftovers(settings)
    set_environment(settings)
    servers: list[Server] = []
    with running_servers(servers):
        _start(settings, servers, worker=worker)
        while not stop.wait(1.0):
            for server in servers:
                if server.process.poll() is not None:
                    sys.stderr.write(f"{server.name} ended with {server.process.returncode}; its log is {server.log}\n")
                    return


def _start(settings: Settings, servers: list[Server], *, worker: bool) -> None:
    mlflow = None if settings.mlflow.tracking_uri else start_mlflow(settings)
    prefect = None if settings.prefect.api_url else start_prefect(settings, services=True)
    servers.extend(server for server in (mlflow, prefect) if server)
    _announce("MLflow", mlflow.wait().url if mlflow else settings.mlflow_url)
    api = f"{prefect.wait().url}/api" if prefect else str(settings.prefect.api_url)
    _announce("Prefect", api.removesuffix("/api"))
    if worker:
        servers.append(start_worker(settings, api))
        servers[-1].wait()
        _announce("worker", f"pool {settings.prefect.work_pool!r}")
    sys.stdout.write("Ctrl-C stops them all.\n")
    sys.stdout.flush()


def _announce(name: str, where: str) -> None:
    sys.stdout.write(f"{name:<8} {where}\n")
    sys.stdout.flush()
