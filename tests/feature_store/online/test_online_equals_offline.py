from __future__ import annotations

import tempfile
from datetime import timedelta

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

from feature_store.features import features
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.spine import Spine


def store() -> LmdbStore:
    return LmdbStore(tempfile.mkdtemp(dir=FOLDERS.name))


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
    served = OnlineReader(online, into, types=types).frame(questions)

    wanted = features(VIEWS, questions, lake, spine=spine)
    assert served.schema == wanted.schema
    for name in wanted.columns:
        assert bits(served.select(name)) == bits(wanted.select(name)), name
    into.close()
