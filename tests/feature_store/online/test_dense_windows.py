"""Windows over so many rows that records have tiles: still what the lake says, bit for bit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from online_world import START, UTC_US, bits, new_lake, nothing
from polars import col

from feature_store.definitions.feature_view import Feature, window
from feature_store.definitions.source import Source, before
from feature_store.definitions.spine import each
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.online.tiles import accumulated, accumulated_parts
from feature_store.point_in_time.exact import exact_sum

sales = Source("sales", read=nothing, key="number", event_time="sold", available_at="told", entity="shop")
asked = Source("asked", read=nothing, key="number", event_time="as_of", available_at=before("as_of", "9d"))
price, count = col("price"), col("count")
WINDOWS: list[Feature] = [
    window(sales, p_sum=price.sum(), p_mean=price.mean(), p_min=price.min(), p_max=price.max(), p_std=price.std(),
           p_last=price.last(), p_kinds=price.n_unique(), p_count=price.count(), rows=pl.len(),
           c_sum=count.sum(), c_mean=count.mean(), c_min=count.min(), c_max=count.max(), c_last=count.last(),
           over=["24h", "27h", "40h"]),
]  # fmt: skip
IN_WORDS: list[Feature] = [window(sales, c_mean=count.mean(), told=col("word").last(), over="24h")]
BOTH_SPINES = (each(asked, as_of=before("as_of", "0s")), each(sales, as_of="told"))

ODD = {"nothing": None, "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "-0": -0.0, "large": 1e300}
odd_prices = st.lists(st.tuples(st.integers(0, 399), st.sampled_from(list(ODD))), max_size=6)
digits = st.sampled_from([0, 2, 17])
COLUMNS = {"number": pl.Int64(), "shop": pl.Int64(), "as_of": UTC_US}


def many_sales(seed: int, odd: list[tuple[int, str]], scale: int) -> pl.DataFrame:
    """400 sales of two shops in sixteen hours; some become known late or before they happen, some are still to come."""
    random = np.random.default_rng(seed)
    minutes = random.integers(0, 1000, 400)
    prices = np.round(random.normal(size=400) * 10.0 ** random.integers(-3, 6, 400), scale).tolist()
    for place, kind in odd:
        prices[place] = ODD[kind]
    lags = random.choice([0, 0, 0, 0, 45, -30], 400)
    counts = [None if one % 50 == seed % 50 else int(one) for one in random.integers(-5, 1000, 400)]
    return pl.DataFrame(
        {
            "number": range(400),
            "shop": random.integers(0, 2, 400),
            "price": pl.Series(prices, dtype=pl.Float64),
            "count": pl.Series(counts if seed % 2 else [one or 0 for one in counts], dtype=pl.Int64),
            "word": pl.Series([f"{one}" for one in counts]),
            "sold": pl.Series([START + timedelta(minutes=int(one)) for one in minutes], dtype=UTC_US),
            "told": pl.Series(
                [START + timedelta(minutes=int(one + lag)) for one, lag in zip(minutes, lags, strict=True)],
                dtype=UTC_US,
            ),
        }
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), odd_prices, digits, st.lists(st.integers(960, 3400), min_size=1, max_size=4))
def test_a_window_of_many_rows_equals_the_one_of_the_lake_bit_for_bit(seed, odd, scale, minutes):
    frame = many_sales(seed, odd, scale)
    moment = START + timedelta(minutes=960)
    lake = new_lake()
    ingest_batch(sales, frame, lake, as_of=moment, batch="all")
    store = LmdbStore(f"{lake.root}-online")

    for spine in BOTH_SPINES:
        for views in (WINDOWS, IN_WORDS):
            online = OnlineViews(views, spine)
            materialize(online, lake, store, as_of=moment)
            questions = pl.DataFrame(
                [(seed % 400, shop, START + timedelta(minutes=one)) for one in minutes for shop in (0, 1, 2)],
                schema=COLUMNS, orient="row",
            )  # fmt: skip
            reader = OnlineReader(online, store, types={"number": pl.Int64(), "shop": pl.Int64()})

            served = reader.frame(questions)
            singly = [reader.read([one], one.pop("as_of")).rows[0] for one in questions.rows(named=True)]

            known = features(views, questions, lake, spine=spine).select(reader.names)
            assert bits(served.select(reader.names)) == bits(known)
            assert bits(pl.DataFrame(singly, schema=known.schema, orient="row")) == bits(known)
    store.close()


numbers = st.one_of(st.floats(), st.floats(-10, 10), st.sampled_from([1e308, -1e308, 2.0**-1074, 1e16, -1e16, 1.0]))


@settings(deadline=None)
@given(st.lists(st.lists(st.lists(numbers, max_size=4), min_size=1, max_size=5), min_size=1, max_size=4))
def test_parts_added_up_from_the_last_tile_lose_nothing(entities):
    tiles = [tile for tiles in entities for tile in tiles]
    counts = np.array([len(tiles) for tiles in entities])
    flat = np.array([one for tile in tiles for one in tile], dtype=np.float64)

    parts, sizes = accumulated_parts(flat, np.array([len(tile) for tile in tiles]), counts)

    ends = np.cumsum(sizes)
    found = [exact_sum(parts[end - size : end].tolist()) for end, size in zip(ends, sizes, strict=True)]
    expected = [
        exact_sum([one for later in tiles[place:] for one in later])
        for tiles in entities
        for place in range(len(tiles))
    ]
    assert [one.hex() for one in found] == [one.hex() for one in expected]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=4))
def test_the_least_is_carried_from_the_last_tile_to_the_first(entities):
    counts = np.array([len(one) for one in entities])
    numbers = np.array([one for entity in entities for one in entity], dtype=np.int64)

    found = accumulated(np.minimum, numbers, counts)

    assert found.tolist() == [min(entity[place:]) for entity in entities for place in range(len(entity))]
