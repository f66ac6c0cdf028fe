import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.bins import NumberBins, TextBins
from monitoring.columns import SortedNumbers
from monitoring.errors import LayoutMismatchError, UnreadableProfileError
from monitoring.profile import NumberProfile, Profile, profile_of_reference

LARGEST = float(np.finfo(np.float64).max)
numbers = st.lists(st.floats(width=64) | st.none() | st.sampled_from([0.0, -0.0, LARGEST, -LARGEST]), max_size=60)
mixed = st.sampled_from(["a", "b", "new", "", True, 1, 1.0, "1", 0.0, -0.0])
texts = st.lists(mixed | st.none() | st.text(max_size=3), max_size=60)


def frame_of(values, names):
    rows = max(len(values), len(names))
    values, names = values + [None] * (rows - len(values)), names + [None] * (rows - len(names))
    return pd.DataFrame({"x": pd.Series(values, dtype=float), "name": pd.Series(names, dtype=object)})


LAYOUT = profile_of_reference(frame_of([0.0, 1.0, 1.0, 2.5, 1e300, -4.0], ["a", "b", "a"])).layout


@settings(max_examples=300, deadline=None)
@given(numbers, texts, numbers, texts)
def test_two_windows_merged_are_the_window_of_both(values, names, more_values, more_names):
    first, second = frame_of(values, names), frame_of(more_values, more_names)

    merged = Profile.of(first, LAYOUT) + Profile.of(second, LAYOUT)

    assert merged.to_json() == Profile.of(pd.concat([second, first]), LAYOUT).to_json()
    assert merged == Profile.of(pd.concat([first, second]), LAYOUT)
    assert merged == Profile.of(second, LAYOUT) + Profile.of(first, LAYOUT)


@settings(max_examples=50, deadline=None)
@given(numbers, texts)
def test_a_profile_comes_back_from_its_text_and_equal_ones_are_equal_text(values, names):
    frame = frame_of(values, names)

    for profile in (Profile.of(frame, LAYOUT), profile_of_reference(frame)):
        assert Profile.from_json(profile.to_json()) == profile
        assert Profile.from_json(profile.to_json()).to_json() == profile.to_json()
    assert profile_of_reference(frame[::-1]).to_json() == profile_of_reference(frame).to_json()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=60), st.floats(-1e150, 1e150))
def test_the_mean_is_the_exact_mean_rounded_once(values, centre):
    profile = NumberProfile.of(SortedNumbers.of(pd.Series(values)), NumberBins((), centre))

    away = [value - centre for value in values]
    assert profile.sums[0] / 2**1074 == math.fsum(away)
    assert profile.sums[1] / 2**1074 == pytest.approx(math.fsum(value * value for value in away))


def test_the_moments_of_many_rows_are_those_of_numpy():
    values = np.random.default_rng(1).lognormal(3, 1, 100_000) + 1e6

    profile = profile_of_reference(pd.DataFrame({"x": values}))["x"]

    assert profile.mean == pytest.approx(values.mean(), rel=1e-15)
    assert profile.std == pytest.approx(values.std(), rel=1e-9)


def test_a_window_in_chunks_in_any_order_is_the_window_at_once(window):
    frame, layout = window(10_000, seed=1), profile_of_reference(window(5000)).layout
    chunks = [frame[start : start + 999] for start in range(0, 10_000, 999)]

    assert Profile.of_chunks(reversed(chunks), layout) == Profile.of(frame, layout)


def test_a_window_larger_than_memory_needs_the_memory_of_one_chunk(window):
    layout = profile_of_reference(window(5000)).layout

    def peak(chunks):
        tracemalloc.start()
        Profile.of_chunks((window(20_000, seed=seed) for seed in range(chunks)), layout)
        return tracemalloc.get_traced_memory()[1], tracemalloc.stop()

    assert peak(12)[0] < 1.5 * peak(3)[0]


def test_what_is_counted(window):
    frame = pd.DataFrame({"x": [0.0, 5.0, -9.0, np.inf, -np.inf, np.nan, 2.0]})
    layout = profile_of_reference(pd.DataFrame({"x": [0.0, 1.0, 2.0]})).layout

    column = Profile.of(frame, layout)["x"]

    assert (column.counts, column.nulls, column.infinities) == ((1, 1, 0, 1, 1), 1, (1, 1))
    assert (column.extremes, column.rows, column.values) == ((-9.0, 5.0), 7, 4)
    assert (column.distinct.count, column.distinct.top(1)) == (4, ((-9.0, 1),))


def test_distinct_values_are_counted_exactly_up_to_the_size_of_the_sketch_and_estimated_beyond():
    few = profile_of_reference(pd.DataFrame({"x": np.arange(100_000) % 255.0}))["x"]
    many = profile_of_reference(pd.DataFrame({"x": np.arange(300_000.0)}))["x"]

    assert (few.distinct.complete, few.distinct.count) == (True, 255)
    assert many.distinct.count == pytest.approx(300_000, rel=0.2)
    assert all(count == 1 for _, count in many.distinct.top(300))


def test_a_column_of_another_type_is_foreign_and_a_missing_one_is_null():
    layout = profile_of_reference(pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]})).layout

    profile = Profile.of(pd.DataFrame({"x": ["one", None, "two"]}), layout)

    assert (profile["x"].foreign, profile["x"].nulls, profile["x"].values) == (2, 1, 0)
    assert (profile["name"].nulls, profile["name"].counts) == (3, (0, 0, 0))


def test_an_empty_window_and_an_empty_reference_have_profiles():
    nothing = pd.DataFrame({"x": pd.Series([], dtype=float), "y": pd.Series([], dtype=object)})
    layout = profile_of_reference(nothing).layout

    profile = Profile.of(pd.DataFrame({"x": [1.0], "y": ["a"]}), layout)

    assert (profile.rows, profile["x"].counts, profile["y"].counts) == (1, (1,), (1,))
    assert Profile.of(pd.DataFrame(), layout).rows == 0
    assert math.isnan(Profile.of(pd.DataFrame(), layout)["x"].mean)


def test_profiles_of_different_bins_are_not_merged():
    one, two, three = (
        profile_of_reference(pd.DataFrame({"x": values})) for values in ([1.0, 2.0], [1.0, 2.0, 3.0], ["a", "b"])
    )

    with pytest.raises(LayoutMismatchError, match="number bins cannot be merged: 3 and 4"):
        one + two
    with pytest.raises(LayoutMismatchError, match="NumberProfile and TextProfile"):
        one + three
    with pytest.raises(LayoutMismatchError, match=r"columns cannot be merged: \['x'\] and \[\]"):
        one + Profile(())
    with pytest.raises(LayoutMismatchError, match="categories"):
        three["x"] + profile_of_reference(pd.DataFrame({"x": ["c"]}))["x"]


@pytest.mark.parametrize("text", ["", "{}x", '[["x",{}]]', "[1]"])
def test_another_text_is_no_profile(text):
    with pytest.raises(UnreadableProfileError):
        Profile.from_json(text)


def test_the_most_frequent_categories_have_bins():
    bins = TextBins.of({f"{number:03}": number + 1 for number in range(150)})

    assert bins.categories[0] == "050"
    assert bins.counts({"050": 2, "149": 1, "000": 5}) == (2, *[0] * 98, 1, 5)
