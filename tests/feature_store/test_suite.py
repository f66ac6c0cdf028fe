"""Expectations that are inferred, kept in a file, and hold a batch to what came before it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.definitions.source import Source
from feature_store.definitions.suite import (
    BETWEEN,
    IN_SET,
    MEDIAN,
    NEWEST,
    NOT_NULL,
    NOTE,
    QUARANTINE,
    ROWS,
    STOP,
    Suite,
    check,
    read_suite,
)
from feature_store.errors import ExpectationFailedToRunError, SuiteUnreadableError
from feature_store.intake.inference import infer_suite
from feature_store.intake.ingest import IngestResult, ingest_batch
from feature_store.intake.validation import Pace, great_expectations, validate
from feature_store.intake.validation_page import validation_page
from feature_store.storage.lake import Lake

START = datetime(2021, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
MILES = np.array([100.0, 250.0, 380.0, 760.0, 1100.0, 2400.0])


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


TRIPS = Source(
    "trips", read=nothing, key="id", event_time="left", available_at="left", later={"arrived": ["minutes"]}
)  # fmt: skip


def trips(first: int, last: int, rows: int = 300, **changed: pl.Expr) -> pl.DataFrame:
    """Trips of the weeks from `first` up to but not with `last`; `distance` has few values, `price` many."""
    rng = np.random.default_rng(first)
    count = rows * (last - first)
    seconds = np.sort(rng.uniform(0, (last - first) * 7 * 86_400, count))
    left = [START + first * WEEK + timedelta(seconds=float(one)) for one in seconds]
    distance = rng.choice(MILES, count)
    frame = pl.DataFrame(
        {
            "id": np.arange(count) + first * 1_000_000,
            "left": pl.Series(left, dtype=pl.Datetime("us", "UTC")),
            "carrier": rng.choice(["AA", "B6", "UA"], count),
            "distance": distance,
            "price": distance * rng.lognormal(0, 0.3, count),
            "minutes": distance / 8 + rng.normal(0, 5, count),
        }
    )
    return frame.with_columns(arrived=pl.col("left") + timedelta(hours=5)).with_columns(**changed)


@pytest.fixture
def history(lake: Lake) -> Lake:
    """A lake with eight weeks of trips."""
    ingest_batch(TRIPS, trips(0, 8), lake, as_of=START + 8 * WEEK, batch="history")
    return lake


@pytest.fixture
def inferred(history: Lake) -> Suite:
    return infer_suite(TRIPS, history, as_of=START + 8 * WEEK, every=WEEK)


def take(lake: Lake, suite: Suite, raw: pl.DataFrame, week: int = 9) -> IngestResult:
    return ingest_batch(replace(TRIPS, suite=suite), raw, lake, as_of=START + week * WEEK, batch=f"week {week}")


def failed(result: IngestResult) -> dict[str, str]:
    return {one.column: one.told for one in result.checks if not one.passed}


def test_a_batch_like_its_history_passes_every_check(history: Lake, inferred: Suite) -> None:
    result = take(history, inferred, trips(8, 9))

    assert result.stopped is None
    assert failed(result) == {}
    assert result.suite == inferred.version
    assert {one.column for one in result.checks} == {"", "event_time", "id", "carrier", "distance", "price", "minutes"}


@pytest.mark.parametrize(
    ("column", "factor", "told"),
    [
        ("distance", 1.609, "one of 100, 250, 380, 760, 1100 and 1 more in at least 50% of the rows"),
        ("price", 100.0, "a median within"),
        ("minutes", 60.0, "a median within"),
    ],
)
def test_other_units_stop_the_batch_before_anything_is_stored(
    history: Lake, inferred: Suite, column: str, factor: float, told: str
) -> None:
    before = {table: history.height(table) for table in history.tables()}

    result = take(history, inferred, trips(8, 9).with_columns(pl.col(column) * factor))

    assert result.stopped is not None
    assert result.stopped.startswith(f"{column}: ")
    assert told in result.stopped
    assert {table: history.height(table) for table in history.tables()} == before


def test_a_category_called_otherwise_is_noted_with_its_name_and_taken_in(history: Lake, inferred: Suite) -> None:
    result = take(history, inferred, trips(8, 9, carrier=pl.col("carrier").replace("UA", "United")))

    count = int((trips(8, 9)["carrier"] == "UA").sum())
    assert result.appended == 300
    assert failed(result) == {
        "carrier": f"otherwise in {count} of 300 rows: United ({count}), "
        "expected one of AA, B6, UA in at least 98% of the rows"
    }


def test_single_bad_rows_are_set_apart_with_the_reason(history: Lake, inferred: Suite) -> None:
    odd = pl.when(pl.int_range(pl.len()) < 2).then(pl.lit(-1e9)).otherwise(pl.col("price"))

    result = take(history, inferred, trips(8, 9, price=odd))

    assert (result.appended, result.quarantined) == (298, 2)
    apart = history.read("quarantine/trips")
    assert apart["column"].unique().to_list() == ["price"]
    assert apart["reason"][0].startswith("price is -1000000000.0, expected within [0, ")


@pytest.mark.parametrize("made", ["all null", "half null"])
def test_a_column_that_lost_its_values_is_noted(history: Lake, inferred: Suite, made: str) -> None:
    gone = pl.lit(None, pl.Float64) if made == "all null" else pl.when(pl.col("id") % 2 == 0).then(pl.col("price"))

    result = take(history, inferred, trips(8, 9, price=gone))

    rows = 300 if made == "all null" else 150
    assert failed(result)["price"] == (f"otherwise in {rows} of 300 rows, expected a value in at least 98% of the rows")


def test_a_feed_that_went_quiet_and_one_that_came_back_late_are_noted(history: Lake, inferred: Suite) -> None:
    quiet = take(history, inferred, trips(8, 9).clear())
    late = take(history, inferred, trips(8, 9, rows=20), 10)

    assert list(failed(quiet)) == [""]
    assert failed(quiet)[""].startswith("0, expected ")
    assert set(failed(late)) == {"", "event_time"}
    assert "a newest row at most 26h old" in failed(late)["event_time"]


def test_a_small_batch_is_only_checked_row_by_row_and_for_pace_and_age(history: Lake, inferred: Suite) -> None:
    few = trips(8, 9).tail(10).with_columns(pl.col("distance") * 1.609)

    result = take(history, inferred, few)

    assert result.stopped is None
    assert set(failed(result)) == {""}


def test_an_expected_column_that_is_nowhere_is_missing(lake: Lake) -> None:
    suite = Suite("trips", (check(NOT_NULL, NOTE, column="seats"),))

    result = take(lake, suite, trips(8, 9))

    assert failed(result) == {"seats": "missing, expected a column"}


def test_numbers_that_count_up_are_not_expected_to_come_again(lake: Lake) -> None:
    counting = trips(0, 8).with_columns(price=pl.col("left").dt.week().cast(pl.Float64))
    ingest_batch(TRIPS, counting, lake, as_of=START + 8 * WEEK, batch="history")

    suite = infer_suite(TRIPS, lake, as_of=START + 8 * WEEK, every=WEEK)

    assert IN_SET not in {one.type for one in suite.checks if one.column == "price"}


def test_nonsense_in_the_history_does_not_widen_the_range(lake: Lake) -> None:
    wild = pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(1e9)).otherwise(pl.col("price"))
    ingest_batch(TRIPS, trips(0, 8, price=wild), lake, as_of=START + 8 * WEEK, batch="history")

    suite = infer_suite(TRIPS, lake, as_of=START + 8 * WEEK, every=WEEK)

    (limits,) = (one for one in suite.checks if one.column == "price" and one.type == BETWEEN)
    assert limits.given["max_value"] < 1e6
    assert "1 values far outside were left out" in limits.why


def test_a_short_history_says_nothing_about_what_moves_between_windows(lake: Lake) -> None:
    ingest_batch(TRIPS, trips(0, 2), lake, as_of=START + 2 * WEEK, batch="history")

    suite = infer_suite(TRIPS, lake, as_of=START + 2 * WEEK, every=WEEK)

    assert {one.type for one in suite.checks}.isdisjoint({MEDIAN, IN_SET, ROWS, NEWEST})
    assert BETWEEN in {one.type for one in suite.checks}


def test_a_file_comes_back_as_it_was_written_and_great_expectations_reads_it(inferred: Suite, tmp_path: Path) -> None:
    path = tmp_path / "trips.json"
    path.write_text(inferred.to_json())

    again = read_suite(path)

    assert again == inferred
    assert again is not None
    assert again.version == inferred.version
    theirs = great_expectations().ExpectationSuite(**json.loads(path.read_text()))
    assert len(theirs.expectations) == len(inferred.checks)


def test_a_suite_that_is_edited_by_hand_is_another_version_and_shows_what_changed(inferred: Suite) -> None:
    (price,) = (one for one in inferred.checks if one.column == "price" and one.type == BETWEEN)
    wider = replace(price, arguments=json.dumps({**price.given, "max_value": 9000}))
    edited = replace(inferred, checks=tuple(wider if one is price else one for one in inferred.checks))

    (change,) = edited.changes(inferred)

    assert edited.version != inferred.version
    assert change.column == "price"
    assert change.now.endswith("9000], else quarantine")
    assert change.was != change.now


def test_any_expectation_of_theirs_can_be_written_into_the_file(lake: Lake) -> None:
    pair = check("expect_column_values_to_match_regex", QUARANTINE, column="carrier", regex="^[A-Z]{2}$")
    suite = Suite("trips", (pair,))

    result = take(lake, suite, trips(8, 9, carrier=pl.col("carrier").replace("B6", "?")))

    assert pair.told == "column values to match regex (regex ^[A-Z]{2}$)"
    assert result.appended == int((trips(8, 9)["carrier"] != "B6").sum())
    assert result.quarantined > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", "JSONDecodeError"),
        ("{}", "KeyError: 'expectations'"),
        ('{"name": "a", "expectations": [{"type": "x"}]}', "KeyError: 'kwargs'"),
        (
            '{"name": "a", "expectations": [{"type": "x", "kwargs": {}, "meta": {"otherwise": "quarantine"}}]}',
            "cannot 'quarantine'",
        ),
    ],
)
def test_a_file_that_is_no_suite_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "trips.json").write_text(text)

    with pytest.raises(SuiteUnreadableError, match=problem) as refused:
        read_suite(tmp_path / "trips.json")

    assert str(refused.value).endswith("or infer it again with: incumbent expect MODEL --write")


def test_an_expectation_that_nobody_knows_and_one_that_raises_are_errors(lake: Lake) -> None:
    unknown = Suite("trips", (check("expect_miracles", NOTE, column="price"),))
    raising = Suite("trips", (check(MEDIAN, NOTE, column="carrier", min_value=0, max_value=1),))

    with pytest.raises(SuiteUnreadableError, match="expect_miracles"):
        take(lake, unknown, trips(8, 9))
    with pytest.raises(ExpectationFailedToRunError, match="carrier a median within"):
        take(lake, raising, trips(8, 9))
    assert lake.tables() == []


def test_what_was_checked_is_recorded_with_the_batch(history: Lake, inferred: Suite) -> None:
    first = take(history, inferred, trips(8, 9))

    again = take(history, inferred, trips(8, 9))

    assert again == first
    assert again.checks == first.checks


@settings(max_examples=15, deadline=None)
@given(
    low=st.floats(-1e6, 1e6),
    spread=st.floats(0, 1e6),
    values=st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=60),
)
def test_rows_outside_a_range_are_those_that_arithmetic_says(low: float, spread: float, values: list[Any]) -> None:
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    limits = check(BETWEEN, QUARANTINE, column="x", min_value=low, max_value=low + spread)

    (outcome,) = validate("any", [limits], frame, Pace(START, None))

    wrong = [place for place, value in enumerate(values) if value is not None and not low <= value <= low + spread]
    assert list(outcome.rows) == wrong
    assert outcome.passed == (not wrong)


def test_the_page_is_one_file_that_asks_nothing_of_the_network(history: Lake, inferred: Suite) -> None:
    result = take(history, inferred, trips(8, 9, carrier=pl.lit("<b>&")).with_columns(pl.col("distance") * 1.609))

    page = validation_page("late-flights <script>", {"trips": result})

    assert STOP in {one.otherwise for one in result.checks if not one.passed}
    assert "Refused, and nothing of it was stored: distance" in page
    assert "&lt;b&gt;&amp; (300)" in page
    assert "<b>&" not in page
    assert "http" not in page
    assert "<script" not in page
