"""No answer never reads as the answer no, and takes at most 15 seconds."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from lifecycle.errors import AliasNotSetError, UnreachableError
from lifecycle.ports import Alias
from mlflow_plugins.answers import without_secret
from mlflow_plugins.connection import connect
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    registry = MlflowRegistry(connect("http://127.0.0.1:1"), tmp_path)

    with pytest.raises(UnreachableError, match=r"MLflow at http://127.0.0.1:1 did not answer: .* Nothing was promoted"):
        registry.pointed("late-flights", Alias.CHAMPION)


def test_a_server_that_hangs_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        registry = MlflowRegistry(connect(f"http://127.0.0.1:{silent.getsockname()[1]}"), tmp_path)

        with pytest.raises(UnreachableError):
            registry.pointed("late-flights", Alias.CHAMPION)


@pytest.mark.parametrize("verb", ["version", "versions", "by_key", "register", "point", "artifact", "describe"])
def test_nothing_in_the_registry_is_told_when_it_cannot_be_reached(verb: str, tmp_path: Path) -> None:
    registry = MlflowRegistry(connect("http://127.0.0.1:1"), tmp_path)
    ask = {
        "version": lambda: registry.version("m", 1),
        "versions": lambda: registry.versions("m"),
        "by_key": lambda: registry.by_key("m", "k"),
        "register": lambda: registry.register("m", source="models:/m-1", run_id="r", tags={"incumbent.key": "k"}),
        "point": lambda: registry.point("m", Alias.CHAMPION, at=1, tags={}),
        "artifact": lambda: registry.artifact("m", 1),
        "describe": lambda: registry.describe("m", 1, "text"),
    }

    with pytest.raises(UnreachableError):
        ask[verb]()


def test_a_run_cannot_begin_when_nothing_answers() -> None:
    tracker = MlflowTracker(connect("http://127.0.0.1:1"))

    with pytest.raises(UnreachableError), tracker.run("late", "first"):
        pytest.fail("the block must not begin")
    with pytest.raises(UnreachableError):
        tracker.end_stale("late")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_server_that_says_it_cannot_answer_is_unreachable(status: int, tmp_path: Path) -> None:
    with answering(status, "<html>bad gateway</html>") as address, pytest.raises(UnreachableError):
        MlflowRegistry(connect(address), tmp_path).pointed("late-flights", Alias.CHAMPION)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, "unauthorized"),
        (403, json.dumps({"error_code": "PERMISSION_DENIED", "message": "no"})),
        (404, "<html>another program listens here</html>"),
        (400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": "bad name"})),
    ],
)
def test_a_refusal_is_neither_no_champion_nor_no_answer(status: int, body: str, tmp_path: Path) -> None:
    with answering(status, body) as address, pytest.raises(MlflowException):
        MlflowRegistry(connect(address), tmp_path).pointed("late-flights", Alias.CHAMPION)


def test_only_mlflow_saying_so_means_that_there_is_no_alias(tmp_path: Path) -> None:
    missing = json.dumps(
        {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias champion not found."}
    )

    with answering(400, missing) as address, pytest.raises(AliasNotSetError):
        MlflowRegistry(connect(address), tmp_path).pointed("late-flights", Alias.CHAMPION)


def test_a_secret_in_an_address_is_not_shown() -> None:
    assert without_secret("https://ops:hunter2@mlflow.example.com/x") == "https://***@mlflow.example.com/x"


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server that answers everything the same."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Same)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
