"""What an answer over HTTP costs: `mlflow models serve`, our server at each tier, and a bare ASGI echo as the limit.

One worker pinned to one core, the load from another; CPU seconds of the server's processes over the requests that it
answered, in the round of three that cost the least. The model: HistGradientBoosting, 200 iterations, 20 numeric and 2
categorical columns behind a ColumnTransformer; besides, a random forest and a pipeline with a transformer of the user's
own, at the tiers that they prove. The kernel alone beside ONNX Runtime and treelite. The last line is JSON: every cell,
`cpu_ratio_to_mlflow` (base: MLflow's CPU per request at one connection), `cpu_ratio_to_echo`, the kernels, and each
bar with what was found.

    python -m benchmarks.serving [SECONDS-A-CELL]
"""

from __future__ import annotations

import json
import operator
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks import kernels
from benchmarks.load.cells import Cell, Running, echo, mlflow, ours, ratios
from benchmarks.load.models import Stored, store
from mlflow_plugins.deployment.tier import Tier

CONNECTIONS = (1, 16, 64)
SECONDS = 4.5
ROUNDS = 3
TIERS = (Tier.COMPILED, Tier.MICROBATCH, Tier.TYPED)
HUNDRED_ROWS = 100
OTHERS = {
    "forest": (Tier.COMPILED, Tier.MICROBATCH, Tier.TYPED),
    "custom": (Tier.MICROBATCH, Tier.TYPED),
}


def main() -> None:
    """Measure, print a table, and the JSON."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    alone = kernels.measured()
    with tempfile.TemporaryDirectory(prefix="incumbent-serving-") as scratch:
        cells = list(measured(Path(scratch), seconds))
    result = {"cells": [cell.facts() for cell in cells], **compared(cells), "kernels": alone}
    result["bars"] = bars(result)
    for name, bar in result["bars"].items():
        print(f"{'holds' if bar['holds'] else 'FAILS':<6}{name}: {bar['found']} ({bar['wanted']})")
    print(json.dumps(result))


def compared(cells: list[Cell]) -> dict[str, Any]:
    """The ratios of CPU per request, of the described model."""
    described = [cell for cell in cells if cell.model in ("described", "none")]
    hundred = only(cells, "mlflow", HUNDRED_ROWS, 1)
    return {
        "cpu_ratio_to_mlflow": ratios(described, only(cells, "mlflow", 1, 1).cpu_us),
        "cpu_ratio_to_mlflow_100_rows": {
            cell.server: round(hundred.cpu_us / cell.cpu_us, 2)
            for cell in described
            if cell.rows == HUNDRED_ROWS and cell.server not in ("mlflow", "echo")
        },
        "cpu_ratio_to_echo": {
            str(count): round(only(cells, "compiled", 1, count).cpu_us / only(cells, "echo", 1, count).cpu_us, 2)
            for count in CONNECTIONS
        },
    }


def bars(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was promised, and what was found."""
    to_mlflow, to_echo = result["cpu_ratio_to_mlflow"], result["cpu_ratio_to_echo"]
    known = {">=": operator.ge, "<=": operator.le}
    promised = {
        "compiled at 1 connection": (to_mlflow["compiled"]["1"], ">=", 60),
        "compiled at 64 connections": (to_mlflow["compiled"]["64"], ">=", 100),
        "compiled to echo, the worst": (max(to_echo.values()), "<=", 1.6),
        "micro-batched at 64 connections": (to_mlflow["microbatch"]["64"], ">=", 10),
        "typed decode at 1 connection": (to_mlflow["typed"]["1"], ">=", 1.5),
        "compiled, 100 rows": (result["cpu_ratio_to_mlflow_100_rows"]["compiled"], ">=", 15),
        "kernel to the better peer, the worst": (max(result["kernels"]["ours_to_better_peer"].values()), "<=", 1.2),
    }
    return {
        name: {"found": round(found, 2), "wanted": f"{sign} {bar}", "holds": bool(known[sign](found, bar))}
        for name, (found, sign, bar) in promised.items()
    }


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
    stored = {name: store(name, scratch / name) for name in ("described", *OTHERS)}
    described = stored["described"]
    one_row = [(count, 1) for count in CONNECTIONS]
    yield from on(echo(described.answers[1]), described, seconds, one_row)
    yield from on(echo(described.answers[HUNDRED_ROWS]), described, seconds, [(1, HUNDRED_ROWS)])
    every = [*one_row, (1, HUNDRED_ROWS)]
    for tier in TIERS:
        yield from on(ours(tier, "described", described.at(tier)), described, seconds, every)
    yield from on(mlflow("described", described.folder), described, seconds, every)
    for name, tiers in OTHERS.items():
        some = [(1, 1), (64, 1), (1, HUNDRED_ROWS)]
        for tier in tiers:
            yield from on(ours(tier, name, stored[name].at(tier)), stored[name], seconds, some)
        yield from on(mlflow(name, stored[name].folder), stored[name], seconds, [(1, 1), (1, HUNDRED_ROWS)])


def on(
    server: AbstractContextManager[Running], stored: Stored, seconds: float, loads: list[tuple[int, int]]
) -> Iterator[Cell]:
    """Measure at so many connections, with so many rows a request."""
    with server as running:
        for count, rows in loads:
            body = stored.folder.parent / f"{stored.folder.name}-{rows}.json"
            body.write_bytes(stored.bodies[rows])
            rounds = [running.measure(count, rows, body, seconds / ROUNDS) for _ in range(ROUNDS)]
            cell = min(rounds, key=lambda one: one.cpu_us)  # what disturbs a round only ever adds to it
            print(
                f"{cell.server:<11}{cell.model:<11}{cell.connections:>5}{cell.rows:>5}{cell.per_second:>9.0f}"
                f"{cell.p50_ms:>9.2f}{cell.p99_ms:>9.2f}{cell.cpu_us:>9.1f}",
                flush=True,
            )
            yield cell


if __name__ == "__main__":
    main()
