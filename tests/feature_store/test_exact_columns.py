from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import SumOverflowError
from feature_store.point_in_time.exact import exact_moments, exact_std, exact_sum
from feature_store.point_in_time.exact_columns import ExactColumn, variances

whole = st.integers(-(2**53), 2**53).map(float)
fractions = st.floats(-1e3, 1e3)
limbs_2_3 = st.floats(1e-9, 1e9)
anything = st.floats(allow_nan=False, allow_infinity=False)
columns = st.one_of(*(st.lists(kind, min_size=1, max_size=30) for kind in (whole, fractions, limbs_2_3, anything)))


@settings(max_examples=300)
@given(columns, st.data())
def test_sums_and_deviations_of_ranges_are_those_of_their_values_alone(values, data) -> None:
    ends = st.lists(st.integers(0, len(values)), min_size=2, max_size=2).map(sorted)
    low, high = np.array(data.draw(st.lists(ends, min_size=1, max_size=8))).T
    column = ExactColumn.of(np.array(values))
    sums, squares = (
        prefix.take(high).minus(prefix.take(low)) for prefix in (column.prefix(), column.squares().prefix())
    )

    ranges = [values[start:end] for start, end in zip(low, high, strict=True)]
    assert sums.rounded().tolist() == [exact_sum(one) for one in ranges]
    spreads = [None if math.isnan(one) else math.sqrt(one) for one in variances(high - low, sums, squares)]
    assert spreads == [exact_std(exact_moments(one)) for one in ranges]


@pytest.mark.parametrize(
    ("values", "limbs"),
    [([1.0, 2.5], 1), ([0.1, 1e2, 3.0], 2), ([1e-7, 1e5], 3), ([1e-300, 1e300], 1)],
)
def test_a_column_takes_as_many_limbs_as_its_powers_of_two_ask_for(values, limbs) -> None:
    column = ExactColumn.of(np.array(values))

    assert len(column.limbs) == limbs
    assert (column.limbs[0].dtype == object) == (max(values) == 1e300)


def test_whole_sums_beyond_64_bits_are_refused() -> None:
    sums = ExactColumn.of(np.array([2**62, 2**62, -5])).prefix()

    assert sums.take(np.array([1])).whole_sums().tolist() == [2**62]
    with pytest.raises(SumOverflowError, match="9223372036854775808"):
        sums.take(np.array([2])).whole_sums()
