from __future__ import annotations

import signal
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from polars import col

from feature_store.definitions.expectations import not_null, one_of, within
from feature_store.definitions.source import ALL, INGESTED, Source, after
from feature_store.errors import (
    ColumnTypeError,
    ExpectationFailedToRunError,
    MissingColumnsError,
    MixedZonesError,
    NaiveMomentError,
    ReservedColumnError,
    SchemaChangedError,
    UntypedColumnError,
)
from feature_store.intake import arrivals
from feature_store.intake.ingest import IngestResult, ingest_batch
from feature_store.storage.lake import Lake
from feature_store.storage.tables import known

FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC)


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


def weather_of(**changed: Any) -> Source:
    fields: dict[str, Any] = {
        "read": nothing,
        "key": ["origin", "observed_at"],
        "event_time": "observed_at",
        "available_at": after("observed_at", "10m"),
        "entity": "origin",
        "expect": [within("wind_speed", 0, 200)],
    }
    return Source("weather", **fields | changed)


def observed(*winds: float | None, origin: str | None = "JFK", day: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "origin": [origin] * len(winds),
            "observed_at": [datetime(2013, 1, day, hour, tzinfo=UTC) for hour in range(len(winds))],
            "wind_speed": list(winds),
        },
        schema_overrides={"origin": pl.String, "wind_speed": pl.Float64, "observed_at": pl.Datetime("us", "UTC")},
    )


def take(source: Source, frame: pl.DataFrame, lake: Lake, batch: str = "1", as_of: datetime = FEBRUARY) -> IngestResult:
    return ingest_batch(source, frame, lake, as_of=as_of, batch=batch)


def test_a_wind_of_1048_miles_an_hour_is_quarantined_with_its_reason(lake: Lake) -> None:
    result = take(weather_of(), observed(8.0, 1048.36, None), lake)
    assert (result.rows, result.appended, result.quarantined) == (3, 2, 1)
    assert result.reasons == {"wind_speed not within [0, 200]": 1}
    row = lake.read("quarantine/weather").row(0, named=True)
    assert row["reason"] == "wind_speed is 1048.36, expected within [0, 200]"
    assert (row["column"], row["value"], row["batch"]) == ("wind_speed", "1048.36", "1")
    assert row["row"] == '{"observed_at": "2013-01-01 01:00:00+00:00", "origin": "JFK", "wind_speed": 1048.36}'


def test_a_row_in_quarantine_is_not_quarantined_again(lake: Lake) -> None:
    take(weather_of(), observed(8.0, 1048.36), lake)
    result = take(weather_of(), observed(8.0, 1048.36, 9.0), lake, "2")
    assert (result.appended, result.quarantined, result.already_known) == (1, 0, 2)


def test_a_cell_is_made_null_where_that_is_asked_for(lake: Lake) -> None:
    source = weather_of(expect=[within("wind_speed", 0, 200, otherwise="null")])
    result = take(source, observed(8.0, 1048.36), lake)
    assert (result.appended, result.quarantined) == (2, 0)
    assert known(source, lake, FEBRUARY)["wind_speed"].to_list() == [8.0, None]
    assert take(source, observed(8.0, 1048.36), lake, "2").already_known == 2


def test_a_batch_is_stopped_where_that_is_asked_for_and_may_come_again(lake: Lake) -> None:
    source = weather_of(expect=[within("wind_speed", 0, 200, otherwise="stop")])
    result = take(source, observed(8.0, 1048.36, 999.0), lake)
    assert result.stopped == "wind_speed is 1048.36, expected within [0, 200] (and 1 more rows)"
    assert lake.tables() == []
    assert take(source, observed(8.0), lake).appended == 1


def test_every_kind_of_expectation_is_checked_by_itself(lake: Lake) -> None:
    expect = [within("wind_speed", 5, None), within("wind_speed", None, 100), not_null("wind_speed"),
              one_of("origin", ["JFK", "EWR"])]  # fmt: skip
    rows = pl.concat([observed(1.0, 50.0, 101.0, None), observed(50.0, origin="XXX")])
    result = take(weather_of(expect=expect), rows, lake)
    assert (result.appended, result.quarantined) == (1, 4)
    assert result.reasons == {
        "wind_speed not within [5, inf]": 1,
        "wind_speed not within [-inf, 100]": 1,
        "wind_speed not a value": 1,
        "origin not one of ['JFK', 'EWR']": 1,
    }


