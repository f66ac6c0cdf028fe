"""What logging, a lookup of features, and a precomputed answer add to an answer.

`in process` is all that a worker does for a request beside HTTP, on the described model's compiled plan (20 numeric and
2 text columns; the twenty are looked up from LMDB), CPU of the whole process including the log's thread, the round that
cost the least: `full` without a log and with one at each durability, and `by key`. `raw write` is one `os.write` of a
line as long as a record, and `raw get` one read of the same record from LMDB: the limits. `http` is a pinned server
asked over loopback, a million precomputed keys among it. The last line is JSON.

    python -m benchmarks.serving_extras [SECONDS-A-CELL] [KEYS]
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from benchmarks.load.cells import Cell, Running, serving
from benchmarks.load.keyed import MODEL, Keyed, keyed, precompute, score_of
from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.asgi import BY_NAME
from mlflow_plugins.deployment.lane import Lane
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.logged_answers import log_requests
from mlflow_plugins.deployment.options import Access, Limits, ServerOptions
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.request_log.options import Durability, LogOptions
from mlflow_plugins.request_log.writer import RequestLog

ENTITIES, KEYS = 100_000, 1_000_000
ROUNDS, CALLS = 25, 4_000
SECONDS = 1.0
TURNS = 5
CONNECTIONS = (1, 16)
CHECKED = 1_000


def main() -> None:
    """Measure, print a table, and the JSON."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    keys = int(sys.argv[2]) if len(sys.argv) > 2 else KEYS
    with tempfile.TemporaryDirectory(prefix="incumbent-extras-") as scratch:
        folder = Path(scratch)
        made = keyed(folder, min(ENTITIES, keys))
        began = time.process_time()
        octets = precompute(folder, keys)
        written = {"keys": keys, "cpu_us_a_key": 1e6 * (time.process_time() - began) / keys, "bytes_a_key": octets}
        costs = in_process(made, folder)
        cells = list(over_http(made, folder, seconds, keys))
    result = {
        "in_process_cpu_us": {name: round(cost, 2) for name, cost in costs.items()},
        "log_adds_cpu_us": {each.value: round(costs[f"full, log {each}"] - costs["full"], 2) for each in Durability},
        "lookup_adds_cpu_us": round(costs["by key"] - costs["full"], 2),
        "precomputed": {name: round(value, 2) for name, value in written.items()},
        "cells": [cell.facts() for cell in cells],
    }
    print(json.dumps(result))


def in_process(made: Keyed, folder: Path) -> dict[str, float]:
    """CPU microseconds of a call, by what is called; the contenders take turns, so that none has the quiet minutes."""
    with _calls(made, folder) as calls:
        for call, count in calls.values():
            _cost(call, count)
        # What waits for the disk leaves the machine busy with it, and has turns of its own.
        waits = [name for name in calls if Durability.FSYNC in name]
        costs = dict.fromkeys(calls, np.inf)
        for turn in ([name for name in calls if name not in waits], waits):
            for name in turn * ROUNDS:
                costs[name] = min(costs[name], _cost(*calls[name]))
    for name, cost in costs.items():
        print(f"{'in process':<12}{name:<22}{cost:>9.2f} CPU us", flush=True)
    return costs


def _cost(call: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        call()
    return 1e6 * (time.process_time() - began) / count


@contextmanager
def _calls(made: Keyed, folder: Path) -> Iterator[dict[str, tuple[Callable[[], object], int]]]:
    served = load_served(made.stored)
    plain = _application(served)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "full": (_asking(plain, made.full), CALLS),
        "by key": (_asking(plain, made.by_key), CALLS),
    }
    logs = []
    for each in Durability:
        log = RequestLog(LogOptions(folder=str(folder / f"log-{each}"), durability=each))
        log.start()
        logs.append(log)
        logging = _application(served)
        log_requests(logging, log)
        calls[f"full, log {each}"] = (
            _asking(logging, made.full),
            CALLS if each is not Durability.FSYNC else CALLS // 10,
        )
    calls["raw write"] = (_raw_write(folder), CALLS)
    calls["raw get"] = (_raw_get(folder), CALLS)
    yield calls
    for log in logs:
        log.close()


