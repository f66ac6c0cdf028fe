"""What several models share in one store, and how far it has come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars import col

from feature_store.definitions.feature_view import latest, window
from feature_store.definitions.source import Source
from feature_store.definitions.spine import every, seen
from feature_store.intake.ingest import ingest_batch
from feature_store.online.answers import Status
from feature_store.online.catalog import entries, entry_key
from feature_store.online.claims import claim, expire_daily, release
from feature_store.online.errors import ViewNotMaterializedError
from feature_store.online.keys import RECORDS
from feature_store.online.materialize import materialize, materializing
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.online.standing import Standing, standings
from feature_store.online.store import Changes
from feature_store.storage.lake import Lake

START = datetime(2013, 1, 1, tzinfo=UTC)


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


meters = Source("meters", read=nothing, key=["meter", "hour"], event_time="hour", available_at="hour", entity="meter")
spine = every("06:00", seen(meters, within="9d"))
NEWEST = OnlineViews([latest(meters, "flow", ttl="6h")], spine)
TOTAL = OnlineViews([window(meters, total=col("flow").sum(), over="6h")], spine)
TYPES = {"meter": pl.Int64()}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake")
    take_in(lake, 0)
    return lake


def take_in(lake: Lake, hour: int) -> None:
    rows = pl.DataFrame({"meter": [1, 2], "hour": [at(hour)] * 2, "flow": [1.0, 2.0]})
    ingest_batch(meters, rows.cast({"hour": pl.Datetime("us", "UTC")}), lake, as_of=at(hour), batch=str(hour))


def flow_of(online: OnlineViews, store, hours: float) -> object:
    return OnlineReader(online, store, types=TYPES).read([{"meter": 2}], at(hours)).rows[0][0]


def test_a_view_is_removed_when_the_last_model_that_claimed_it_releases_it(lake, open_store) -> None:
    store = open_store()
    for model, read in (("rain", [NEWEST]), ("snow", [NEWEST, TOTAL])):
        claim(model, read, store)
        for online in read:
            materialize(online, lake, store, as_of=at(0))

    assert release("snow", [], store) == ["window(meters)"]
    assert flow_of(NEWEST, store, 0) == 2.0
    with pytest.raises(ViewNotMaterializedError):
        flow_of(TOTAL, store, 0)
    assert release("rain", [TOTAL], store) == ["latest(meters)"]


def test_a_view_that_nobody_claimed_is_left_alone(lake, open_store) -> None:
    store = open_store()
    materialize(NEWEST, lake, store, as_of=at(0))

    assert release("rain", [], store) == []

    assert flow_of(NEWEST, store, 0) == 2.0


def test_what_was_removed_is_an_error_for_its_readers_and_never_missing(lake, open_store) -> None:
    store = open_store()
    claim("rain", [NEWEST], store)
    materialize(NEWEST, lake, store, as_of=at(0))
    reader = OnlineReader(NEWEST, open_store(readonly=True), types=TYPES)
    asked = [{"meter": 2}, {"meter": 3}]
    assert reader.read(asked, at(0)).status(1) == {"flow": Status.MISSING}
    take_in(lake, 1)
    materialize(NEWEST, lake, store, as_of=at(1))
    assert reader.read(asked, at(1)).status(1) == {"flow": Status.MISSING}

    release("rain", [], store)

    for questions in (asked, asked[:1]):
        with pytest.raises(ViewNotMaterializedError, match=r"does not hold latest\(meters\) as defined now"):
            reader.read(questions, at(1))


def test_a_removal_that_was_killed_leaves_nothing_to_be_read_and_is_made_up_for(lake, open_store) -> None:
    store = open_store()
    claim("rain", [NEWEST], store)
    materialize(NEWEST, lake, store, as_of=at(0))
    reader = OnlineReader(NEWEST, open_store(readonly=True), types=TYPES)
    (part,) = NEWEST.parts
    (entry,) = entries([part], store)
    ending = bytes.fromhex(entry.serving.ending)
    first = next(key for key, _ in store.scan(RECORDS, ending))
    closed = replace(entry, serving=None, building=entry.serving)

    store.write(Changes(put=[(entry_key(part.view), closed.encoded())], delete=[first]))

    with pytest.raises(ViewNotMaterializedError):
        reader.read([{"meter": 1}, {"meter": 2}], at(0))
    assert release("rain", [], store) == ["latest(meters)"]
    assert list(store.scan(RECORDS, ending)) == []
    materialize(NEWEST, lake, store, as_of=at(0))
    assert flow_of(NEWEST, store, 0) == 2.0


def test_a_claim_is_kept_by_a_run_that_was_killed_before_it_released(lake, open_store) -> None:
    store = open_store()
    claim("rain", [NEWEST], store)
    materialize(NEWEST, lake, store, as_of=at(0))

    claim("rain", [TOTAL], store)

    assert release("rain", [TOTAL], store) == ["latest(meters)"]


def test_expired_records_are_removed_once_a_day(lake, open_store) -> None:
    store = open_store()
    claim("rain", [NEWEST], store)
    materialize(NEWEST, lake, store, as_of=at(0))

    assert expire_daily("rain", [NEWEST], store, as_of=at(7)) == 2
    take_in(lake, 8)
    materialize(NEWEST, lake, store, as_of=at(8))

    assert expire_daily("rain", [NEWEST], store, as_of=at(30)) == 0
    assert flow_of(NEWEST, store, 9) == 2.0
    assert expire_daily("rain", [NEWEST], store, as_of=at(31)) == 2


def test_how_far_the_store_has_come_is_told_part_by_part(lake, open_store) -> None:
    store = open_store()

    assert standings(NEWEST, store, lake) == [Standing(("flow",), None, 2, under_way=False)]
    run = materializing(NEWEST, lake, store, as_of=at(0), chunk_rows=1)
    first = next(run)
    assert (first.view, first.done, first.todo, first.last) == ("latest(meters)", 1, 2, False)
    assert standings(NEWEST, store, lake) == [Standing(("flow",), None, 2, under_way=True)]
    assert [(batch.done, batch.last) for batch in run] == [(2, False), (2, True)]
    assert standings(NEWEST, store, lake) == [Standing(("flow",), at(0), 0, under_way=False)]
    take_in(lake, 3)
    assert standings(NEWEST, store, lake) == [Standing(("flow",), at(0), 2, under_way=False)]


def test_a_store_that_stands_there_already_is_not_written(lake, open_store) -> None:
    store = open_store()
    materialize(NEWEST, lake, store, as_of=at(0))

    assert list(materializing(NEWEST, lake, store, as_of=at(0))) == []
    assert [batch.last for batch in materializing(NEWEST, lake, store, as_of=at(1))] == [True]
