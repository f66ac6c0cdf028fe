"""A view is cut into ranges of entities that hold every entity once, and about as many rows each as were asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from feature_store.definitions.feature_view import latest
from feature_store.definitions.source import Source
from feature_store.definitions.spine import every, seen
from feature_store.intake.ingest import ingest_batch
from feature_store.online import materialize as materialize_module
from feature_store.online.key_ranges import KeyRange, Wanted, key_ranges
from feature_store.online.keys import RECORDS, encode_all
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.storage.lake import Lake

START = datetime(2013, 1, 1, tzinfo=UTC)
ENDING = b"a view.."
METERS, HOURS = 2_000, 5
EVERY_ENTITY = Wanted()


def meters_source(**further: Any) -> Source:
    return Source("meters", read=pl.DataFrame, key=["meter", "hour"], event_time="hour", available_at="hour",
                  entity="meter", **further)  # fmt: skip


def rows(loud: int = 0) -> pl.DataFrame:
    """Five hours of each meter, and so many more of meter 77."""
    meters = [meter for hour in range(HOURS) for meter in range(METERS)] + [77] * loud
    hours = [hour for hour in range(HOURS) for _ in range(METERS)] + list(range(HOURS, HOURS + loud))
    frame = pl.DataFrame({"meter": meters, "flow": [meter / 7 for meter in meters]})
    return frame.with_columns(hour=pl.lit(START) + pl.duration(hours=pl.Series(hours))).cast(
        {"hour": pl.Datetime("us", "UTC")}
    )


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


def cut(lake: Lake, frame: pl.DataFrame, most: int, wanted: Wanted = EVERY_ENTITY) -> tuple[list[KeyRange], list[int]]:
    """The ranges, and how many rows each of them holds; every row is in one at most."""
    source = meters_source()
    ingest_batch(source, frame, lake, as_of=START + timedelta(days=900), batch="1")
    (part,) = OnlineViews([latest(source, "flow", ttl="99d")], every("06:00", seen(source, within="7d"))).parts
    ranges = key_ranges(part, ENDING, wanted, lake, most)
    held = pl.DataFrame({str(number): one.holds(frame) for number, one in enumerate(ranges)})
    assert held.select(pl.sum_horizontal(pl.all())).to_series().max() == 1
    return ranges, [held[name].sum() for name in held.columns]


def test_a_small_table_is_one_range_of_everything(lake):
    ranges, heights = cut(lake, rows(), 10_000)
    assert heights == [10_000]
    assert not ranges[0].reach.narrow


def test_every_entity_is_in_one_range_and_no_range_is_far_larger_than_asked(lake):
    _, heights = cut(lake, rows(), 1_000)
    assert sum(heights) == METERS * HOURS
    assert len(heights) == 10
    assert max(heights) < 1_500


def test_an_entity_with_many_rows_stays_whole(lake):
    _, heights = cut(lake, rows(loud=5_000), 1_000)
    assert sum(heights) == METERS * HOURS + 5_000
    assert sorted(heights)[-1] >= 5_000 + HOURS
    assert sorted(heights)[-2] < 1_500


def test_of_few_wanted_entities_there_is_one_range(lake):
    some = encode_all(RECORDS, pl.DataFrame({"meter": [3, 1999]}), ["meter"], ENDING)
    _, heights = cut(lake, rows(), 1_000, Wanted(keys=some))
    assert heights == [2 * HOURS]


def test_behind_a_key_and_besides_others(lake):
    meters = pl.DataFrame({"meter": range(METERS)})
    keys = encode_all(RECORDS, meters, ["meter"], ENDING)
    _, heights = cut(lake, rows(), 10_000, Wanted(behind=keys[METERS - 3], besides=keys[:4]))
    assert heights == [(2 + 4) * HOURS]


def test_rows_without_an_entity_are_in_no_range(lake):
    _, heights = cut(lake, rows(), 1_000)
    nameless = pl.DataFrame({"meter": pl.Series([None], dtype=pl.Int64)})
    assert nameless.filter(KeyRange(ENDING, ("meter",), after=b"a").holds(nameless)).is_empty()
    assert len(heights) > 1


def test_columns_that_become_known_later_are_put_together_in_one_range(lake):
    source = meters_source(later={"checked": ["flow"]})
    frame = rows().with_columns(checked=pl.col("hour") + pl.duration(hours=1))
    ingest_batch(source, frame, lake, as_of=START + timedelta(days=9), batch="1")
    (part,) = OnlineViews([latest(source, "flow", ttl="99d")], every("06:00", seen(source, within="7d"))).parts
    assert len(key_ranges(part, ENDING, Wanted(), lake, 1_000)) == 1


def test_a_run_never_holds_more_than_a_range(lake, tmp_path, monkeypatch):
    source = meters_source()
    frame = rows()
    ingest_batch(source, frame, lake, as_of=START + timedelta(days=1), batch="1")
    online = OnlineViews([latest(source, "flow", ttl="99d")], every("06:00", seen(source, within="7d")))
    held, facts = [], materialize_module.facts
    monkeypatch.setattr(materialize_module, "facts", lambda *args: held.append(found := facts(*args)) or found)
    store = LmdbStore(tmp_path / "online")
    done = materialize(online, lake, store, as_of=START + timedelta(days=1), chunk_rows=100)
    assert done.rows == frame.height
    assert len(held) == 10
    assert max(one.height for one in held) < 1_500
    reader = OnlineReader(online, store, types={"meter": pl.Int64()}, new_questions=True)
    questions = [{"meter": meter} for meter in range(METERS)]
    assert reader.read(questions, START + timedelta(days=1)).rows == [(meter / 7,) for meter in range(METERS)]
