"""The properties of time, from raw rows to training sets."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars import col

from feature_store.definitions.feature_view import Feature, derived, latest, recency, request, window
from feature_store.definitions.source import ALL, Source, after
from feature_store.definitions.spine import Spine, each, every, seen
from feature_store.digest import content_digest, row_digests
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.offline.labels import Label, LabelSpec, ahead, labels
from feature_store.offline.partitions import Partitioning
from feature_store.offline.questions import questions
from feature_store.offline.training_set import Definition, rebuild, training_set
from feature_store.storage.lake import Lake
from feature_store.storage.tables import known, source_digest

FOLDERS = tempfile.TemporaryDirectory(prefix="incumbent-lakes-")
START = datetime(2013, 1, 1, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


flights = Source(
    "flights",
    read=nothing,
    key="flight",
    event_time="departs_at",
    available_at="announced_at",
    later={"left_at": ["wait"], "landed_at": ["delay"]},
    derive={"late": col("delay") > 1, "gained": col("delay") - col("wait")},
)
weather = Source(
    "weather", read=nothing, key=["origin", "hour"], event_time="hour", available_at="told_at", entity="origin"
)
orders = Source("orders", read=nothing, key=ALL, event_time="bought_at", available_at=after("bought_at", "1h"),
                entity="customer")  # fmt: skip

flight_spine = each(flights, as_of="asked_at")
flight_views: list[Feature] = [
    request("origin"),
    derived(col("asked_at").dt.hour().alias("hour_of_day")),
    latest(weather, "wind", ttl="12h"),
    latest(flights, "gained", ttl="40h"),
    window(flights, delay=col("delay").mean(), wait=col("wait").max(), gained=col("gained").sum(), over=["9h", "30h"],
           by="origin"),
    window(flights, delays=col("late").sum(), known=pl.len(), over="30h", by=[]),
]  # fmt: skip
flight_label = Label("late", deadline="8h")

order_spine = every("06:00", seen(orders, within="3d"))
order_views: list[Feature] = [
    recency(orders),
    window(orders, spent=col("price").sum(), kinds=col("item").n_unique(), over=["1d", "3d"]),
]
order_label = ahead(orders, col("price").len() > 0, over="1d", allowed_lateness="2h")

a_flight = st.fixed_dictionaries(
    {
        "flight": st.integers(1, 8),
        "departs": st.integers(0, 60),
        "notice": st.integers(3, 20),
        "origin": st.sampled_from(["JFK", "EWR"]),
        "wait": st.one_of(st.none(), st.integers(0, 6)),
        "flown": st.integers(1, 6),
        "delay": st.one_of(st.none(), st.floats(-3, 9)),
    }
)
a_weather = st.fixed_dictionaries(
    {
        "origin": st.sampled_from(["JFK", "EWR"]),
        "hour": st.integers(0, 60),
        "lag": st.integers(0, 9),
        "wind": st.one_of(st.none(), st.floats(0, 50)),
    }
)
an_order = st.fixed_dictionaries(
    {
        "customer": st.integers(1, 3),
        "bought": st.integers(0, 150),
        "item": st.sampled_from("ab"),
        "price": st.floats(0.01, 9),
    }
)


def frame_of_flights(raw: list[dict[str, Any]]) -> pl.DataFrame:
    rows = []
    for one in raw:
        left = None if one["wait"] is None else at(one["departs"] + one["wait"])
        rows.append(
            {
                "flight": one["flight"],
                "departs_at": at(one["departs"]),
                "announced_at": at(one["departs"] - one["notice"]),
                "asked_at": at(one["departs"] - 2),
                "origin": one["origin"],
                "left_at": left,
                "wait": one["wait"],
                "landed_at": None if left is None else left + timedelta(hours=one["flown"]),
                "delay": one["delay"],
            }
        )
    times = dict.fromkeys(("departs_at", "announced_at", "asked_at", "left_at", "landed_at"), UTC_US)
    types = {"flight": pl.Int64, "origin": pl.String, "wait": pl.Int64, "delay": pl.Float64}
    order = ["flight", "departs_at", "announced_at", "asked_at", "origin", "left_at", "wait", "landed_at", "delay"]
    return pl.DataFrame(rows, schema={name: (types | times)[name] for name in order})


def frame_of_weather(raw: list[dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {"origin": one["origin"], "hour": at(one["hour"]), "told_at": at(one["hour"] + one["lag"]), "wind": one["wind"]}
        for one in raw
    ]
    return pl.DataFrame(rows, schema={"origin": pl.String, "hour": UTC_US, "told_at": UTC_US, "wind": pl.Float64})


def frame_of_orders(raw: list[dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {"customer": one["customer"], "bought_at": at(one["bought"]), "item": one["item"], "price": one["price"]}
        for one in raw
    ]
    return pl.DataFrame(
        rows, schema={"customer": pl.Int64, "bought_at": UTC_US, "item": pl.String, "price": pl.Float64}
    )


World = dict[Source, pl.DataFrame]
some_flights = st.lists(a_flight, max_size=14).map(frame_of_flights)
some_weather = st.lists(a_weather, max_size=12).map(frame_of_weather)
some_orders = st.lists(an_order, max_size=14).map(frame_of_orders)


def lake_of(world: World, until: list[datetime], *, empty_first: bool = True) -> Lake:
    """A lake into which the whole of each frame was offered at each of the moments."""
    lake = Lake(Path(tempfile.mkdtemp(dir=FOLDERS.name)) / "lake")
    for source, frame in world.items():
        if empty_first:
            ingest_batch(source, frame.clear(), lake, as_of=START - timedelta(days=9), batch="none")
        for number, moment in enumerate(until):
            ingest_batch(source, frame, lake, as_of=moment, batch=f"batch {number}")
    return lake


def answers(lake: Lake, spine: Spine, views: list[Feature], label: LabelSpec, as_of: datetime) -> str:
    """A digest of everything one could ask at `as_of`."""
    asked = questions(spine, lake, None, as_of)
    told = labels(label, spine, features(views, asked, lake, spine=spine), lake, as_of)
    return content_digest([row_digests(told), row_digests(asked.with_row_index())])


FAR = at(24 * 9)


def without_contradictions(planned: pl.DataFrame) -> pl.DataFrame:
    """Only flights that nothing contradicts: of rows that do, those of one batch are all set apart, but what an
    earlier batch has stored stays, so for them it does matter what came first."""
    for moment in ("announced_at", "left_at", "landed_at"):
        first = pl.struct("flight", moment).is_first_distinct()
        planned = planned.filter(first | col(moment).is_null())
    return planned


@settings(max_examples=8, deadline=None)
@given(some_flights, some_weather, some_orders, st.integers(10, 70), st.integers(1, 60))
def test_the_future_cannot_change_the_past(planned, told, bought, now, step) -> None:
    world = {flights: planned.unique(["flight", "announced_at"], keep="first", maintain_order=True),
             weather: told.unique(["origin", "hour", "told_at"], keep="first", maintain_order=True),
             orders: bought}  # fmt: skip
    then = lake_of(world, [at(now)])
    later = lake_of(world, [at(now), at(now + step), FAR])
    for spine, views, label in ((flight_spine, flight_views, flight_label), (order_spine, order_views, order_label)):
        assert answers(then, spine, views, label, at(now)) == answers(later, spine, views, label, at(now))
        before = training_set(Definition(views, label, spine), then, None, at(now))
        after_ = training_set(Definition(views, label, spine), later, None, at(now))
        assert before.frame.equals(after_.frame)
    for source in world:
        assert source_digest(source, then, at(now)) == source_digest(source, later, at(now))
        assert known(source, then, at(now)).equals(known(source, later, at(now)))


@settings(max_examples=8, deadline=None)
@given(some_flights, some_orders, st.randoms(use_true_random=False), st.integers(10, 70))
def test_the_order_of_arrival_does_not_matter(planned, bought, random, now) -> None:
    planned = without_contradictions(planned)
    for source, frame, spine, views, label in (
        (flights, planned, flight_spine, flight_views, flight_label),
        (orders, bought, order_spine, order_views, order_label),
    ):
        shuffled = frame[random.sample(range(frame.height), frame.height)]
        cut = random.randint(0, frame.height)
        in_order, in_pieces = lake_of({source: frame}, [at(5), FAR]), lake_of({source: frame}, [])
        for number, piece in enumerate((shuffled[cut:], shuffled[:cut])):
            ingest_batch(source, piece, in_pieces, as_of=FAR, batch=f"piece {number}")
        if source is flights:
            for lake in (in_order, in_pieces):
                ingest_batch(weather, frame_of_weather([]), lake, as_of=START, batch="none")
        assert source_digest(source, in_order, at(now)) == source_digest(source, in_pieces, at(now))
        assert answers(in_order, spine, views, label, at(now)) == answers(in_pieces, spine, views, label, at(now))
        assert answers(in_order, spine, views, label, FAR) == answers(in_pieces, spine, views, label, FAR)


@settings(max_examples=8, deadline=None)
@given(some_orders)
def test_twice_is_once(bought) -> None:
    once, twice = lake_of({orders: bought}, [FAR]), lake_of({orders: pl.concat([bought, bought])}, [at(40), FAR])
    again = ingest_batch(orders, bought, twice, as_of=FAR, batch="again")
    assert (again.appended, again.already_known) == (0, bought.height)
    assert known(orders, once, FAR).equals(known(orders, twice, FAR))
    assert again == ingest_batch(orders, bought, twice, as_of=FAR, batch="again")


@settings(max_examples=4, deadline=None)
@given(some_flights, some_weather, st.integers(20, 70))
def test_a_training_set_in_pieces_is_the_whole_bit_for_bit(planned, told, now) -> None:
    lake = lake_of({flights: planned, weather: told}, [at(now)])
    definition = Definition(flight_views, flight_label, flight_spine)
    whole = training_set(definition, lake, None, at(now))
    pieces = training_set(definition, lake, None, at(now), Partitioning(questions=2, buckets=2))
    assert pieces.frame.equals(whole.frame)
    assert pieces.manifest == whole.manifest


@settings(max_examples=8, deadline=None)
@given(some_flights, some_weather, st.integers(20, 60))
def test_a_training_set_is_made_again_after_new_rows_and_corrections(planned, told, now) -> None:
    world = {flights: planned, weather: told}
    lake = lake_of(world, [at(now)])
    made = training_set(Definition(flight_views, flight_label, flight_spine), lake, None, at(now))
    for source, frame in world.items():
        ingest_batch(source, frame, lake, as_of=FAR, batch="all the rest")
    shifted = told.with_columns(wind=col("wind") + 1, told_at=col("told_at") + timedelta(minutes=1))
    ingest_batch(weather, shifted, lake, as_of=FAR, batch="corrections of the past")
    again = rebuild(made.manifest, Definition(flight_views, flight_label, flight_spine), lake)
    assert made.frame.equals(again.frame)
    assert made.manifest == again.manifest


@settings(max_examples=8, deadline=None)
@given(some_flights, some_weather, st.lists(st.integers(0, 30), min_size=1, max_size=3))
def test_questions_in_pieces_get_the_answers_they_get_together(planned, told, cuts) -> None:
    lake = lake_of({flights: planned, weather: told}, [FAR])
    whole = questions(flight_spine, lake, None, FAR)
    together = features(flight_views, whole, lake, spine=flight_spine)
    edges = [None, *(at(2 * cut) for cut in sorted(set(cuts))), FAR]
    pieces = [
        features(flight_views, questions(flight_spine, lake, start, end), lake, spine=flight_spine)
        for start, end in pairwise(edges)
    ]
    assert pl.concat(pieces).equals(together)
