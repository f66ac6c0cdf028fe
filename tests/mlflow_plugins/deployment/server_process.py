"""A server as a process of its own on a free loopback port, ended by its process id."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_plugins.deployment.options import ServerOptions
from mlflow_plugins.deployment.starting import SUPERVISOR, WORKER, WORKERS, environment, listen


@dataclass(frozen=True)
class Running:
    """A server that answers at `port`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return self.send("POST", path, body, {"content-type": "application/json", **(headers or {})})

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, _read(text)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


def _read(text: bytes) -> Any:
    """JSON where it is; MLflow says so of other text too."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@contextmanager
def running(options: ServerOptions, log: Path, ready: bool = True) -> Iterator[Running]:
    """Start it, wait until it is ready, and end it."""
    with listen("127.0.0.1", 0) as listening, log.open("wb") as output:
        if options.workers == 1:
            listening.listen()  # whoever comes early waits
        command = WORKER if options.workers == 1 else SUPERVISOR
        told = {**environment(options.to_json(), listening.fileno()), WORKERS: str(options.workers)}
        process = subprocess.Popen(
            command,
            env=told,
            pass_fds=[listening.fileno()],
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parents[3],
        )
        port = listening.getsockname()[1]
    server = Running(process, port, log)
    try:
        if ready:
            wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()


def wait_until_ready(server: Running, limit: float = 150) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if server.get("/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not become ready:\n{server.log.read_text()[-3000:]}")
