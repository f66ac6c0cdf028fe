from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars import col

from feature_store.point_in_time import window_rows
from feature_store.point_in_time.timeline import Asked
from feature_store.point_in_time.windows import Spans, Windows, aggregate

EPOCH = datetime(2013, 1, 1, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")
HOUR = 3_600_000_000

AGGREGATES = {
    "mean": col("delay").mean(),
    "sum": col("delay").sum(),
    "count": col("delay").count(),
    "least": col("delay").min(),
    "most": col("delay").max(),
    "rows": pl.len(),
    "late": (col("delay") > 1).mean(),
    "whole": col("whole").sum(),
    "whole_mean": col("whole").mean(),
    "first_whole": col("whole").min(),
    "kinds": col("kind").n_unique(),
    "spread": col("delay").std(),
    "of_kind": col("delay").filter(col("kind") == "a").sum(),
    "ratio": col("delay").sum() / col("whole").sum(),
    "several": col("delay").len() > 1,
    "newest": col("delay").last(),
    "newest_kind": col("kind").last(),
    "delays": col("delay").n_unique(),
    "whole_spread": col("whole").std(),
    "any_late": (col("delay") > 1).max(),
    "last_day": col("event_time").dt.date().max(),
    "unknown": col("delay").is_null().sum(),
    "at_most": col("delay").fill_null(math.inf).sum(),
    "at_least": col("delay").fill_null(-math.inf).sum(),
}


def at(hours: int) -> datetime:
    return EPOCH + timedelta(hours=hours)


def rows_of(raw: list[tuple[str, int, int, int, float | None]]) -> pl.DataFrame:
    """Rows from (entity, event hour, hours until available, key, delay)."""
    return pl.DataFrame(
        {
            "entity": [row[0] for row in raw],
            "delay": [row[4] for row in raw],
            "whole": [None if row[4] is None else round(row[4]) for row in raw],
            "kind": ["ab"[row[3] % 2] for row in raw],
            "event_time": [at(row[1]) for row in raw],
            "available_at": [at(row[1] + row[2]) for row in raw],
            "_key_digest": [row[3] for row in raw],
            "_row_digest": [crc32(repr(row).encode()) for row in raw],
            "_sequence": list(range(len(raw))),
        },
        schema_overrides={
            "entity": pl.String,
            "delay": pl.Float64,
            "whole": pl.Int64,
            "kind": pl.String,
            "event_time": UTC_US,
            "available_at": UTC_US,
            "_key_digest": pl.Int64,
            "_row_digest": pl.Int64,
            "_sequence": pl.Int64,
        },
    )


def asked(raw: list[tuple[str | None, int, int]], over: int) -> tuple[pl.DataFrame, Spans]:
    """Questions from (entity, hour, key of the own row)."""
    questions = pl.DataFrame({"entity": [entity for entity, *_ in raw]}, schema_overrides={"entity": pl.String})
    as_of = pl.Series([at(hours) for _, hours, _ in raw], dtype=UTC_US).to_physical().to_numpy()
    own = np.array([key for *_, key in raw], dtype=np.int64)
    return questions, Spans(as_of, over * HOUR, own=own)


def by_brute_force(
    raw: list[tuple[str | None, int, int]], rows: pl.DataFrame, over: int, aggregates: dict[str, pl.Expr]
) -> list[dict[str, Any]]:
    found = []
    for entity, hours, own in raw:
        as_of = at(hours)
        known = rows.filter(col("available_at") <= as_of).sort("available_at", "_sequence")
        newest = known.unique("_key_digest", keep="last", maintain_order=True)
        inside = newest.filter(
            col("entity") == pl.lit(entity, dtype=pl.String),
            col("event_time") > as_of - timedelta(hours=over),
            col("event_time") <= as_of,
            col("_key_digest") != own,
        )
        inside = inside.sort("event_time", "available_at", "_row_digest")
        found.append(inside.select(**aggregates).row(0, named=True))
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


delays = st.one_of(st.none(), st.floats(-5, 5, width=32))
lag = st.one_of(st.just(1), st.integers(-2, 5))
unique_rows = st.lists(
    st.tuples(st.sampled_from(["JFK", "EWR"]), st.integers(0, 12), st.just(1), st.integers(0, 60), delays),
    max_size=25,
    unique_by=lambda row: row[3],
)
corrected_rows = st.lists(
    st.tuples(st.sampled_from(["JFK", "EWR"]), st.integers(0, 12), lag, st.integers(0, 12), delays), max_size=25
)
lengths = st.lists(st.sampled_from([1, 3, 24]), min_size=1, max_size=2, unique=True)
raw_questions = st.lists(
    st.tuples(st.sampled_from(["JFK", "EWR", "LGA", None]), st.integers(-2, 20), st.integers(0, 12)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(unique_rows, corrected_rows), raw_questions, lengths)
def test_they_equal_polars_over_the_rows_found_one_by_one(raw_r, raw_q, overs) -> None:
    rows = rows_of(raw_r)
    questions, spans = asked(raw_q, 0)
    windows = Windows(Asked(questions), rows, spans, ["entity"])
    for over in overs:
        found = windows.over(over * HOUR, AGGREGATES).to_dicts()
        for mine, theirs in zip(found, by_brute_force(raw_q, rows, over, AGGREGATES), strict=True):
            assert {name: value for name, value in mine.items() if not same(value, theirs[name])} == {}, theirs


@settings(max_examples=40, deadline=None)
@given(st.one_of(unique_rows, corrected_rows), raw_questions, st.data())
def test_they_do_not_depend_on_what_else_is_asked_nor_on_rows_that_come_later(raw_r, raw_q, data) -> None:
    rows = rows_of(raw_r)
    questions, spans = asked(raw_q, 6)
    whole = aggregate(questions, rows, spans, by=["entity"], aggregates=AGGREGATES)
    which = np.array(data.draw(st.lists(st.integers(0, len(raw_q) - 1), min_size=1, max_size=4)))
    alone = aggregate(questions[which], rows, spans.take(which), by=["entity"], aggregates=AGGREGATES)
    assert bits(alone) == bits(whole[which])
    until = max(raw_q[number][1] for number in which)
    known = rows.filter(col("available_at") <= at(until))
    past = aggregate(questions[which], known, spans.take(which), by=["entity"], aggregates=AGGREGATES)
    assert bits(past) == bits(whole[which])


def bits(frame: pl.DataFrame) -> list[list[Any]]:
    """The values, floats by their bits."""
    return [
        (column.fill_null(-99.0).to_numpy().view(np.uint64) if column.dtype == pl.Float64 else column).tolist()
        if column.dtype == pl.Float64
        else column.to_list()
        for column in frame.get_columns()
    ]


def test_floats_are_the_same_bit_for_bit_from_whatever_start_and_in_whatever_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    raw = [
        ("JFK", int(hour), 0, number, float(value))
        for number, (hour, value) in enumerate(
            zip(np.sort(random.integers(0, 900, 4000)), random.normal(size=4000), strict=True)
        )
    ]
    raw_q = [("JFK", int(hour), -1) for hour in random.integers(450, 900, 300)]
    chosen = {name: AGGREGATES[name] for name in ("mean", "sum", "spread", "ratio")}
    questions, spans = asked(raw_q, 240)
    whole = aggregate(questions, rows_of(raw), spans, by=["entity"], aggregates=chosen)
    recent = [row for row in raw if row[1] > 450 - 241]
    assert bits(aggregate(questions, rows_of(recent), spans, by=["entity"], aggregates=chosen)) == bits(whole)
    monkeypatch.setattr(window_rows, "_PAIRS_AT_ONCE", 5000)
    # One row that comes late makes windows be picked row by row.
    late = [*raw, ("JFK", 700, 500, 99_999, 1.0)]
    assert bits(aggregate(questions, rows_of(late), spans, by=["entity"], aggregates=chosen)) == bits(whole)


def test_many_lengths_asked_one_after_another_get_what_each_gets_alone() -> None:
    """What one length needed and nothing holds any more must not be taken for what the next one needs."""
    random = np.random.default_rng(3)
    raw = [("JFK", int(random.integers(0, 60)), int(random.integers(0, 9)), key, float(key)) for key in range(40)]
    questions, spans = asked([("JFK", hours, -1) for hours in range(0, 70, 7)], 0)
    chosen = {"delays": col("delay").sum(), "whole": col("whole").mean()}
    windows = Windows(Asked(questions), rows_of(raw), spans, ["entity"])
    for over in range(1, 60):
        alone = aggregate(questions, rows_of(raw), Spans(spans.end, over * HOUR, own=spans.own), by=["entity"],
                          aggregates=chosen)  # fmt: skip
        assert bits(windows.over(over * HOUR, chosen)) == bits(alone)


def test_entities_that_no_row_tells_about_have_empty_windows_however_many_there_are() -> None:
    """Numbered beyond all entities with rows, they must not wrap around to the places of one that has some."""
    random = np.random.default_rng(3)
    rows = rows_of([("JFK", int(hour), 1, key, 1.0) for key, hour in enumerate(random.integers(0, 20 * 8766, 600))])
    rows = rows.with_columns((pl.int_range(pl.len()) % 300).alias("entity"))
    questions = pl.DataFrame({"entity": np.arange(100_000)})
    spans = Spans(np.full(questions.height, int(at(20 * 8766).timestamp()) * 1_000_000), 10 * 8766 * HOUR)
    chosen = {name: AGGREGATES[name] for name in ("rows", "sum", "least", "delays", "newest", "several")}

    found = aggregate(questions, rows, spans, by=["entity"], aggregates=chosen)

    since = at(10 * 8766)
    inside = rows.filter(col("event_time") > since, col("available_at") <= at(20 * 8766))
    assert found["rows"].sum() == inside.height
    nothing = aggregate(questions[300:301], rows, spans.take(np.array([300])), by=["entity"], aggregates=chosen)
    assert set(found[300:].rows()) == set(nothing.rows()) == {(0, 0.0, None, 0, None, False)}


def test_an_empty_window_has_no_mean_but_a_length() -> None:
    questions, spans = asked([("JFK", 5, -1)], 3)
    chosen = {name: AGGREGATES[name] for name in ("mean", "least", "most", "rows", "count", "kinds", "sum", "whole")}
    found = aggregate(questions, rows_of([]), spans, by=["entity"], aggregates=chosen)
    assert found.row(0) == (None, None, None, 0, 0, 0, 0.0, 0)


def test_a_window_has_its_end_but_not_its_start() -> None:
    rows = rows_of([("JFK", 2, 0, 1, 1.0), ("JFK", 5, 0, 2, 3.0)])
    questions, spans = asked([("JFK", 5, -1)], 3)
    assert aggregate(questions, rows, spans, by=["entity"], aggregates={"n": pl.len()})["n"].to_list() == [1]


def test_counts_are_signed_numbers_that_the_lake_can_keep() -> None:
    questions, spans = asked([("JFK", 5, -1)], 3)
    found = aggregate(questions, rows_of([]), spans, by=["entity"], aggregates=AGGREGATES)
    assert {found.schema[name] for name in ("rows", "count", "kinds")} == {pl.Int64()}
