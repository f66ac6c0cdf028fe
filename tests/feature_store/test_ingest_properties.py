"""However rows are split into batches, in whatever order and however often they come: the facts are the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars import col

from feature_store.definitions.source import Source, after
from feature_store.intake.ingest import ingest_batch
from feature_store.storage.lake import Lake
from feature_store.storage.tables import known, source_digest

START = datetime(2013, 1, 1, tzinfo=UTC)
END = START + timedelta(days=400)
MOMENT = pl.Datetime("us", "UTC")

weather = Source(
    "weather", read=pl.DataFrame, key=["origin", "hour"], event_time="hour", available_at="told_at", entity="origin",
    optional="gust",
)  # fmt: skip
parcels = Source(
    "parcels", read=pl.DataFrame, key="parcel", event_time="sent_at", available_at=after("sent_at", "1h"),
    later={"arrived_at": ["weight"]},
)  # fmt: skip


def at(hours: int) -> datetime:
    return START + timedelta(hours=hours)


@st.composite
def weather_rows(draw: st.DrawFn) -> pl.DataFrame:
    """Values and their corrections: the same hour told again later, never twice at one moment."""
    told = draw(
        st.lists(
            st.tuples(st.sampled_from(["EWR", "JFK", "LGA", "ü"]), st.integers(0, 5), st.integers(0, 9)),
            unique=True,
            max_size=14,
        )
    )
    value = st.none() | st.floats(0, 99, width=32)
    rows = [
        {"origin": o, "hour": at(h), "told_at": at(h + late), "wind": draw(value), "gust": draw(value)}
        for o, h, late in told
    ]
    schema = {"origin": pl.String, "hour": MOMENT, "told_at": MOMENT, "wind": pl.Float64, "gust": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


@st.composite
def parcel_rows(draw: st.DrawFn) -> pl.DataFrame:
    rows = []
    for parcel in range(draw(st.integers(0, 8))):
        sent, took = draw(st.integers(0, 50)), draw(st.none() | st.integers(1, 60))
        arrived = None if took is None else at(sent + took)
        rows.append({"parcel": parcel, "sent_at": at(sent), "arrived_at": arrived, "weight": 1.5 if took else None})
    schema = {"parcel": pl.Int64, "sent_at": MOMENT, "arrived_at": MOMENT, "weight": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def pieces(rows: pl.DataFrame, chance: Random) -> list[pl.DataFrame]:
    """The rows in batches of any size, some of them twice, in any order; a batch may lack an empty optional column."""
    shuffled = rows.sample(fraction=1, shuffle=True, seed=chance.randrange(2**31))
    found = []
    while shuffled.height:
        size = chance.randint(1, shuffled.height)
        piece, shuffled = shuffled[:size], shuffled[size:]
        found += [piece] * chance.choice([1, 1, 2])
    chance.shuffle(found)
    lacking = [one.drop("gust") if "gust" in one.columns and one["gust"].is_null().all() else one for one in found]
    return [rows.clear(), *lacking]


def facts(source: Source, lake: Lake) -> list[object]:
    moments = [at(hours) for hours in (0, 3, 7, 20, 60, 200)]
    rows = known(source, lake, END)
    return [
        [source_digest(source, lake, moment) for moment in moments],
        rows.select(sorted(rows.columns)).sort(source.key_columns or ()).rows(),
        lake.exists(f"quarantine/{source.name}"),
    ]


@settings(max_examples=12)
@given(data=st.data(), chance=st.randoms(use_true_random=False), compacts=st.booleans())
def test_any_split_in_any_order_with_repeats_ends_in_the_same_facts(
    folder: Path, data: st.DataObject, chance: Random, compacts: bool
) -> None:
    source, rows = data.draw(st.one_of(st.tuples(st.just(weather), weather_rows()),
                                       st.tuples(st.just(parcels), parcel_rows())))  # fmt: skip
    whole = Lake(tempfile.mkdtemp(dir=folder))
    ingest_batch(source, rows, whole, as_of=END, batch="whole")

    split = Lake(tempfile.mkdtemp(dir=folder))
    for number, piece in enumerate(pieces(rows, chance)):
        result = ingest_batch(source, piece, split, as_of=END, batch=f"{number}")
        assert ingest_batch(source, piece, split, as_of=END, batch=f"{number}") == result
        if compacts and chance.random() < 0.3:
            split.compact(f"sources/{source.name}")

    assert facts(source, Lake(split.root)) == facts(source, split) == facts(source, whole)
    assert split.read(f"sources/{source.name}").height == rows.height


@settings(max_examples=6)
@given(rows=weather_rows().filter(lambda rows: rows.height > 0))
def test_a_correction_counts_from_its_moment_whatever_comes_first(folder: Path, rows: pl.DataFrame) -> None:
    lake = Lake(tempfile.mkdtemp(dir=folder))
    for number, row in enumerate(rows.sort("told_at", descending=True).iter_slices(1)):
        ingest_batch(weather, row, lake, as_of=END, batch=str(number))
    for moment in (at(4), at(8), END):
        by_hand = (
            rows.filter(col("told_at") <= moment).sort("told_at").unique(["origin", "hour"], keep="last")
            .select("origin", "hour", "wind")
        )  # fmt: skip
        found = known(weather, lake, moment).select("origin", "hour", "wind")
        assert found.sort("origin", "hour").equals(by_hand.sort("origin", "hour"))
