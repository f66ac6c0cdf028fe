"""Validation on the real flights: what a unit does to a week's batch, and what a real year does not."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from feature_store.inference import infer_suite
from feature_store.ingest import IngestResult, ingest_batch
from feature_store.lake import Lake
from feature_store.source import Source
from feature_store.suite import Suite

FOLDER = Path(__file__).parents[2] / "examples" / "flights"
MARCH = datetime(2013, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def flights() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("flights_model", FOLDER / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


def taken(source: Source, folder: Path, change: pl.Expr | None = None) -> IngestResult:
    """January and February as they are, a suite inferred from them, and the first week of March, perhaps changed."""
    lake, raw = Lake(folder / source.name), source.read()
    ingest_batch(source, raw, lake, as_of=MARCH, batch="first")
    suite: Suite = infer_suite(source, lake, as_of=MARCH, every=WEEK)
    if change is not None:
        name = change.meta.output_name()
        since = pl.col(str(source.event_time)) > MARCH + timedelta(days=1)
        raw = raw.with_columns(pl.when(since).then(change).otherwise(pl.col(name)).alias(name))
    return ingest_batch(replace(source, suite=suite), raw, lake, as_of=MARCH + WEEK, batch="second")


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("flights", (pl.col("distance") * 1.609344).round().cast(pl.Int64)),
        ("weather", pl.col("wind_speed") * 1.609344),
        ("weather", pl.col("visib") * 1.609344),
    ],
    ids=["distance", "wind_speed", "visib"],
)
def test_kilometres_for_miles_stop_the_first_batch_they_come_in(
    flights: ModuleType, tmp_path: Path, source: str, change: pl.Expr
) -> None:
    result = taken(getattr(flights, source), tmp_path, change)

    assert result.stopped is not None
    assert result.stopped.startswith(f"{change.meta.output_name()}: otherwise in ")
    assert result.appended == 0


def test_an_airline_called_otherwise_is_noted_by_its_new_name(flights: ModuleType, tmp_path: Path) -> None:
    result = taken(flights.flights, tmp_path, pl.col("carrier").replace("UA", "United"))

    (failed,) = [one for one in result.checks if not one.passed]
    assert result.stopped is None
    assert failed.column == "carrier"
    assert "United (1,128)" in failed.observed


@pytest.mark.parametrize("source", ["flights", "weather", "planes"])
def test_a_week_as_it_was_is_as_expected(flights: ModuleType, tmp_path: Path, source: str) -> None:
    result = taken(getattr(flights, source), tmp_path)

    assert result.stopped is None
    assert [one.told for one in result.checks if not one.passed] == []
