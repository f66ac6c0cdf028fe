"""One engine on many questions, in this process.

python -m benchmarks.asof_join_peers.measure_scale ENGINE FOLDER QUESTIONS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from benchmarks.asof_join_peers.scale import FEATURES, SOURCES, SPINE, VALUES, VIEWS, asked
from benchmarks.contenders.meter import least_cost, peak_mb
from feature_store.offline.partitions import Partitioning, features_in_parts
from feature_store.storage.lake import Lake
from feature_store.storage.tables import table_of

NAMES = [f"view{number}_{name}" for number in range(VIEWS) for name in VALUES]


def by_incumbent(lake: Lake, spine: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The feature store, a million questions at a time, from the lake's files."""
    yield from features_in_parts(FEATURES, spine, lake, spine=SPINE, cut=Partitioning(questions=1_000_000))


def by_polars(lake: Lake, spine: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The yardstick: all at once, without any check."""
    found = spine
    for number, source in enumerate(SOURCES):
        rows = lake.scan(table_of(source), ["entity", "event_time", *(f"view{number}_{name}" for name in VALUES)])
        found = found.join_asof(
            rows.collect().sort("event_time"),
            left_on="as_of",
            right_on="event_time",
            by="entity",
            strategy="backward",
            tolerance="30d",
            check_sortedness=False,
        ).drop("event_time")
    yield found


ENGINES: dict[str, Callable[[Lake, pl.DataFrame], Iterator[pl.DataFrame]]] = {
    "incumbent": by_incumbent,
    "polars": by_polars,
}


def total(parts: Iterator[pl.DataFrame]) -> dict[str, list[float]]:
    """Of each feature how many values there are, and their sum."""
    counts, sums = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0.0)
    for part in parts:
        for name in NAMES:
            counts[name] += part.height - part[name].null_count()
            sums[name] += float(part[name].sum())
    return {name: [counts[name], sums[name]] for name in NAMES}


def main() -> None:
    """Measure once, print the cost and the totals of the answers."""
    engine, folder, questions = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    spine = asked(questions)
    cost, found = least_cost(lambda: total(ENGINES[engine](Lake(folder / "lake"), spine)), 1)
    print(json.dumps({**cost, "peak_mb": peak_mb(), "answers": found}))


if __name__ == "__main__":
    main()