def test_an_expectation_that_raises_is_an_error_and_nothing_is_appended(lake: Lake) -> None:
    source = weather_of(expect=[within("origin", 0, 200)])
    with pytest.raises(ExpectationFailedToRunError, match=r"Expectation origin within .0, 200. of source"):
        take(source, observed(8.0), lake)
    assert lake.tables() == []


def test_a_missing_column_is_named(lake: Lake) -> None:
    with pytest.raises(
        MissingColumnsError, match=r"'weather' lacks \['wind_speed'\]; it has \['observed_at', 'origin'\]"
    ):
        take(weather_of(), observed(8.0).drop("wind_speed"), lake)


def test_a_column_of_the_first_batch_must_come_again(lake: Lake) -> None:
    take(weather_of(), observed(8.0).with_columns(visib=pl.lit(10.0)), lake)
    with pytest.raises(MissingColumnsError, match="visib"):
        take(weather_of(), observed(8.0, 9.0), lake, "2")
    assert take(weather_of(optional="visib"), observed(8.0, 9.0, day=2), lake, "2").appended == 2


def test_a_column_of_another_type_is_named_with_both_types(lake: Lake) -> None:
    take(weather_of(expect=[]), observed(8.0), lake)
    text = observed(8.0, 9.0).with_columns(wind_speed=pl.lit("nine"))
    with pytest.raises(ColumnTypeError, match="'wind_speed' of 'weather' is String, expected Float64 as stored"):
        take(weather_of(expect=[]), text, lake, "2")


def test_whole_numbers_may_come_where_fractions_are_stored(lake: Lake) -> None:
    take(weather_of(expect=[]), observed(8.0), lake)
    whole = observed(3.0, day=2).with_columns(col("wind_speed").cast(pl.Int64))
    assert take(weather_of(expect=[]), whole, lake, "2").appended == 1
    assert known(weather_of(), lake, FEBRUARY)["wind_speed"].to_list() == [8.0, 3.0]


def test_a_fraction_does_not_become_a_whole_number(lake: Lake) -> None:
    source = weather_of(expect=[])
    take(source, observed(8.0).with_columns(col("wind_speed").cast(pl.Int64)), lake)
    with pytest.raises(ColumnTypeError, match="is Float64, expected Int64 as stored"):
        take(source, observed(8.0, 1.5), lake, "2")


def test_text_where_a_moment_belongs_is_refused(lake: Lake) -> None:
    with pytest.raises(ColumnTypeError, match="'observed_at' of 'weather' is String, expected a datetime"):
        take(weather_of(), observed(8.0).with_columns(col("observed_at").cast(pl.String)), lake)


def test_a_type_that_delta_does_not_keep_is_refused(lake: Lake) -> None:
    with pytest.raises(ColumnTypeError, match=r"expected bool, i8..i64, f32, f64, str, date or datetime"):
        take(weather_of(), observed(8.0).with_columns(lag=pl.duration(minutes=1)), lake)


def test_categories_are_kept_as_text(lake: Lake) -> None:
    take(weather_of(), observed(8.0).with_columns(col("origin").cast(pl.Categorical)), lake)
    assert lake.read("sources/weather").schema["origin"] == pl.String()


def test_a_column_without_a_value_needs_a_type_in_the_first_batch_and_gets_the_stored_one_later(lake: Lake) -> None:
    gust = observed(8.0).with_columns(gust=None)
    with pytest.raises(UntypedColumnError, match=r"Columns \['gust'\] of 'weather' hold no value in the first batch"):
        take(weather_of(), gust, lake)
    take(weather_of(), gust.with_columns(gust=pl.lit(30.0)), lake)
    result = take(weather_of(), observed(8.0, day=2).with_columns(gust=None), lake, "2")
    assert (result.appended, result.reasons) == (1, {"gust holds no value": 1})


