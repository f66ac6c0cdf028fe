"""Validation and drift on the real flights: what a unit or a new name does to a week, and what a real week does not."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pandas as pd
import polars as pl
import pytest

from feature_store.definitions.source import Source
from feature_store.definitions.suite import Suite
from feature_store.intake.inference import infer_suite
from feature_store.intake.ingest import IngestResult, ingest_batch
from feature_store.offline.features import features
from feature_store.offline.questions import questions
from feature_store.storage.lake import Lake
from flows.frames import model_input
from flows.model import Model
from flows.places import places_of
from lifecycle.alerts import symptoms_of
from lifecycle.evidence import Evidence
from lifecycle.moments import Window
from monitoring.drift import drift
from monitoring.reference import Reference

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
    raw = raw if change is None else changed(source, raw, change)
    return ingest_batch(replace(source, suite=suite), raw, lake, as_of=MARCH + WEEK, batch="second")


def changed(source: Source, raw: pl.DataFrame, change: pl.Expr) -> pl.DataFrame:
    """The source answers otherwise from 2 March on: what it said of 1 March was taken in the day before."""
    name = change.meta.output_name()
    since = pl.col(str(source.event_time)) > MARCH + timedelta(days=1)
    return raw.with_columns(pl.when(since).then(change).otherwise(pl.col(name)).alias(name))


def watched(flights: ModuleType, folder: Path, change: pl.Expr | None = None) -> Evidence:
    """The drift of the first week of March against February, calibrated on January's weeks; nothing is trained.

    Two batches are taken in, and features computed from the lake, as the loop does; only the prediction is missing.
    """
    lake, model = Lake(folder), flights.late_flights
    for source in (flights.flights, flights.weather, flights.planes):
        raw = source.read()
        ingest_batch(source, raw, lake, as_of=MARCH, batch="first")
        raw = changed(source, raw, change) if change is not None and source is flights.flights else raw
        ingest_batch(source, raw, lake, as_of=MARCH + WEEK, batch="second")
    weeks = [seen(model, lake, Window.before(MARCH + number * WEEK, WEEK)) for number in range(-7, 2)]
    reference = Reference.of(pd.concat(weeks[4:8], ignore_index=True), earlier=weeks[:4])
    window = Window.before(MARCH + WEEK, WEEK)
    return Evidence(model.name, MARCH + WEEK, window, drift=drift(reference, weeks[8]))


def seen(model: Model, lake: Lake, window: Window) -> pd.DataFrame:
    asked = questions(model.spine, lake, window.start, window.end)
    return model_input(features(model.features, asked, lake, spine=model.spine), model)


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


@pytest.mark.parametrize(("carrier", "name"), [("UA", "United"), ("B6", "JetBlue"), ("VX", "Virgin")])
def test_an_airline_called_otherwise_is_named_first_in_its_first_week(
    flights: ModuleType, tmp_path: Path, carrier: str, name: str
) -> None:
    evidence = watched(flights, tmp_path, pl.col("carrier").replace(carrier, name))

    first = evidence.drifted[0]
    assert first.column == "carrier"
    assert first.reason.startswith("improbable in this window alone")
    assert f"new: '{name}'" in first.note
    assert symptoms_of(evidence, places_of(flights.late_flights))[0].place == "flights.carrier"


def test_in_a_week_as_it_was_no_airline_has_drifted(flights: ModuleType, tmp_path: Path) -> None:
    evidence = watched(flights, tmp_path)

    (carrier,) = [one for one in evidence.drift if one.column == "carrier"]
    assert carrier.drifted is False
    assert carrier.q is not None
    assert carrier.q > 0.1
    assert not any(one.reason.startswith("improbable") for one in evidence.drifted)
