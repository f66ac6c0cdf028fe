"""What an answer over HTTP costs: `mlflow models serve`, our server at each tier, and a bare ASGI echo as the limit.

One worker pinned to one core, the load from another; CPU seconds of the server's processes over the requests that it
answered. The model: HistGradientBoosting, 200 iterations, 20 numeric and 2 categorical columns behind a
ColumnTransformer; besides, a random forest and a pipeline with a discretizer, which serve at the tiers they prove.
The last line is JSON: every cell, `cpu_ratio_to_mlflow`, `cpu_ratio_to_echo`.

    python -m benchmarks.serving [SECONDS-A-CELL]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.load.cells import Cell, Running, echo, mlflow, ours, ratios
from benchmarks.load.models import Stored, store
from mlflow_plugins.deployment.served import Tier

CONNECTIONS = (1, 16, 64)
SECONDS = 3.0
TIERS = (Tier.COMPILED, Tier.MICROBATCH, Tier.TYPED)
HUNDRED_ROWS = 100


def main() -> None:
    """Measure, print a table, and the JSON."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="incumbent-serving-") as scratch:
        cells = list(measured(Path(scratch), seconds))
    base = only(cells, "mlflow", 1, 1)
    base_hundred = only(cells, "mlflow", HUNDRED_ROWS, 1)
    described = [cell for cell in cells if cell.model in ("described", "none")]
    result = {
        "cells": [cell.facts() for cell in cells],
        "cpu_ratio_to_mlflow": ratios(described, base.cpu_us),
        "cpu_ratio_to_mlflow_100_rows": {
            cell.server: round(base_hundred.cpu_us / cell.cpu_us, 2)
            for cell in described
            if cell.rows == HUNDRED_ROWS and cell.server not in ("mlflow", "echo")
        },
        "cpu_ratio_to_echo": {
            str(count): round(only(cells, "compiled", 1, count).cpu_us / only(cells, "echo", 1, count).cpu_us, 2)
            for count in CONNECTIONS
        },
    }
    print(json.dumps(result))


def only(cells: list[Cell], server: str, rows: int, connections: int) -> Cell:
    """The cell of the described model."""
    (found,) = [
        cell
        for cell in cells
        if (cell.server, cell.rows, cell.connections) == (server, rows, connections)
        and cell.model in ("described", "none")
    ]
    return found


def measured(scratch: Path, seconds: float) -> Iterator[Cell]:
    """All cells, one server at a time, so that none disturbs another."""
    print(f"{'server':<11}{'model':<11}{'conn':>5}{'rows':>5}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}")
    stored = {name: store(name, scratch / name) for name in ("described", "forest", "binned")}
    described = stored["described"]
    yield from on(echo(60), described, seconds, CONNECTIONS)
    for tier in TIERS:
        yield from on(ours(tier, "described", described.at(tier)), described, seconds, CONNECTIONS)
    yield from on(mlflow("described", described.folder), described, seconds, CONNECTIONS)
    for name in ("forest", "binned"):
        for tier in (Tier.MICROBATCH, Tier.TYPED):
            yield from on(ours(tier, name, stored[name].at(tier)), stored[name], seconds, (64,))
        yield from on(mlflow(name, stored[name].folder), stored[name], seconds, (1,))


def on(
    server: AbstractContextManager[Running], stored: Stored, seconds: float, connections: tuple[int, ...]
) -> Iterator[Cell]:
    """One row at each number of connections, then a hundred rows at one."""
    with server as running:
        for count, rows in [*((count, 1) for count in connections), (1, HUNDRED_ROWS)]:
            body = stored.folder.parent / f"{stored.folder.name}-{rows}.json"
            body.write_bytes(stored.bodies[rows])
            cell = running.measure(count, rows, body, seconds)
            print(
                f"{cell.server:<11}{cell.model:<11}{cell.connections:>5}{cell.rows:>5}{cell.per_second:>9.0f}"
                f"{cell.p50_ms:>9.2f}{cell.p99_ms:>9.2f}{cell.cpu_us:>9.1f}",
                flush=True,
            )
            yield cell


if __name__ == "__main__":
    main()