def test_an_empty_batch_appends_nothing(lake: Lake) -> None:
    result = take(weather_of(), observed(), lake)
    assert (result.rows, result.appended, result.stopped) == (0, 0, None)
    assert take(weather_of(), observed(8.0), lake, "2").appended == 1


def test_a_row_without_key_or_event_time_is_quarantined(lake: Lake) -> None:
    rows = pl.concat([observed(1.0), observed(2.0, origin=None), observed(3.0).with_columns(observed_at=None)])
    result = take(weather_of(), rows.with_columns(col("observed_at").cast(pl.Datetime("us", "UTC"))), lake)
    assert (result.appended, result.quarantined) == (1, 2)
    assert result.reasons == {"origin is null": 1, "observed_at is null": 1}


@pytest.mark.parametrize(("rule", "kept", "apart"), [("quarantine", [], 2), ("first", [1.0], 0), ("last", [2.0], 0)])
def test_rows_with_one_key_and_other_values_follow_the_rule(
    lake: Lake, rule: str, kept: list[float], apart: int
) -> None:
    source = weather_of(duplicates=rule)
    rows = pl.concat([observed(1.0), observed(2.0)])
    assert take(source, rows, lake).quarantined == apart
    assert known(source, lake, FEBRUARY)["wind_speed"].to_list() == kept
    take(source, rows, lake, "again")
    assert known(source, lake, FEBRUARY)["wind_speed"].to_list() == kept


@pytest.mark.parametrize(("rule", "kept"), [("first", [2.0]), ("last", [1.0])])
def test_the_same_rows_the_other_way_round_are_not_taken_for_those_that_were_read_before(
    tmp_path: Path, rule: str, kept: list[float]
) -> None:
    source = weather_of(duplicates=rule)
    rows = pl.concat([observed(1.0), observed(2.0)])
    take(source, rows, Lake(tmp_path / "one"))

    turned = Lake(tmp_path / "another")
    take(source, rows.reverse(), turned)

    assert known(source, turned, FEBRUARY)["wind_speed"].to_list() == kept


def test_what_becomes_known_later_comes_in_with_a_corrected_row_though_one_that_was_set_apart_tells_the_same(
    lake: Lake,
) -> None:
    source = weather_of(available_at="told_at", later={"checked_at": ["right"]})
    checked = observed(1048.0).with_columns(told_at=col("observed_at"), checked_at=pl.lit(FEBRUARY), right=True)
    corrected = checked.with_columns(wind_speed=10.48, told_at=pl.lit(FEBRUARY))

    result = take(source, pl.concat([checked, corrected]), lake)

    assert (result.appended, result.filled, result.quarantined) == (1, 1, 1)
    assert known(source, lake, FEBRUARY).select("wind_speed", "right").rows() == [(10.48, True)]


def test_a_newer_availability_is_a_correction(lake: Lake) -> None:
    source = weather_of(available_at="told_at")
    first = observed(1.0).with_columns(told_at=col("observed_at"))
    take(source, first, lake)
    take(source, first.with_columns(wind_speed=2.0, told_at=pl.lit(FEBRUARY)), lake, "2")
    assert known(source, lake, datetime(2013, 1, 20, tzinfo=UTC))["wind_speed"].to_list() == [1.0]
    assert known(source, lake, FEBRUARY)["wind_speed"].to_list() == [2.0]


def test_an_ingested_value_may_come_back_to_what_it_was(lake: Lake) -> None:
    source = weather_of(available_at=INGESTED)
    for day, wind in enumerate([1.0, 2.0, 1.0, 1.0], start=2):
        take(source, observed(wind), lake, str(day), datetime(2013, 1, day, tzinfo=UTC))
    now = [known(source, lake, datetime(2013, 1, day, tzinfo=UTC))["wind_speed"][0] for day in range(2, 6)]
    assert now == [1.0, 2.0, 1.0, 1.0]
    assert lake.read("sources/weather").height == 3


