from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.moments import Window
from modeling.errors import LengthMismatchError, TooFewBlocksError, TooFewRowsError
from modeling.splits import block_numbers, shuffled_split_on_purpose, time_split, to_numpy

START = np.datetime64("2013-01-01", "us")
HOUR = np.timedelta64(1, "h")
WEEK = timedelta(days=7)


def at(day):
    return datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=day)


def hourly(days):
    return START + np.arange(days * 24) * HOUR


def test_the_evaluation_is_the_newest_time_with_complete_labels():
    as_of = hourly(90)

    split = time_split(as_of, as_of + 24 * HOUR, now=at(60), evaluation=2 * WEEK, gap=timedelta(days=2))

    assert split.evaluation == Window(at(44), at(58))
    assert as_of[split.evaluation_index].min() > to_numpy(at(44))
    assert as_of[split.evaluation_index].max() == to_numpy(at(58))


def test_nothing_is_trained_in_the_gap_before_the_evaluation():
    as_of = hourly(90)

    split = time_split(as_of, as_of + 24 * HOUR, now=at(60), evaluation=2 * WEEK, gap=timedelta(days=2))

    assert as_of[split.train_index].max() == to_numpy(at(42))
    assert split.training == Window(at(0), at(42))


@settings(max_examples=60, deadline=None)
@given(
    delays=st.lists(st.integers(0, 20 * 24), min_size=1, max_size=40),
    now=st.integers(40, 120),
    gap=st.integers(0, 10),
    evaluation=st.integers(7, 20),
)
def test_every_training_label_was_known_before_the_evaluation_starts(delays, now, gap, evaluation):
    as_of = hourly(100)
    known = as_of + np.resize(delays, as_of.size) * HOUR
    try:
        split = time_split(as_of, known, now=at(now), evaluation=timedelta(days=evaluation), gap=timedelta(days=gap))
    except TooFewRowsError:
        return

    assert not set(split.train_index) & set(split.evaluation_index)
    assert known[split.train_index].max() <= to_numpy(split.evaluation.start)
    assert as_of[split.train_index].max() <= to_numpy(split.evaluation.start - timedelta(days=gap))
    assert known[split.evaluation_index].max() <= to_numpy(at(now))


def test_labels_that_come_later_than_now_do_not_change_the_split():
    as_of = hourly(60)
    known = as_of + 24 * HOUR
    later = hourly(90)

    before = time_split(as_of, known, now=at(60), evaluation=WEEK, gap=timedelta(days=2))
    after = time_split(later, later + 24 * HOUR, now=at(60), evaluation=WEEK, gap=timedelta(days=2))

    assert before.train_index.tolist() == after.train_index.tolist()
    assert before.evaluation_index.tolist() == after.evaluation_index.tolist()


def test_questions_without_a_label_are_in_neither_part():
    as_of = hourly(60)
    known = as_of + 24 * HOUR
    known[::3] = np.datetime64("NaT")

    split = time_split(as_of, known, now=at(60), evaluation=WEEK, gap=timedelta(days=2))

    assert not set(np.flatnonzero(np.isnat(known))) & {*split.train_index, *split.evaluation_index}


def test_where_questions_ended_long_ago_the_evaluation_ends_with_them():
    as_of = hourly(60)

    split = time_split(as_of, as_of + HOUR, now=at(300), evaluation=WEEK, gap=timedelta(days=2))

    assert split.evaluation == Window(at(53), at(60))


def test_too_few_rows_are_refused_with_numbers():
    as_of = hourly(10)

    with pytest.raises(TooFewRowsError, match=r"26 rows to train on .* at least 50"):
        time_split(as_of, as_of, now=at(10), evaluation=timedelta(days=9) - timedelta(hours=1), gap=timedelta(0))
    with pytest.raises(TooFewRowsError, match="no label is known"):
        time_split(as_of, as_of + 240 * HOUR, now=at(1), evaluation=WEEK, gap=timedelta(0))
    with pytest.raises(TooFewRowsError, match=r"rows to evaluate on \(asked in 2013"):
        time_split(as_of, as_of, now=at(10), evaluation=timedelta(days=1), gap=timedelta(0))


def test_moments_of_two_lengths_are_refused():
    with pytest.raises(LengthMismatchError, match="'as_of': 240, 'label_available_at': 24"):
        time_split(hourly(10), hourly(1), now=at(10), evaluation=WEEK, gap=timedelta(0))


def test_blocks_are_counted_from_the_start_of_the_evaluation():
    as_of = hourly(60)
    split = time_split(as_of, as_of, now=at(60), evaluation=timedelta(days=14), gap=timedelta(0))

    numbers = split.blocks(as_of, timedelta(days=2))

    assert np.unique(numbers).tolist() == list(range(7))


def test_a_moment_on_the_edge_belongs_to_the_block_that_ends_there():
    edges = START + np.arange(3) * 24 * HOUR

    numbers = block_numbers(edges, timedelta(days=1), origin=at(0))

    assert numbers.tolist() == [-1, 0, 1]


def test_fewer_than_seven_blocks_are_refused_with_their_length():
    as_of = hourly(60)
    split = time_split(as_of, as_of, now=at(60), evaluation=timedelta(days=6), gap=timedelta(0))

    with pytest.raises(TooFewBlocksError, match="6 independent blocks of 1 day, 0:00:00"):
        split.blocks(as_of, timedelta(days=1))


def test_a_shuffled_split_has_to_be_asked_for_by_name():
    train, evaluation = shuffled_split_on_purpose(100, share=0.2, seed=3)

    assert sorted([*train, *evaluation]) == list(range(100))
    assert len(evaluation) == 20
    assert train.max() > evaluation.min()
