"""From the lake to an answer, in LMDB and in Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import numpy as np
import polars as pl
import pytest
from polars import col

from feature_store.definitions.feature_view import Feature, derived, latest, recency, request, window
from feature_store.definitions.source import ALL, Source
from feature_store.definitions.spine import each, every, seen
from feature_store.errors import ColumnTypeError, MissingColumnsError, NaiveMomentError, SpecError, SumOverflowError
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.online.answers import Status
from feature_store.online.errors import (
    AskedOfThePastError,
    StoreAheadError,
    UnsupportedAggregateError,
    ViewNotMaterializedError,
)
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize, materializing
from feature_store.online.plan import OnlineViews
from feature_store.online.push import Rows, push
from feature_store.online.reader import OnlineReader
from feature_store.online.upkeep import expire, remove_others
from feature_store.storage.lake import Lake

START = datetime(2013, 3, 31, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


weather = Source("weather", read=nothing, key=["origin", "hour"], event_time="hour", available_at="told",
                 entity="origin")  # fmt: skip
spine = every("06:00", seen(weather, within="7d"))
TYPES = {"origin": pl.String()}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def rows(*given: tuple[str, float, float, float | None]) -> pl.DataFrame:
    """Rows from (origin, hour, hours until told, wind)."""
    raw = [(origin, at(hour), at(hour + lag), wind) for origin, hour, lag, wind in given]
    types = {"origin": pl.String(), "hour": UTC_US, "told": UTC_US, "wind": pl.Float64()}
    return pl.DataFrame(raw, schema=types, orient="row")


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


VIEWS: list[Feature] = [
    latest(weather, "wind", ttl="6h"),
    recency(weather),
    window(weather, mean=col("wind").mean(), rows=pl.len(), over=["3h", "24h"]),
]
ONLINE = OnlineViews(VIEWS, spine)


def test_a_read_ten_minutes_and_three_days_after_the_last_write_has_aged(lake, open_store) -> None:
    ingest_batch(weather, rows(*(("JFK", hour, 0.1, float(hour)) for hour in range(24))), lake, as_of=at(24), batch="1")
    store = open_store()
    materialize(ONLINE, lake, store, as_of=at(24))
    reader = OnlineReader(ONLINE, store, types=TYPES)

    for later in (timedelta(0), timedelta(minutes=10), timedelta(hours=7), timedelta(days=3)):
        asked = pl.DataFrame({"origin": ["JFK", "EWR", None], "as_of": [at(24) + later] * 3}).cast({"as_of": UTC_US})
        wanted = features(VIEWS, asked, lake, spine=spine)
        assert reader.frame(asked).equals(wanted)
        assert (
            reader.read([{"origin": name} for name in asked["origin"]], at(24) + later).rows
            == wanted.select(ONLINE.names).rows()
        )
    young, old = (reader.read([{"origin": "JFK"}], at(24) + later) for later in (timedelta(0), timedelta(days=3)))
    assert young.values() == {"wind": 23.0, "weather_recency_days": 1 / 24, "mean_3h": 22.5, "rows_3h": 2,
                              "mean_24h": 12.0, "rows_24h": 23}  # fmt: skip
    assert old.values()["rows_24h"] == 0
    assert young.status()["mean_24h"] is Status.FOUND
    assert old.status() == {"weather_recency_days": Status.FOUND} | dict.fromkeys(
        ["wind", "mean_3h", "rows_3h", "mean_24h", "rows_24h"], Status.STALE
    )
    assert set(reader.read([{"origin": "EWR"}], at(24)).status().values()) == {Status.MISSING}


def test_pushed_rows_reach_lake_and_reader_once(lake, open_store) -> None:
    store = open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(1), batch="1")
    materialize(ONLINE, lake, store, as_of=at(1))
    reader = OnlineReader(ONLINE, store, types=TYPES)

    pushed = push(Rows(weather, rows(("JFK", 2, 0, 5.0)), "2"), ONLINE, lake, store, as_of=at(2))
    again = push(Rows(weather, rows(("JFK", 2, 0, 5.0)), "2"), ONLINE, lake, store, as_of=at(2))

    assert (pushed.ingested.appended, pushed.online.records) == (1, 3)
    assert again.online.records == 0
    assert reader.read([{"origin": "JFK"}], at(2)).values()["wind"] == 5.0
    assert lake.read("sources/weather").height == 2


def test_a_reader_beside_a_run_loses_no_read(lake, open_store) -> None:
    entities = [f"origin {number}" for number in range(300)]
    for hour in (0, 1):
        batch = rows(*((name, hour, 0, float(hour)) for name in entities))
        ingest_batch(weather, batch, lake, as_of=at(hour), batch=str(hour))
        if hour == 0:
            materialize(ONLINE, lake, open_store(), as_of=at(0))
    reader = OnlineReader(ONLINE, open_store(readonly=True), types=TYPES)
    asked, seen_, stop = [{"origin": name} for name in entities], set(), Event()

    def read_on() -> int:
        times = 0
        while not stop.is_set() or not times:
            seen_.update(row[0] for row in reader.read(asked, at(1)).rows)
            times += 1
        return times

    with ThreadPoolExecutor() as beside:
        reading = beside.submit(read_on)
        for _ in materializing(ONLINE, lake, open_store(), as_of=at(1), chunk_rows=10):
            assert not reading.done() or reading.result()
        stop.set()
        assert reading.result() > 0

    assert seen_ <= {0.0, 1.0}
    assert {row[0] for row in reader.read(asked, at(1)).rows} == {1.0}


def test_a_late_row_with_an_old_availability_still_gets_in(lake, open_store) -> None:
    store = open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(9), batch="1")
    materialize(ONLINE, lake, store, as_of=at(9))
    ingest_batch(weather, rows(("JFK", 5, 0, 7.0)), lake, as_of=at(9), batch="2")

    done = materialize(ONLINE, lake, store, as_of=at(9))

    assert done.records == 3
    assert OnlineReader(ONLINE, store, types=TYPES).read([{"origin": "JFK"}], at(9)).values()["wind"] == 7.0


def test_rows_equal_in_both_times_are_told_apart_by_content_whichever_came_first(tmp_path) -> None:
    gauges = Source("gauges", read=nothing, key="gauge", event_time="hour", available_at="told", entity="origin")
    views: list[Feature] = [latest(gauges, "wind", ttl="9h"), window(gauges, last=col("wind").last(), over="9h")]
    online, types = OnlineViews(views, every("06:00", seen(gauges, within="9d"))), {"gauge": pl.Int64(), **TYPES}
    given = [rows(("JFK", 1, 0, float(wind))).with_columns(gauge=pl.lit(wind)) for wind in range(5)]
    asked = pl.DataFrame({"origin": ["JFK"], "as_of": [at(3)]}).cast({"as_of": UTC_US})
    found = set()

    for number, order in enumerate([(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 4, 0, 1, 3)]):
        lake, store = Lake(tmp_path / str(number)), LmdbStore(tmp_path / f"online {number}")
        for place in order:
            ingest_batch(gauges, given[place], lake, as_of=at(2), batch=str(place))
            materialize(online, lake, store, as_of=at(2))
        offline = features(views, asked, lake, spine=online.spine).select(online.names).rows()
        assert OnlineReader(online, store, types=types).read(asked.to_dicts(), at(3)).rows == offline
        found |= set(offline)

    assert len(found) == 1
    (answer,) = found
    assert answer[0] == answer[1]


def test_a_correction_that_moves_a_row_to_another_entity_leaves_none_behind(lake, open_store) -> None:
    tails = Source("tails", read=nothing, key="flight", event_time="hour", available_at="told", entity="tail")
    online = OnlineViews([latest(tails, "seats", ttl="9d")], every("06:00", seen(tails, within="9d")))
    types = {"flight": pl.Int64(), "tail": pl.Int32(), "hour": UTC_US, "told": UTC_US, "seats": pl.Int8()}
    first = pl.DataFrame([(1, 7, at(0), at(0), 50)], schema=types, orient="row")
    moved = pl.DataFrame([(1, 8, at(0), at(2), 50)], schema=types, orient="row")
    store = open_store()
    ingest_batch(tails, first, lake, as_of=at(1), batch="1")
    materialize(online, lake, store, as_of=at(1))

    done = push(Rows(tails, moved, "2"), online, lake, store, as_of=at(2)).online

    assert done.removed == 1
    reader = OnlineReader(online, store, types={"tail": pl.Int32()})
    answer = reader.read([{"tail": 7}, {"tail": 8}], at(3))
    assert answer.rows == [(None,), (50,)]
    assert answer.status(0) == {"seats": Status.MISSING}


def test_a_changed_definition_is_written_beside_the_old_one(lake, open_store) -> None:
    store = open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(1), batch="1")
    old, new = (OnlineViews([latest(weather, "wind", ttl=ttl)], spine) for ttl in ("6h", "9h"))
    materialize(old, lake, store, as_of=at(1))

    with pytest.raises(ViewNotMaterializedError, match=r"does not hold latest\(weather\) as defined now"):
        OnlineReader(new, store, types=TYPES)
    materialize(new, lake, store, as_of=at(1))

    read = [OnlineReader(one, store, types=TYPES).read([{"origin": "JFK"}], at(8)).rows for one in (old, new)]
    assert read == [[(None,)], [(1.0,)]]
    assert remove_others([new], store) == ["latest(weather)"]
    assert OnlineReader(new, store, types=TYPES).read([{"origin": "JFK"}], at(8)).rows == [(1.0,)]
    with pytest.raises(ViewNotMaterializedError):
        OnlineReader(old, store, types=TYPES)


@pytest.mark.parametrize(
    "views",
    [
        [recency(weather, name="idle")],
        [window(weather, mean=col("wind").mean(), rows=pl.len(), over="1d")],
        [recency(weather), recency(weather, name="idle")],
        [window(weather, n=pl.len(), over="24h"), window(weather, n=pl.len(), over="1d")],
    ],
)
def test_a_view_that_only_calls_its_features_otherwise_is_read_from_the_same_records(lake, open_store, views) -> None:
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(1), batch="1")
    store, online = open_store(), OnlineViews(views, spine)
    earlier = [recency(weather), window(weather, mean=col("wind").mean(), rows=pl.len(), over="24h")]
    for one in (OnlineViews(earlier, spine), online):
        materialize(one, lake, store, as_of=at(1))
    asked = pl.DataFrame({"origin": ["JFK"], "as_of": [at(2)]}).cast({"as_of": UTC_US})

    served = OnlineReader(online, store, types=TYPES).frame(asked)

    assert served.equals(features(views, asked, lake, spine=spine))


def test_expired_records_are_removed_and_no_value_changes(lake, open_store) -> None:
    store = open_store()
    given = rows(("JFK", 0, 0, 1.0), ("EWR", 19, 0, None), ("LGA", 90, -90, 2.0))
    ingest_batch(weather, given, lake, as_of=at(20), batch="1")
    materialize(ONLINE, lake, store, as_of=at(20))
    reader = OnlineReader(ONLINE, store, types=TYPES)
    asked = [{"origin": name} for name in ("JFK", "EWR", "LGA")]
    before = [reader.read(asked, at(hours)).rows for hours in (32, 91)]

    assert expire(ONLINE, store, as_of=at(32)) == 3

    assert [reader.read(asked, at(hours)).rows for hours in (32, 91)] == before
    assert reader.read(asked, at(32)).status(0)["wind"] is Status.MISSING
    assert reader.read(asked, at(32)).status(2)["wind"] is Status.STALE


def test_a_derived_feature_is_made_by_the_same_function(lake, open_store) -> None:
    def hour_of_day(asked: pl.DataFrame) -> pl.Series:
        return asked["as_of"].dt.hour()

    views: list[Feature] = [
        latest(weather, "wind", ttl="6h"), request("origin"), derived(hour_of_day, (col("origin") + "!").alias("loud"))
    ]  # fmt: skip
    online, store = OnlineViews(views, spine), open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(1), batch="1")
    materialize(online, lake, store, as_of=at(1))

    answer = OnlineReader(online, store, types=TYPES).read([{"origin": "JFK"}, {"origin": "LGA"}], at(3))

    assert answer.rows == [(1.0, "JFK", 3, "JFK!"), (None, "LGA", 3, "LGA!")]


def test_a_question_about_the_past_is_refused_where_the_store_has_forgotten(lake, open_store) -> None:
    store = open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0), ("JFK", 5, 0, 2.0)), lake, as_of=at(6), batch="1")
    materialize(ONLINE, lake, store, as_of=at(6))
    reader = OnlineReader(ONLINE, store, types=TYPES)

    assert reader.read([{"origin": "JFK"}], at(5.5)).values()["wind"] == 2.0
    with pytest.raises(AskedOfThePastError, match="2013-03-31 04:00:00"):
        reader.read([{"origin": "JFK"}], at(4))


def test_a_store_that_is_ahead_is_not_brought_back(lake, open_store, tmp_path) -> None:
    store = open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(6), batch="1")
    materialize(ONLINE, lake, store, as_of=at(6))
    other = Lake(tmp_path / "other")
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)).clear(), other, as_of=at(6), batch="1")

    with pytest.raises(StoreAheadError, match="has taken in as of 2013-03-31 06:00"):
        materialize(ONLINE, lake, store, as_of=at(5))
    with pytest.raises(StoreAheadError, match="1 rows of sources/weather"):
        materialize(ONLINE, other, store, as_of=at(7))


def test_questions_of_another_type_are_refused_and_not_read_as_missing(lake, open_store) -> None:
    store = open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0)), lake, as_of=at(1), batch="1")
    materialize(ONLINE, lake, store, as_of=at(1))

    with pytest.raises(ColumnTypeError, match="Column 'origin' of 'questions' is Int64, expected String"):
        OnlineReader(ONLINE, store, types={"origin": pl.Int64()})
    with pytest.raises(MissingColumnsError, match=r"lacks \['origin'\]"):
        OnlineReader(ONLINE, store, types={"dest": pl.String()})
    reader = OnlineReader(ONLINE, store, types=TYPES)
    with pytest.raises(ColumnTypeError, match="Column 'origin' of 'questions' is 7, expected String"):
        reader.read([{"origin": 7}], at(1))
    with pytest.raises(MissingColumnsError, match=r"lacks \['origin'\]"):
        reader.read([{"dest": "JFK"}], at(1))
    with pytest.raises(NaiveMomentError):
        reader.read([{"origin": "JFK"}], at(1).replace(tzinfo=None))


@pytest.mark.parametrize("entity", [["who"], ["who", "hour"]])
def test_a_whole_number_of_numpy_names_the_same_entity(lake, open_store, entity: list[str]) -> None:
    counts = Source("counts", read=nothing, key="n", event_time="hour", available_at="hour", entity=entity)
    online, store = OnlineViews([recency(counts)], every("06:00", seen(counts, within="7d"))), open_store()
    types = {"n": pl.Int64(), "who": pl.Int64(), "hour": UTC_US}
    ingest_batch(counts, pl.DataFrame([(1, -7, at(0))], schema=types, orient="row"), lake, as_of=at(1), batch="1")
    materialize(online, lake, store, as_of=at(1))
    reader = OnlineReader(online, store, types=types)

    answers = [reader.read([{"who": who, "hour": at(0)}], at(24)).rows for who in (-7, np.int64(-7), np.int8(-7))]

    assert answers == [[(1.0,)]] * 3


def test_an_aggregate_that_cannot_be_kept_up_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedAggregateError, match=r"Feature 'share' is .*, which cannot be kept up online"):
        OnlineViews([window(weather, share=col("wind").sum() / col("wind").len(), over="3h")], spine)


def test_a_ttl_below_zero_is_refused() -> None:
    with pytest.raises(SpecError, match="ttl is below zero"):
        latest(weather, "wind", ttl=timedelta(hours=-1))


def test_a_whole_sum_beyond_64_bits_is_refused_online_too(lake, open_store) -> None:
    counts = Source("counts", read=nothing, key="n", event_time="hour", available_at="told", entity="who")
    online = OnlineViews(
        [window(counts, total=col("large").sum(), over="9h")], every("06:00", seen(counts, within="9d"))
    )
    types = {"n": pl.Int64(), "who": pl.Boolean(), "hour": UTC_US, "told": UTC_US, "large": pl.Int64()}
    given = [(number, True, at(number / 100), at(number / 100), 2**62) for number in range(40)]
    ingest_batch(counts, pl.DataFrame(given, schema=types, orient="row"), lake, as_of=at(1), batch="1")
    store = open_store()
    materialize(online, lake, store, as_of=at(1))

    with pytest.raises(SumOverflowError):
        OnlineReader(online, store, types={"who": pl.Boolean()}).read([{"who": True}], at(1))


def test_a_question_that_may_be_a_row_brings_the_key_of_its_row(lake, open_store) -> None:
    online, store = OnlineViews(VIEWS, each(weather, as_of="hour")), open_store()
    ingest_batch(weather, rows(("JFK", 0, 0, 1.0), ("JFK", 1, 0, 2.0)), lake, as_of=at(1), batch="1")
    materialize(online, lake, store, as_of=at(1))

    with pytest.raises(MissingColumnsError, match="may be rows of the source that asks"):
        OnlineReader(online, store, types=TYPES)
    reader = OnlineReader(online, store, types=TYPES | {"hour": UTC_US})
    assert reader.read([{"origin": "JFK", "hour": at(1)}], at(1)).values()["wind"] == 1.0
    new = OnlineReader(online, store, types=TYPES, new_questions=True)
    assert new.read([{"origin": "JFK"}], at(1)).values()["wind"] == 2.0


def test_a_question_that_is_a_row_without_an_optional_value_is_left_out_of_its_own_window(lake, open_store) -> None:
    visits = Source("visits", read=nothing, key=ALL, event_time="came", available_at="came", optional="tip")
    online, store = OnlineViews([window(visits, visits=pl.len(), over="1d")], each(visits, as_of="came")), open_store()
    came = pl.DataFrame({"came": [at(0), at(1)], "tip": [2.0, None]}, schema={"came": UTC_US, "tip": pl.Float64()})
    ingest_batch(visits, came, lake, as_of=at(1), batch="1")
    materialize(online, lake, store, as_of=at(1))

    reader = OnlineReader(online, store, types=came.schema)

    assert reader.read(came.rows(named=True), at(1)).rows == [(1,), (1,)]