def test_a_timeless_row_that_changes_is_set_apart(lake: Lake) -> None:
    planes = Source("planes", read=nothing, key="tailnum", entity="tailnum", timeless=True)
    take(planes, pl.DataFrame({"tailnum": ["N1"], "seats": [9]}), lake)
    result = take(planes, pl.DataFrame({"tailnum": ["N1", "N2"], "seats": [10, 20]}), lake, "2")
    assert result.reasons == {"a timeless row changed": 1}
    assert lake.read("sources/planes")["seats"].to_list() == [9, 20]


def test_rows_outside_the_source_are_dropped_and_counted(lake: Lake) -> None:
    result = take(weather_of(keep=col("wind_speed") > 1), observed(1.0, 2.0, None), lake)
    assert (result.rows, result.appended, result.dropped, result.quarantined) == (3, 1, 2, 0)


def test_rows_and_later_columns_that_are_not_known_yet_do_not_exist_yet(lake: Lake) -> None:
    flights = Source("flights", read=nothing, key="flight", event_time="departs_at", available_at="announced_at",
                     later={"landed_at": ["delay"]})  # fmt: skip
    day = [datetime(2013, 1, day, tzinfo=UTC) for day in range(1, 10)]
    rows = pl.DataFrame({"flight": [1, 2], "departs_at": [day[3], day[4]], "announced_at": [day[0], day[2]],
                         "landed_at": [day[5], None], "delay": [7.0, None]})  # fmt: skip
    first = take(flights, rows, lake, "1", day[1])
    assert (first.rows, first.appended, first.filled) == (1, 1, 0)
    second = take(flights, rows, lake, "2", day[6])
    assert (second.rows, second.appended, second.filled, second.already_known) == (2, 1, 1, 1)
    assert known(flights, lake, day[4])["delay"].to_list() == [None, None]
    assert known(flights, lake, day[5])["delay"].to_list() == [7.0, None]


def test_a_local_hour_that_is_repeated_is_the_first_and_one_that_is_missing_is_set_apart(lake: Lake) -> None:
    orders = Source(
        "orders", read=nothing, key=ALL, event_time="at", available_at=after("at", "1h"), tz="Europe/London"
    )
    rows = pl.DataFrame({"at": [datetime(2012, 10, 28, 1, 30), datetime(2012, 3, 25, 1, 30), datetime(2012, 7, 1, 12)]})  # noqa: DTZ001
    result = take(orders, rows, lake)
    assert (result.appended, result.quarantined) == (2, 1)
    assert result.reasons == {
        "at in a repeated hour, read as the first": 1,
        "at is 2012-03-25 01:30:00.000000, which does not exist in Europe/London": 1,
    }
    assert sorted(lake.read("sources/orders")["at"]) == [
        datetime(2012, 7, 1, 11, tzinfo=UTC),
        datetime(2012, 10, 28, 0, 30, tzinfo=UTC),
    ]


def test_a_moment_without_zone_is_refused(lake: Lake) -> None:
    with pytest.raises(NaiveMomentError, match=r"as_of is .* which has no time zone"):
        take(weather_of(), observed(1.0), lake, as_of=datetime(2013, 1, 1))  # noqa: DTZ001


def test_an_undeclared_new_column_is_reported(lake: Lake) -> None:
    take(weather_of(), observed(8.0), lake)
    result = take(weather_of(), observed(8.0, 9.0).with_columns(moon=pl.lit("full")), lake, "2")
    assert (result.appended, result.unexpected_columns) == (1, ("moon",))


def test_a_column_with_a_name_of_ours_is_refused(lake: Lake) -> None:
    with pytest.raises(ReservedColumnError, match=r"has columns named \['_row', 'as_of'\]"):
        take(weather_of(), observed(8.0).with_columns(as_of=1, _row=2), lake)


def test_a_pandas_frame_is_taken_as_well(lake: Lake) -> None:
    assert ingest_batch(weather_of(), observed(8.0, 9.0).to_pandas(), lake, as_of=FEBRUARY, batch="1").appended == 2


def test_the_same_batch_again_answers_the_same_and_does_nothing(lake: Lake) -> None:
    first = take(weather_of(), observed(8.0, 1048.36), lake)
    version = lake.version("sources/weather")
    assert take(weather_of(), observed(8.0, 9.0, 10.0), lake) == first
    assert lake.version("sources/weather") == version


