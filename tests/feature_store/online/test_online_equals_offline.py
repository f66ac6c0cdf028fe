from __future__ import annotations

import tempfile
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online_world import (
    FOLDERS,
    QUESTIONS,
    VIEWS,
    World,
    asking_itself,
    asking_others,
    at,
    bits,
    frame_of_questions,
    new_lake,
    some_questions,
    take_in,
    worlds,
)

from feature_store.definitions.spine import Spine
from feature_store.offline.features import features
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader


def store() -> LmdbStore:
    return LmdbStore(tempfile.mkdtemp(dir=FOLDERS.name))


def one_by_one(reader: OnlineReader, questions: pl.DataFrame) -> list[tuple[object, ...]]:
    """The answers to questions that nobody else asks with, in Python's values."""
    brought, moments = questions.drop("as_of").rows(named=True), questions["as_of"]
    return [reader.read([one], moment).rows[0] for one, moment in zip(brought, moments, strict=True)]


increments = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([1, 3, 1000]), st.booleans()), min_size=1, max_size=3
)


@pytest.mark.parametrize("spine", [asking_itself, asking_others], ids=["rows", "ticks"])
@settings(max_examples=25, deadline=None)
@given(world=worlds, steps=increments, asked=some_questions)
def test_a_read_at_any_later_moment_equals_the_asof_join_bit_for_bit(
    spine: Spine, world: World, steps: list[tuple[int, int, bool]], asked: list[tuple[object, ...]]
) -> None:
    lake, online, into = new_lake(), OnlineViews(VIEWS, spine), store()

    now = at(0)
    for number, (hours, chunk_rows, skipped) in enumerate(steps):
        now += timedelta(hours=hours)
        take_in(world, lake, now, number)
        if not skipped or number == len(steps) - 1:
            materialize(online, lake, into, as_of=now, chunk_rows=chunk_rows)
    types = {name: dtype for name, dtype in QUESTIONS.items() if name != "as_of"}
    questions = frame_of_questions(asked, now)
    reader = OnlineReader(online, into, types=types)
    served, alone = reader.frame(questions), one_by_one(reader, questions)

    wanted = features(VIEWS, questions, lake, spine=spine)
    assert bits(pl.DataFrame(alone, wanted.select(reader.names).schema, orient="row")) == bits(
        wanted.select(reader.names)
    )
    assert served.schema == wanted.schema
    for name in wanted.columns:
        assert bits(served.select(name)) == bits(wanted.select(name)), name
    into.close()


def in_some_order(world: World, random: Random) -> World:
    """The same rows in another order and in other batches."""
    shuffled = {source: frame[random.sample(range(frame.height), frame.height)] for source, frame in world.items()}
    return {
        source: frame.with_columns(batch=pl.Series([random.randint(0, 2) for _ in range(frame.height)], dtype=pl.Int64))
        for source, frame in shuffled.items()
    }


@settings(max_examples=10, deadline=None)
@given(world=worlds, random=st.randoms(use_true_random=False), asked=some_questions)
def test_the_order_of_arrival_does_not_show(world: World, random: Random, asked: list[tuple[object, ...]]) -> None:
    online = OnlineViews(VIEWS, asking_others)
    types = {name: dtype for name, dtype in QUESTIONS.items() if name != "as_of"}
    served = []

    for arriving in (world, in_some_order(world, random)):
        lake, into = new_lake(), store()
        for number in range(3):
            take_in(arriving, lake, at(40), number)
            materialize(online, lake, into, as_of=at(40), chunk_rows=random.choice([1, 7, 1000]))
        served.append(OnlineReader(online, into, types=types).frame(frame_of_questions(asked, at(40))))
        into.close()

    assert bits(served[0]) == bits(served[1])
