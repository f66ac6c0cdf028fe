"""What an estimate states: chance at first, what labels have taught later, and nothing that was not yet known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitoring.estimate_intervals import MEMORY, Trial, stated_reach

CHANCE = 2.0
START = datetime(2021, 1, 4, tzinfo=UTC)
WEEK = timedelta(days=7)

scores = st.floats(0, 50)
delays = st.integers(1, 5)


def walk(missed_by: Sequence[float], delay: int = 1) -> list[Trial]:
    """The trials of a version, window by window, whose labels are complete so many weeks late."""
    trials: list[Trial] = []
    for week, score in enumerate(missed_by):
        now = START + week * WEEK
        reach, _ = stated_reach(CHANCE, trials, now)
        trials.append(Trial(now, now + delay * WEEK, float(score), reach))
    return trials


def reach_after(trials: Sequence[Trial]) -> float:
    """What is stated once every label has come."""
    return stated_reach(CHANCE, trials, START + 1000 * WEEK)[0]


@st.composite
def walks(draw: st.DrawFn) -> list[Trial]:
    return walk(draw(st.lists(scores, max_size=45)), draw(delays))


@given(walks())
def test_the_reach_is_never_below_that_of_chance_nor_below_what_was_lately_seen(trials: list[Trial]) -> None:
    newest = [one.score for one in trials[-MEMORY:]]

    assert reach_after(trials) >= max([CHANCE, *newest])


@given(walks(), st.integers(0, 50), scores)
def test_what_was_not_known_at_the_moment_is_not_looked_at(trials: list[Trial], week: int, other: float) -> None:
    now = START + week * WEEK
    later = [one if one.known_at <= now else replace(one, score=other) for one in trials]
    known = [one for one in trials if one.known_at <= now]

    assert stated_reach(CHANCE, trials, now) == stated_reach(CHANCE, later, now) == stated_reach(CHANCE, known, now)


@given(walks(), st.randoms(use_true_random=False))
def test_the_order_in_which_windows_are_read_does_not_matter(trials: list[Trial], random: Random) -> None:
    shuffled = list(trials)
    random.shuffle(shuffled)

    assert reach_after(shuffled) == reach_after(trials)


@given(walks(), st.floats(1e-6, 50), st.floats(1e-6, 50))
def test_the_further_the_newest_window_was_missed_the_more_is_stated_next(
    trials: list[Trial], further: float, more: float
) -> None:
    reach = reach_after(trials)
    now = START + 100 * WEEK
    missed = Trial(now, now + WEEK, reach + further, reach)
    missed_more = replace(missed, score=missed.score + more)

    assert reach < missed.score < reach_after([*trials, missed]) < reach_after([*trials, missed_more])


@given(walks(), st.sampled_from([0.25, 0.5, 2.0, 16.0]))
def test_the_units_of_the_scores_do_not_matter(trials: list[Trial], unit: float) -> None:
    scaled = [replace(one, score=one.score * unit, reach=one.reach * unit) for one in trials]

    reach, _ = stated_reach(CHANCE * unit, scaled, START + 1000 * WEEK)

    assert reach == pytest.approx(reach_after(trials) * unit)


@given(st.lists(scores, max_size=40), delays)
@settings(max_examples=50)
def test_a_window_far_off_is_forgotten_once_as_many_quiet_ones_have_come_as_are_remembered(
    missed_by: list[float], delay: int
) -> None:
    quiet = walk([*missed_by, *[0.5] * 200], delay)

    assert reach_after(quiet[-MEMORY:]) == CHANCE


def test_no_window_yet_means_chance_alone() -> None:
    assert stated_reach(CHANCE, [], START) == (CHANCE, 0)


def none(weeks: int) -> NDArray[np.float64]:
    return np.zeros(weeks)


def abrupt(weeks: int) -> NDArray[np.float64]:
    return np.where(np.arange(weeks) < weeks // 2, 0.0, 10.0)


def slow(weeks: int) -> NDArray[np.float64]:
    return 0.2 * np.arange(weeks)


def coverage(bias: Callable[[int], NDArray[np.float64]], delay: int, weeks: int = 104) -> NDArray[np.float64]:
    """Share of thirty versions' windows inside, week by week: the bias in deviations, with noise of one deviation."""
    generator = np.random.default_rng(7)
    noisy = [np.abs(bias(weeks) + generator.normal(size=weeks)) for _ in range(30)]
    return np.mean([[not one.missed for one in walk(missed_by, delay)] for missed_by in noisy], axis=0)


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize("bias", [none, abrupt, slow])
def test_nine_windows_in_ten_are_covered_in_the_long_run(
    bias: Callable[[int], NDArray[np.float64]], delay: int
) -> None:
    found = coverage(bias, delay)

    assert found.mean() >= 0.9
    assert found[-26:].mean() >= 0.93


def test_an_abrupt_change_is_missed_until_its_first_labels_have_come_and_hardly_after() -> None:
    found = coverage(abrupt, delay=3)

    assert found[52:55].max() == 0.0
    assert found[55:].mean() >= 0.93


def test_learning_costs_little_width_where_nothing_has_changed() -> None:
    generator = np.random.default_rng(3)

    reaches = [one.reach for _ in range(30) for one in walk(np.abs(generator.normal(size=52)))]

    assert CHANCE <= np.mean(reaches) <= 1.25 * CHANCE
