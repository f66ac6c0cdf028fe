"""Many more rows than memory would like: 10 million questions, five views of a million rows, 100,000 entities.

What grows is the number of questions; the views stay. The same work is done on 1 and on 10 million questions, in parts
of a million (`features_in_parts`), each part consumed as it comes: memory is bounded, and a question costs no more.
"""

from __future__ import annotations

import json
import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.contenders.apart import run_apart
from feature_store.definitions.feature_view import Feature, latest
from feature_store.definitions.source import Source, before
from feature_store.definitions.spine import Each, each
from feature_store.intake.ingest import ingest_batch
from feature_store.storage.lake import Lake

VIEWS, ROWS, ENTITIES = 5, 1_000_000, 100_000
QUESTIONS = (1_000_000, 10_000_000)
VALUES = [f"v{number}" for number in range(4)]
START, YEAR = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=365)
_UTC = pl.Datetime("us", "UTC")

SOURCES = [
    Source(
        f"view{number}", read=dict, key=["entity", "event_time"], event_time="event_time", available_at="event_time",
        entity="entity",
    )
    for number in range(VIEWS)
]  # fmt: skip
FEATURES: list[Feature] = [
    latest(source, *(f"view{number}_{name}" for name in VALUES), ttl="30d") for number, source in enumerate(SOURCES)
]
ASKED = Source("asked", read=dict, key="question", event_time="as_of", available_at=before("as_of", "30d"))
SPINE: Each = each(ASKED, as_of=before("as_of", "0s"))


def main() -> None:
    """Measure both sizes, each in a process of its own; print the JSON."""
    with tempfile.TemporaryDirectory(prefix="incumbent-scale-") as scratch:
        ingest(Path(scratch))
        few, many = (measured("incumbent", Path(scratch), size) for size in QUESTIONS)
        polars = measured("polars", Path(scratch), QUESTIONS[0])
    names = {"incumbent_1m": few, "incumbent_10m": many, "polars_1m": polars}
    result: dict[str, object] = {"mismatches": differing(few["answers"], polars["answers"])}
    for figure in ("cpu_s", "wall_s", "peak_mb", "cpu_us_a_row"):
        result[figure] = {name: cost[figure] for name, cost in names.items()}
    print(json.dumps(result | {"row_10m_to_1m": round(many["cpu_us_a_row"] / few["cpu_us_a_row"], 3)}))


def measured(engine: str, folder: Path, questions: int) -> dict[str, Any]:
    """One engine on so many questions, in a process of its own."""
    cost = run_apart("benchmarks.asof_join_peers.measure_scale", engine, folder, questions)
    found = {name: round(cost[name], 3) for name in ("cpu_s", "wall_s", "peak_mb")}
    found["cpu_us_a_row"] = round(1e6 * cost["cpu_s"] / questions, 3)
    print(f"{engine}, {questions:,} questions: {found}", flush=True)
    return found | {"answers": cost["answers"]}


def differing(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> int:
    """How many features differ in how many values there are, or in their sum (which depends on its order)."""
    pairs = [(ours[name], theirs[name]) for name in theirs]
    return sum(one[0] != other[0] or not math.isclose(one[1], other[1], rel_tol=1e-7) for one, other in pairs)


def ingest(folder: Path, rows: int = ROWS, entities: int = ENTITIES) -> None:
    """Make the five views and take them into the lake of the folder."""
    random = np.random.default_rng(0)
    lake = Lake(folder / "lake")
    for number, source in enumerate(SOURCES):
        frame = _at_random(random, rows, entities, "event_time")
        values = {f"view{number}_{name}": random.normal(size=rows) for name in VALUES}
        # One row for an entity and a moment, since engines break ties differently.
        frame = frame.with_columns(**values).unique(["entity", "event_time"], keep="first", maintain_order=True)
        ingest_batch(source, frame, lake, as_of=START + 2 * YEAR, batch="all")


def asked(questions: int, entities: int = ENTITIES) -> pl.DataFrame:
    """Questions in the order of their moments."""
    frame = _at_random(np.random.default_rng(1), questions, entities, "as_of").sort("as_of")
    return frame.with_row_index("question").with_columns(pl.col("question").cast(pl.Int64))


def _at_random(random: np.random.Generator, rows: int, entities: int, time: str) -> pl.DataFrame:
    seconds = random.integers(0, int(YEAR.total_seconds()), rows)
    moments = (seconds * 1_000_000 + int(START.timestamp()) * 1_000_000).astype("datetime64[us]")
    return pl.DataFrame({"entity": random.integers(0, entities, rows), time: pl.Series(moments).cast(_UTC)})