CRASHING = """
import os, signal, sys
sys.path[:0] = {path!r}
from feature_store.storage.lake import Lake
from test_ingest import FEBRUARY, observed, take, weather_of
commits = 0
def commit(self, *given, **named):
    global commits
    if commits == {crash_before}:
        os.kill(os.getpid(), signal.SIGKILL)
    commits += 1
    return whole(self, *given, **named)
whole, Lake._commit = Lake._commit, commit
take(weather_of(), observed(8.0, 1048.36, 9.0), Lake({root!r}))
"""


@pytest.mark.parametrize("crash_before", [1, 2])
def test_a_batch_that_was_killed_half_way_is_finished_by_the_next_try(tmp_path: Path, crash_before: int) -> None:
    undisturbed = Lake(tmp_path / "undisturbed")
    expected = take(weather_of(), observed(8.0, 1048.36, 9.0), undisturbed)
    root = tmp_path / "lake"
    script = CRASHING.format(
        path=[str(Path(__file__).parent), str(Path.cwd())], crash_before=crash_before, root=str(root)
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    lake = Lake(root)
    assert lake.has_batch("batches/weather", "1") is False
    assert take(weather_of(), observed(8.0, 1048.36, 9.0), lake) == expected
    assert lake.read("sources/weather").height == 2
    assert lake.read("quarantine/weather").height == 1


def test_moments_with_and_without_zone_in_one_column_are_refused(lake: Lake) -> None:
    mixed = [datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2)]  # noqa: DTZ001
    rows = pd.DataFrame({"origin": "JFK", "observed_at": pd.Series(mixed, dtype=object), "wind_speed": 1.0})
    with pytest.raises(MixedZonesError, match="Column 'observed_at' of 'weather' mixes moments with and without"):
        take(weather_of(), rows, lake)


def test_moments_of_several_zones_are_the_same_moments_in_utc(lake: Lake) -> None:
    east = datetime(2013, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    moments = pd.Series([datetime(2013, 1, 1, tzinfo=UTC), east, pd.NaT], dtype=object)
    rows = pd.DataFrame({"origin": "JFK", "observed_at": moments, "wind_speed": 1.0})
    assert take(weather_of(), rows, lake).appended == 2
    assert known(weather_of(), lake, FEBRUARY)["observed_at"].to_list() == [
        datetime(2013, 1, 1, tzinfo=UTC),
        datetime(2013, 1, 1, 22, tzinfo=UTC),
    ]


def test_a_column_declared_optional_may_come_later_and_rows_without_it_stay_known(lake: Lake) -> None:
    source = weather_of(optional="gust")
    take(source, observed(8.0, 9.0), lake)
    later = observed(8.0, 9.0, 10.0).with_columns(gust=pl.Series([None, None, 30.0]))

    result = take(source, later, lake, "2")

    assert (result.appended, result.already_known, result.quarantined) == (1, 2, 0)
    assert result.unexpected_columns == ()
    assert known(source, lake, FEBRUARY)["gust"].to_list() == [None, None, 30.0]
    assert take(source, observed(8.0, 9.0), lake, "3").already_known == 2, "a batch may lack it again"


def test_a_new_column_that_is_needed_but_not_declared_optional_is_refused(lake: Lake) -> None:
    take(weather_of(), observed(8.0), lake)
    needs = weather_of(derive={"gusty": col("gust") > 20})
    with pytest.raises(SchemaChangedError, match=r"gust is Float64, stored as nothing.*optional=\[\.\.\.\]"):
        take(needs, observed(8.0, 9.0).with_columns(gust=pl.lit(30.0)), lake, "2")
    assert lake.read("sources/weather").height == 1


def test_what_is_remembered_of_batches_is_bounded(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_remembered", OrderedDict())
    monkeypatch.setattr(arrivals, "_REMEMBERED_BYTES", 20_000)
    for number in range(4):
        many = observed(*[float(number)] * 20, origin=f"o{number}")
        take(weather_of(expect=[]), pl.concat([many] * 10), lake, str(number))
    assert 0 < len(arrivals._remembered) < 4
