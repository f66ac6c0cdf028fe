from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars import col

from feature_store.definitions.feature_view import derived, latest, recency, request, window
from feature_store.definitions.source import ALL, Source, before
from feature_store.definitions.spine import each, every, seen
from feature_store.errors import ColumnTypeError, FeatureNameClashError, LeakError, ManifestMismatchError
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.offline.labels import Label, ahead, labels
from feature_store.offline.questions import questions, ticks
from feature_store.offline.training_set import Definition, rebuild, training_set
from feature_store.storage.lake import Lake

FAR = datetime(2014, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number - 1)


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


flights = Source("flights", read=nothing, key="flight", event_time="departs_at", entity="origin",
                 available_at=before("departs_at", "5d"), later={"landed_at": ["delay"]},
                 derive={"late": col("delay") > 15})  # fmt: skip
orders = Source("orders", read=nothing, key="order", event_time="at", available_at="at", entity="customer")
spine = each(flights, as_of=before("departs_at", "1d"))


@pytest.fixture
def flown(lake: Lake) -> Lake:
    rows = pl.DataFrame(
        {
            "flight": [1, 2, 3, 4],
            "origin": ["JFK"] * 4,
            "departs_at": [day(10), day(11), day(12), day(13)],
            "landed_at": [day(10.5), day(14.5), None, day(13.5)],
            "delay": [20.0, 30.0, None, None],
        }
    )
    ingest_batch(flights, rows, lake, as_of=FAR, batch="1")
    return lake


@pytest.fixture
def bought(lake: Lake) -> Lake:
    rows = pl.DataFrame({"order": [1, 2, 3, 4], "customer": [7, 7, 8, 7], "at": [day(2), day(3), day(5), day(9.5)]})
    ingest_batch(orders, rows, lake, as_of=FAR, batch="1")
    return lake


def test_a_question_per_row_brings_what_comes_with_the_row(flown: Lake) -> None:
    asked = questions(spine, flown, day(9), day(11))
    assert asked.columns == ["as_of", "flight", "origin", "departs_at"]
    assert asked.select("as_of", "flight").rows() == [(day(10), 2), (day(11), 3)]


def test_a_label_is_known_or_waited_for_or_will_never_come(flown: Lake) -> None:
    def states(as_of: datetime) -> list[Any]:
        told = labels(Label("late", deadline="3d"), spine, questions(spine, flown, None, FAR), flown, as_of)
        return told.select("label", "label_available_at", "label_state").rows()

    waiting, never = (None, None, "waiting"), (None, None, "never")
    assert states(day(10.4)) == [waiting] * 4
    # The second lands after its deadline, the third never, the fourth without a delay.
    assert states(day(12.9)) == [(True, day(10.5), "known"), waiting, waiting, waiting]
    assert states(FAR) == [(True, day(10.5), "known"), never, never, never]


def test_a_row_never_feeds_its_own_features(flown: Lake) -> None:
    at_departure = each(flights, as_of="departs_at")
    asked = questions(at_departure, flown, None, FAR)
    views = [latest(flights, "flight", ttl="30d", ago=None), window(flights, flown=pl.len(), over="30d")]
    with pytest.raises(FeatureNameClashError, match="'flight'"):
        features([request("flight"), *views], asked, flown, spine=at_departure)
    told = features(views, asked, flown, spine=at_departure)
    assert told["flight"].to_list() == [None, 1, 2, 3]
    assert told["flown_30d"].to_list() == [0, 1, 2, 3]


def test_a_question_with_its_rows_key_in_another_type_is_refused_and_not_taken_for_no_row(flown: Lake) -> None:
    asked = questions(spine, flown, None, FAR).with_columns(col("flight").cast(pl.Int32))

    with pytest.raises(ColumnTypeError, match="Column 'flight' of 'questions' is Int32, expected Int64"):
        features([recency(flights)], asked, flown, spine=spine)


def test_a_row_without_an_optional_value_never_feeds_its_own_features_either(lake: Lake) -> None:
    """Of a key that is the whole row an absent value is no part, whether the table has the column or not."""
    visits = Source("visits", read=nothing, key=ALL, event_time="came", available_at="came", optional="tip")
    rows = pl.DataFrame({"came": [day(1), day(2), day(3)], "tip": [None, 5.0, None]})
    ingest_batch(visits, rows, lake, as_of=FAR, batch="1")
    itself = each(visits, as_of="came")
    views = [window(visits, visits=pl.len(), over="30d")]

    told = features(views, questions(itself, lake, None, FAR), lake, spine=itself)

    assert told["visits_30d"].to_list() == [0, 1, 2]


def test_a_function_that_looks_at_the_outcome_is_a_leak(flown: Lake) -> None:
    def peeking(frame: pl.DataFrame) -> pl.Series:
        return frame["delay"] * 2

    with pytest.raises(LeakError, match="'delay': it becomes known at landed_at"):
        features([derived(peeking)], questions(spine, flown, None, FAR), flown, spine=spine)


@pytest.mark.parametrize("year", [1700, 1969, 1970, 2100])
def test_what_is_timeless_is_known_at_any_moment(lake: Lake, year: int) -> None:
    planes = Source("planes", read=nothing, key="tailnum", entity="tailnum", timeless=True)
    ingest_batch(planes, pl.DataFrame({"tailnum": ["N1"], "seats": [9]}), lake, as_of=FAR, batch="1")
    asked = pl.DataFrame({"tailnum": ["N1"], "as_of": [datetime(year, 1, 1, tzinfo=UTC)]})

    assert features([latest(planes, "seats")], asked, lake, spine=spine)["seats"].to_list() == [9]