def _application(served: Any) -> Application:
    application = Application(Limits(), Access(), Lane(ThreadPoolExecutor(1)))
    application.routes = Routes.of([served])
    return application


def _asking(application: Application, body: bytes) -> Callable[[], object]:
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"1")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/invocations",
        "headers": headers,
        BY_NAME: dict(headers),  # as of any head that came before
    }

    def ask() -> object:
        ready = application.at_once(scope, body)
        assert ready is not None  # a compiled plan answers these at once
        application.sent(ready)
        return ready

    return ask


def _raw_write(folder: Path) -> Callable[[], object]:
    """One write of a line as long as a record."""
    line = b"x" * 540 + b"\n"
    file = os.open(folder / "raw.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return lambda: os.write(file, line)


def _raw_get(folder: Path) -> Callable[[], object]:
    """One read transaction and one get of a record of features, through the environment that the store has open."""
    from feature_store.online.lmdb_store import LmdbStore

    store = LmdbStore(folder / "online", readonly=True)
    key = next(key for key, _ in store.scan(b"\x01"))
    environment: lmdb.Environment = store._file.environment

    def get() -> object:
        with environment.begin() as transaction:
            return transaction.get(key)

    return get


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a server is asked."""

    name: str
    body: bytes
    address: str = "/invocations"


def over_http(made: Keyed, folder: Path, seconds: float, keys: int) -> Iterator[Cell]:
    """Pinned servers, all running; they are asked in turns, and of each the turn that cost the least counts."""
    print(f"{'http':<12}{'what':<22}{'conn':>5}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}")
    with ExitStack() as servers:
        quiet = servers.enter_context(serving(ServerOptions(models=(made.stored,)), "ours", "described"))
        check(quiet, keys)
        asked = [
            (quiet, _Asked("full", made.full)),
            (quiet, _Asked("by key", made.by_key)),
            (quiet, _Asked("precomputed", made.precomputed, f"/models/{MODEL}/precomputed")),
        ]
        for each in Durability:
            log = LogOptions(folder=str(folder / f"http-{each}"), durability=each)
            logging = servers.enter_context(serving(ServerOptions(models=(made.stored,), log=log), "ours", "described"))
            asked.append((logging, _Asked(f"full, log {each}", made.full)))
        for connections in CONNECTIONS:
            turns = [[_cell(*one, folder, connections, seconds) for one in asked] for _ in range(TURNS)]
            for cells in zip(*turns, strict=True):
                yield _shown(_cheapest(cells))


def _cheapest(cells: Sequence[Cell]) -> Cell:
    """Of the turns that were not starved: CPU is counted in hundredths of a second, which few requests do not fill."""
    most = max(cell.requests for cell in cells)
    return min((cell for cell in cells if 2 * cell.requests >= most), key=lambda cell: cell.cpu_us)


def _shown(cell: Cell) -> Cell:
    print(
        f"{'http':<12}{cell.server:<22}{cell.connections:>5}{cell.per_second:>9.0f}"
        f"{cell.p50_ms:>9.2f}{cell.p99_ms:>9.2f}{cell.cpu_us:>9.1f}",
        flush=True,
    )
    return cell


def _cell(running: Running, asked: _Asked, folder: Path, connections: int, seconds: float) -> Cell:
    path = folder / "body.json"
    path.write_bytes(asked.body)
    named = Running(asked.name, running.model, running.port, running.process)
    return named.measure(connections, 1, path, seconds, asked.address)


def check(running: Running, keys: int) -> None:
    """Any of the keys is answered with its own score, over HTTP.

    Raises:
        AssertionError: one is not.
    """
    people = random.Random(0).choices(range(keys), k=CHECKED)
    body = json.dumps({"dataframe_records": [{"person": one} for one in [*people, -1]]}).encode()
    address = f"http://127.0.0.1:{running.port}/models/{MODEL}/precomputed"
    asked = urllib.request.Request(address, body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        found = json.loads(answer.read())["predictions"]
    assert found == [*(score_of(one) for one in people), None]


if __name__ == "__main__":
    main()
