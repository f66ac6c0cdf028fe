import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from monitoring.wasserstein import Runs, wasserstein

MANY = 300_007  # more than the cache holds, and no multiple of a run


def lognormal(seed, rows, offset=0.0):
    return np.sort(offset + np.random.default_rng(seed).lognormal(0, 1, rows))


def shifted_in_the_middle(values):
    """The middle third moved up, and a value in a hundred of the last third moved down below all others."""
    moved = values.copy()
    moved[len(values) // 3 : len(values) * 2 // 3] += 0.5
    moved[len(values) * 2 // 3 :: 100] = values[0] - 1
    return np.sort(moved)


@settings(max_examples=100, deadline=None)
@given(*[st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)] * 2)
def test_the_distance_of_two_samples_is_that_of_scipy(first, second):
    ours = wasserstein(np.sort(first), np.sort(second))

    assert ours == pytest.approx(wasserstein_distance(first, second), rel=1e-9, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(*[st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=400)] * 2)
def test_the_distance_of_two_samples_of_few_values_is_that_of_scipy(first, second):
    ours = wasserstein(np.sort(first), np.sort(second))

    assert ours == pytest.approx(wasserstein_distance(first, second), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e6])
@pytest.mark.parametrize(
    "sizes",
    [
        (20_000, 20_000),
        (20_000, 70_001),
        (70_001, 20_000),
        (9_999, 10_000),
        (1, 20_000),
        (MANY, MANY),
        (MANY, 299_999),
    ],
)
def test_the_distance_of_large_samples_is_that_of_scipy_whichever_is_larger(sizes, offset):
    first, second = (lognormal(seed, rows, offset) for seed, rows in enumerate(sizes))

    ours = wasserstein(first, second, Runs.of(first))

    assert ours == pytest.approx(wasserstein_distance(first, second), rel=1e-11, abs=0)


@pytest.mark.parametrize("rows", [MANY, 299_999])
def test_samples_that_cross_and_lie_apart_by_turns_are_as_far_apart_as_scipy_says(rows):
    first = lognormal(1, MANY)
    second = shifted_in_the_middle(lognormal(2, rows))

    ours = wasserstein(first, second, Runs.of(first))

    assert ours == pytest.approx(wasserstein_distance(first, second), rel=1e-11, abs=0)


def test_runs_change_nothing_of_the_distance():
    first, second = lognormal(1, MANY), lognormal(2, MANY)

    with_runs, without = wasserstein(first, second, Runs.of(first)), wasserstein(first, second)

    assert with_runs == pytest.approx(without, rel=1e-13, abs=0)


@pytest.mark.parametrize("values", [lognormal(1, MANY), np.full(MANY, 0.1), np.full(MANY, 1.7e308)])
def test_a_sample_is_at_no_distance_from_itself(values):
    assert wasserstein(values, values.copy(), Runs.of(values)) == 0.0


def test_a_sample_that_the_cache_holds_has_no_runs():
    assert Runs.of(lognormal(1, 20_000)) is None


def test_values_at_the_ends_of_the_doubles_are_infinitely_far_apart_and_no_error():
    least, greatest = np.full(MANY, -1.7e308), np.full(MANY, 1.7e308)

    assert wasserstein(least, greatest, Runs.of(least)) == np.inf
