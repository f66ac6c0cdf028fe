"""Features cut into parts by time, by entities and over processes are, bit for bit, those of one piece."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.definitions.feature_view import latest, window
from feature_store.definitions.spine import Spine
from feature_store.errors import MissingColumnsError
from feature_store.offline.features import features
from feature_store.offline.partitions import Partitioning, features_in_parts

sys.path.append(str(Path(__file__).parent / "online"))  # for online_world

from online_world import (
    VIEWS,
    World,
    asking_itself,
    asking_others,
    at,
    bits,
    frame_of_places,
    frame_of_questions,
    frame_of_readings,
    frame_of_visits,
    new_lake,
    places,
    readings,
    some_questions,
    take_in,
    visits,
    worlds,
)

cuts = st.builds(Partitioning, questions=st.sampled_from([1, 2, 3, 1000]), buckets=st.integers(1, 4))


def whole_and_in_parts(
    world: World, asked: list[tuple[object, ...]], spine: Spine, cut: Partitioning
) -> tuple[pl.DataFrame, pl.DataFrame]:
    lake = new_lake()
    for number in range(3):
        take_in(world, lake, at(20 * number), number)
    questions = frame_of_questions(asked, at(0)).sort("as_of", maintain_order=True)
    parts = pl.concat(features_in_parts(VIEWS, questions, lake, spine=spine, cut=cut))
    return features(VIEWS, questions, lake, spine=spine), parts


@pytest.mark.parametrize("spine", [asking_itself, asking_others], ids=["rows", "ticks"])
@settings(max_examples=15, deadline=None)
@given(world=worlds, asked=some_questions, cut=cuts)
def test_parts_by_time_and_entity_are_the_whole_bit_for_bit(
    spine: Spine, world: World, asked: list[tuple[object, ...]], cut: Partitioning
) -> None:
    whole, parts = whole_and_in_parts(world, asked, spine, cut)

    assert parts.schema == whole.schema
    for name in whole.columns:
        assert bits(parts.select(name)) == bits(whole.select(name)), name


def a_world(random: Random) -> World:
    """Some rows of every type, at any moment."""
    raw = [
        {"number": number, "who": random.choice(["a", "é", "日本"]), "where": random.choice([None, -1, 0, 1]),
         "happened": random.uniform(-30, 60), "lag": random.randint(-40, 30), "check": random.choice([None, 3, -2]),
         "batch": number % 3, "flag": random.random() < 0.5, "tiny": number % 100, "small": -number, "whole": number,
         "large": 2**50 + number, "single": None, "double": random.uniform(-1, 1), "text": str(number % 4),
         "day": date(2013, 1, 1 + number % 28), "moment": at(number)}
        for number in range(60)
    ]  # fmt: skip
    came = [
        {"who": "é", "came": number - 20, "spent": random.uniform(0, 9), "batch": number % 3} for number in range(50)
    ]
    return {readings: frame_of_readings(raw), visits: frame_of_visits(came), places: frame_of_places([])}


@pytest.mark.parametrize("processes", [2])
def test_many_processes_are_one_bit_for_bit(processes: int) -> None:
    random = Random(processes)
    asked = [(number % 9, random.choice(["a", "é", None]), random.choice([-1, 0]), number) for number in range(40)]
    cut = Partitioning(questions=11, buckets=2, processes=processes)

    whole, parts = whole_and_in_parts(a_world(random), asked, asking_itself, cut)

    assert bits(parts) == bits(whole)
    assert whole["r_len_2d"].max() > 3  # type: ignore[operator]


def test_a_length_of_time_that_reaches_before_the_first_year_reaches_every_row() -> None:
    lake, ever = new_lake(), "1000000d"
    take_in(a_world(Random(1)), lake, at(60), 2)
    views = [latest(readings, "tiny", ttl=ever), window(visits, came=pl.len(), over=ever)]
    questions = frame_of_questions([(1, "a", 0, 10), (2, "é", 1, 90)], at(0))

    parts = features_in_parts(views, questions, lake, spine=asking_others, cut=Partitioning(buckets=2))

    assert bits(pl.concat(parts)) == bits(features(views, questions, lake, spine=asking_others))


def test_parts_read_the_tables_as_they_were_when_they_were_asked_for() -> None:
    lake, world = new_lake(), a_world(Random(1))
    take_in(world, lake, at(20), 0)
    questions = frame_of_questions([(1, "a", 0, 10), (2, "é", 1, 30)], at(0))
    before = features(VIEWS, questions, lake, spine=asking_others)

    parts = features_in_parts(VIEWS, questions, lake, spine=asking_others, cut=Partitioning(questions=1))
    first = next(parts)
    take_in(world, lake, at(40), 2)

    assert bits(pl.concat([first, *parts])) == bits(before)


def test_questions_that_lack_a_column_are_refused_before_any_part() -> None:
    lake = new_lake()
    take_in(a_world(Random(1)), lake, at(20), 0)

    with pytest.raises(MissingColumnsError, match=r"lacks \['where'\]"):
        next(
            features_in_parts(
                VIEWS, frame_of_questions([(1, "a", 0, 10)], at(0)).drop("where"), lake, spine=asking_others
            )
        )
