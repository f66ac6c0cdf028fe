"""Point-in-time joins and windows on a year of flights: ours, Polars by hand, pandas, DuckDB; and Feast on 20,000 rows.

Every contender runs in a process of its own, several rounds of which the one with the least CPU counts, and its
answers are compared with those of pandas cell by cell: joins exactly, windows within 1e-9. Tables are in memory before
the clock starts; only `incumbent_20k` and `feast_20k` read theirs from files, and do the three joins alone, which is
what Feast does. The last line is JSON; `mismatches` counts the cells of all contenders.

    python -m benchmarks.asof_join             336,776 questions, 20 features
    python -m benchmarks.asof_join --scale     1 and 10 million questions x 5 views of a million rows
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.asof_join_peers import by_incumbent, flights, scale
from benchmarks.asof_join_peers.question import ALL, FEW, JOINED, WINDOWED
from benchmarks.contenders.apart import run_apart, run_peer

CONTENDERS = {
    "incumbent": ("incumbent", ALL, run_apart, 5),
    "polars": ("polars", ALL, run_apart, 5),
    "pandas": ("pandas", ALL, run_apart, 3),
    "duckdb": ("duckdb", ALL, run_peer, 3),
    "incumbent_20k": ("incumbent", FEW, run_apart, 5),
    "feast_20k": ("feast", FEW, run_peer, 3),
}
"""The engine, its questions, whose Python runs it, and how many rounds."""


def main() -> None:
    """Measure, print a table, and the JSON."""
    if sys.argv[1:] == ["--scale"]:
        scale.main()
        return
    with tempfile.TemporaryDirectory(prefix="incumbent-asof-") as scratch:
        folder = Path(scratch)
        flights.write(folder)
        by_incumbent.ingest(folder)
        costs = {
            name: run("benchmarks.asof_join_peers.measure", engine, questions, folder, rounds)
            for name, (engine, questions, run, rounds) in CONTENDERS.items()
        }
        differing = {name: mismatches(folder, *CONTENDERS[name][:2]) for name in CONTENDERS}
    print(f"{'contender':14} {'CPU s':>8} {'wall s':>8} {'peak MB':>8} {'mismatches':>11}")
    for name, cost in costs.items():
        figures = f"{cost['cpu_s']:>8.3f} {cost['wall_s']:>8.3f} {cost['peak_mb']:>8.0f} {differing[name]:>11}"
        print(f"{name:14} {figures}")
    print(json.dumps(_result(costs, differing)))


def _result(costs: Mapping[str, Mapping[str, float]], differing: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {"mismatches": sum(differing.values())}
    for figure in ("cpu_s", "wall_s", "peak_mb"):
        found[figure] = {name: round(cost[figure], 4) for name, cost in costs.items()}
    cpu = found["cpu_s"]
    return found | {
        "incumbent_to_polars": round(cpu["incumbent"] / cpu["polars"], 2),
        "feast_20k_to_incumbent_20k": round(cpu["feast_20k"] / cpu["incumbent_20k"], 1),
    }


def mismatches(folder: Path, engine: str, questions: str) -> int:
    """How many cells of an engine's answers differ from those of pandas."""
    truth = pl.read_parquet(folder / f"pandas-{ALL}.parquet")
    found = pl.read_parquet(folder / f"{engine}-{questions}.parquet").sort("question")
    columns = JOINED if questions == FEW else [*JOINED, *WINDOWED]
    asked = pl.read_parquet(folder / f"{questions}.parquet", columns=["question"]).sort("question")
    if not found["question"].equals(asked["question"]):
        return asked.height * len(columns)
    truth = asked.join(truth, on="question", how="left", maintain_order="left")
    return sum(_differing(found[name], truth[name], 1e-9 if name in WINDOWED else 0.0) for name in columns)


def _differing(found: pl.Series, truth: pl.Series, relative: float) -> int:
    """Cells that are not both missing and not as near as that; NaN is pandas' word for missing."""
    ours, theirs = (one.cast(pl.Float64).fill_nan(None) for one in (found, truth))
    absent = ours.is_null() & theirs.is_null()
    near = ((ours - theirs).abs() <= relative * theirs.abs()).fill_null(value=False)
    return int((~(absent | near)).sum())


if __name__ == "__main__":
    main()
