from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import ColumnTypeError, MissingColumnsError
from feature_store.point_in_time.asof_join import asof_join

EPOCH = datetime(2013, 1, 1, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")


def at(hours: int) -> datetime:
    return EPOCH + timedelta(hours=hours)


def rows_of(raw: list[tuple[str | None, int, int, int]]) -> pl.DataFrame:
    """Rows from (entity, event hour, hours until available, key)."""
    return pl.DataFrame(
        {
            "entity": [entity for entity, *_ in raw],
            "value": list(range(len(raw))),
            "event_time": [at(event) for _, event, _, _ in raw],
            "available_at": [at(event + lag) for _, event, lag, _ in raw],
            "_key_digest": [key for *_, key in raw],
            "_row_digest": [number * 7919 % 1009 for number in range(len(raw))],
            "_sequence": list(range(len(raw))),
        },
        schema_overrides={
            "entity": pl.String,
            "value": pl.Int64,
            "event_time": UTC_US,
            "available_at": UTC_US,
            "_key_digest": pl.Int64,
            "_row_digest": pl.Int64,
            "_sequence": pl.Int64,
        },
    )


def questions_of(raw: list[tuple[str | None, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"entity": [entity for entity, _ in raw], "as_of": [at(hours) for _, hours in raw]},
        schema_overrides={"entity": pl.String, "as_of": UTC_US},
    )


def by_brute_force(
    questions: pl.DataFrame, rows: pl.DataFrame, ttl: timedelta | None, own: list[int] | None
) -> list[int | None]:
    found: list[int | None] = []
    for number, (entity, as_of) in enumerate(questions.select("entity", "as_of").iter_rows()):
        current = {}
        for row in sorted(rows.iter_rows(named=True), key=lambda row: (row["available_at"], row["_sequence"])):
            if row["available_at"] <= as_of:
                current[row["_key_digest"]] = row
        candidates = [
            row
            for row in current.values()
            if entity is not None
            and row["entity"] == entity
            and row["event_time"] <= as_of
            and (own is None or row["_key_digest"] != own[number])
        ]
        best = max(
            candidates, key=lambda row: (row["event_time"], row["available_at"], row["_row_digest"]), default=None
        )
        fresh = best is not None and (ttl is None or as_of - best["event_time"] <= ttl)
        found.append(best["value"] if best is not None and fresh else None)
    return found


def test_a_correction_that_moves_the_event_back_retires_what_it_corrects() -> None:
    rows = rows_of([("JFK", 5, 0, 1), ("JFK", 3, 4, 1), ("JFK", 4, 0, 2)])
    joined = asof_join(questions_of([("JFK", 6), ("JFK", 7)]), rows, by=["entity"], ttl=None)
    assert joined["value"].to_list() == [0, 2]


def test_a_correction_of_another_entity_retires_what_it_corrects() -> None:
    rows = rows_of([("JFK", 5, 0, 1), ("EWR", 5, 2, 1)])
    joined = asof_join(questions_of([("JFK", 6), ("JFK", 7), ("EWR", 7)]), rows, by=["entity"], ttl=None)
    assert joined["value"].to_list() == [0, None, 1]


entities = st.sampled_from(["JFK", "EWR", None])
raw_rows = st.lists(st.tuples(entities, st.integers(0, 12), st.integers(-3, 6), st.integers(0, 5)), max_size=25)
raw_questions = st.lists(st.tuples(entities, st.integers(-2, 20)), max_size=25)


@settings(max_examples=80, deadline=None)
@given(raw_rows, raw_questions, st.sampled_from([None, 0, 2, 5]), st.booleans(), st.data())
def test_it_equals_a_search_through_all_rows(raw_r, raw_q, ttl_hours, with_own, data) -> None:
    rows, questions = rows_of(raw_r), questions_of(raw_q)
    ttl = None if ttl_hours is None else timedelta(hours=ttl_hours)
    own = data.draw(st.lists(st.integers(0, 5), min_size=len(raw_q), max_size=len(raw_q))) if with_own else None
    joined = asof_join(
        questions, rows, by=["entity"], ttl=ttl, own=None if own is None else np.array(own, dtype=np.int64)
    )
    assert joined["value"].to_list() == by_brute_force(questions, rows, ttl, own)


def test_a_late_arrival_of_an_old_row_does_not_displace_a_newer_fact() -> None:
    rows = rows_of([("JFK", 5, 0, 1), ("JFK", 3, 4, 2)])
    joined = asof_join(questions_of([("JFK", 8)]), rows, by=["entity"], ttl=timedelta(hours=6))
    assert joined["event_time"].to_list() == [at(5)]


def test_age_counts_from_the_event_and_not_from_the_arrival() -> None:
    rows = rows_of([("JFK", 0, 6, 1)])
    joined = asof_join(questions_of([("JFK", 6), ("JFK", 7)]), rows, by=["entity"], ttl=timedelta(hours=6))
    assert joined["value"].to_list() == [0, None]


@pytest.mark.parametrize("width", [1, 2**11, 2**22 - 1])
def test_entities_of_several_numbers_are_told_apart_however_far_these_are_apart(width: int) -> None:
    """All combinations of the numbers are more than 64 bits can count."""
    keys = ["north", "east", "up"]
    entities = [(0, 0, 0), (width // 4 + 1, 0, 0), (width, width, width), (0, width, 1)]
    named = [pl.Series(key, values) for key, values in zip(keys, zip(*entities, strict=True), strict=True)]
    rows = rows_of([(None, hour, 0, number) for number, hour in enumerate([1, 2, 3, 4])]).with_columns(named)
    questions = pl.concat([questions_of([(None, 5)] * 4).with_columns(named)] * 2)

    joined = asof_join(questions, rows, by=keys, ttl=None)

    assert joined["value"].to_list() == [0, 1, 2, 3] * 2


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("entity", [math.nan, -0.0, math.inf, 0.5])
def test_one_question_about_any_double_finds_what_many_find(entity: float, count: int) -> None:
    rows = rows_of([(None, 1, 0, 1), (None, 2, 0, 2), (None, 3, 0, 3)])
    rows = rows.with_columns(pl.Series("entity", [entity + 0.0, entity, 7.0]))
    questions = questions_of([(None, 5)] * count).with_columns(pl.lit(entity).alias("entity"))

    assert asof_join(questions, rows, by=["entity"], ttl=None)["value"].to_list() == [1] * count


def test_duplicate_questions_stay_in_their_order() -> None:
    rows = rows_of([("JFK", 0, 0, 1), ("EWR", 0, 0, 2)])
    joined = asof_join(questions_of([("EWR", 1), ("JFK", 1), ("EWR", 1)]), rows, by=["entity"], ttl=None)
    assert joined["value"].to_list() == [1, 0, 1]


def test_rows_without_an_entity_are_one_series() -> None:
    rows = rows_of([("JFK", 0, 0, 1), ("EWR", 1, 0, 2)])
    assert asof_join(questions_of([("LGA", 5)]), rows, by=[], ttl=None)["value"].to_list() == [1]


def test_a_question_without_the_entity_column_is_refused() -> None:
    with pytest.raises(MissingColumnsError, match=r"lacks \['entity'\]"):
        asof_join(questions_of([("JFK", 1)]).drop("entity"), rows_of([]), by=["entity"], ttl=None)


def test_an_entity_of_another_type_is_refused() -> None:
    questions = questions_of([("JFK", 1)]).with_columns(entity=pl.lit(1))
    with pytest.raises(ColumnTypeError, match="'entity' of 'questions' is Int32, expected String"):
        asof_join(questions, rows_of([]), by=["entity"], ttl=None)
