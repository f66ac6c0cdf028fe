"""The yardstick: the same answers by hand with Polars, as fast as it can be written, without any check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from benchmarks.asof_join_peers.question import ALL, JOINS, WINDOWS


def prepared(folder: Path, questions: str) -> Callable[[], pl.DataFrame]:
    """What answers the questions of a file with 20 features."""
    assert questions == ALL
    frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in (ALL, *JOINS)}
    return lambda: pl.concat([joined(frames), windowed(frames).drop("question")], how="horizontal")


def joined(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The three joins: every question with 17 features, in the order of the questions."""
    found = frames[ALL].sort("as_of")
    for table, (keys, ttl) in JOINS.items():
        rows = frames[table].sort("event_time")
        found = found.join_asof(
            rows,
            left_on="as_of",
            right_on="event_time",
            by=keys,
            strategy="backward",
            tolerance=f"{ttl}h",
            check_sortedness=False,
        ).drop("event_time")
    return found.sort("question")


def windowed(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The mean delay of the carrier at the origin over each window: prefix sums, joined at `t` and at `t - w`."""
    keys = ["carrier", "origin"]
    delay = pl.col("carrier_arr_delay")
    sums = (
        frames["carrier"]
        .sort("event_time")
        .select(*keys, "event_time", total=delay.cum_sum().over(keys), count=pl.int_range(1, pl.len() + 1).over(keys))
    )
    found = frames[ALL].select("question", *keys, "as_of").sort("as_of")
    end = _at(found, sums, keys, pl.col("as_of"))
    means = []
    for hours in WINDOWS:
        start = _at(found, sums, keys, pl.col("as_of") - pl.duration(hours=hours))
        means.append(
            ((end["total"] - start["total"]) / (end["count"] - start["count"])).fill_nan(None).alias(f"delay_{hours}h")
        )
    return found.select("question").with_columns(means).sort("question")


def _at(asked: pl.DataFrame, sums: pl.DataFrame, keys: list[str], moment: pl.Expr) -> pl.DataFrame:
    return (
        asked.select(*keys, moment=moment)
        .join_asof(sums, left_on="moment", right_on="event_time", by=keys, strategy="backward", check_sortedness=False)
        .select(pl.col("total", "count").fill_null(0))
    )