def test_a_function_makes_a_feature_of_its_name(flown: Lake) -> None:
    def flight_number_twice(frame: pl.DataFrame) -> pl.Series:
        return frame["flight"] * 2

    told = features([derived(flight_number_twice)], questions(spine, flown, None, FAR), flown, spine=spine)
    assert told["flight_number_twice"].to_list() == [2, 4, 6, 8]


def test_an_entity_is_asked_about_at_every_tick_while_it_is_seen(bought: Lake) -> None:
    asked = questions(every("00:00", seen(orders, within="3d")), bought, None, day(8))
    assert asked.rows() == [
        *[(day(number), 7) for number in (2, 3, 4, 5)],
        (day(5), 8),
        (day(6), 8),
        (day(7), 8),
    ]


def test_recency_counts_days_since_the_newest_event(bought: Lake) -> None:
    weekly = every("12:00", seen(orders, within="30d"))
    told = features([recency(orders)], questions(weekly, bought, day(5), day(6)), bought, spine=weekly)
    assert told.rows() == [(day(5.5), 7, 2.5), (day(5.5), 8, 0.5)]


def test_a_view_does_not_keep_a_row_whose_correction_left_it(lake: Lake) -> None:
    rows = pl.DataFrame({"order": [1], "customer": [7], "at": [day(2)], "told": [day(2)], "returned": [False]})
    told = Source("orders", read=nothing, key="order", event_time="at", available_at="told", entity="customer")
    ingest_batch(told, rows, lake, as_of=FAR, batch="1")
    ingest_batch(told, rows.with_columns(told=pl.lit(day(4)), returned=True), lake, as_of=FAR, batch="2")
    kept = told.where(~col("returned"))
    daily = every("00:00", seen(told, within="9d"))
    views = [window(kept, n=pl.len(), over="9d")]
    counted = features(views, questions(daily, lake, None, day(5)), lake, spine=daily)
    assert counted.select("as_of", "n_9d").rows() == [(day(2), 1), (day(3), 1), (day(4), 0), (day(5), 0)]
    assert questions(every("00:00", seen(kept, within="9d")), lake, None, day(5))["as_of"].to_list() == [day(2), day(3)]


def test_what_lies_ahead_is_known_at_the_close_for_yes_and_no_alike(bought: Lake) -> None:
    weekly = every("00:00", seen(orders, within="30d"))
    asked = questions(weekly, bought, day(7), day(8))
    label = ahead(orders, pl.len() > 0, over="2d", allowed_lateness="1d")
    early = labels(label, weekly, asked, bought, day(10.9))
    assert early.select("label", "label_state").rows() == [(None, "waiting")] * 2
    closed = labels(label, weekly, asked, bought, day(11))
    assert closed.select("label", "label_available_at").rows() == [(True, day(11)), (False, day(11))]


def test_ticks_follow_the_clock_on_the_wall_through_both_changes() -> None:
    spring = every("06:00", seen(orders, within="2d"), tz="Europe/London")
    start, end = datetime(2013, 3, 30, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC)
    assert [tick.hour for tick in ticks(spring, start, end)] == [6, 5]
    weekly = every("mon 01:30", seen(orders, within="2d"), tz="Europe/London")
    found = ticks(weekly, datetime(2013, 10, 20, tzinfo=UTC), datetime(2013, 11, 5, tzinfo=UTC))
    assert [(tick.day, tick.hour) for tick in found] == [(21, 0), (28, 1), (4, 1)]
    skipped = every("01:30", seen(orders, within="2d"), tz="Europe/London")
    assert [tick.hour for tick in ticks(skipped, datetime(2013, 3, 31, tzinfo=UTC), end)] == [1]


def test_a_training_set_holds_the_questions_whose_label_was_known(flown: Lake) -> None:
    views, label = [request("origin")], Label("late", deadline="9d")
    made = training_set(Definition(views, label, spine), flown, None, day(12))
    assert made.frame["flight"].to_list() == [1]
    assert made.manifest["tables"] == {"sources/flights": 0, "sources/flights.landed_at": 0}
    assert training_set(Definition(views, label, spine), flown, day(9), FAR).frame["flight"].to_list() == [2]
    with pytest.raises(ManifestMismatchError, match="The manifest records views"):
        rebuild(made.manifest, Definition([request("flight")], label, spine), flown)


def test_a_label_comes_though_the_row_is_by_then_none_that_is_asked_about(lake: Lake) -> None:
    """Offers are asked about while they are open; they are closed, as a correction tells, before they are answered."""
    offers = Source("offers", read=nothing, key="offer", event_time="made", available_at="told", entity="offer",
                    later={"answered": ["won"]})  # fmt: skip
    told = {"offer": [1, 1], "made": [day(1)] * 2, "told": [day(1), day(3)], "open": [True, False]}
    rows = pl.DataFrame({**told, "answered": [day(4)] * 2, "won": [True] * 2})
    ingest_batch(offers, rows, lake, as_of=FAR, batch="1")
    while_open = each(offers.where(col("open")), as_of=before("told", "0s"))

    found = labels(Label("won", deadline="9d"), while_open, questions(while_open, lake, None, FAR), lake, FAR)

    assert found.select("as_of", "label", "label_state").rows() == [(day(1), True, "known")]
