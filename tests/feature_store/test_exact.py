from __future__ import annotations

import math
import statistics
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars import col

from feature_store.definitions.aggregates import Aggregate, Kind, answer_type, recognise
from feature_store.errors import SumOverflowError
from feature_store.point_in_time.exact import exact_mean, exact_moments, exact_parts, exact_std, exact_sum, whole_sum

doubles = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12)
anything = st.lists(st.floats(), max_size=8)


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def same(left: float | None, right: float | None) -> bool:
    return left == right or (left != left and right != right)


@given(doubles, doubles)
def test_a_sum_is_the_real_sum_rounded_once_also_from_merged_parts(left, right) -> None:
    real = rounded(sum(map(Fraction, left + right), Fraction(0)))

    assert exact_sum(left + right) == real
    assert exact_sum(exact_parts(left) + exact_parts(right)) == real


@given(anything, anything)
def test_parts_that_are_not_finite_merge_as_the_values_do(left, right) -> None:
    assert same(exact_sum(exact_parts(iter(left)) + exact_parts(right)), exact_sum(left + right))


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([], 0.0),
        ([math.inf, 1.0], math.inf),
        ([-math.inf, math.inf], math.nan),
        ([math.nan, math.inf], math.nan),
        ([1.7e308, 1.7e308], math.inf),
        ([-1.7e308, -1.7e308], -math.inf),
        ([math.inf, 1e308, 1e308], math.inf),
        ([1e308, 1e308, -math.inf], -math.inf),
        ([1e308, 1e308, math.nan], math.nan),
    ],
)
def test_sums_follow_the_rules_of_doubles_at_the_edges(values, answer) -> None:
    assert same(exact_sum(values), answer)
    assert len(exact_parts([1.0, math.nan])) == 1


@settings(max_examples=60)
@given(doubles, doubles)
def test_a_deviation_is_the_root_of_the_exact_variance_also_from_merged_moments(left, right) -> None:
    values = [Fraction(value) for value in left + right]
    expected = math.sqrt(rounded(statistics.variance(values))) if len(values) > 1 else None

    assert exact_std(exact_moments(left).merged(exact_moments(right))) == expected


def test_a_deviation_with_an_infinity_is_nan_and_of_one_value_is_null() -> None:
    assert same(exact_std(exact_moments([1.0, math.inf])), math.nan)
    assert exact_std(exact_moments([math.inf])) is None
    assert exact_std(exact_moments([True, False, True])) == statistics.stdev([1, 0, 1])


def test_a_mean_is_the_sum_divided_and_null_without_values() -> None:
    assert exact_mean(exact_sum([0.1] * 10), 10) == 0.1
    assert exact_mean(0.0, 0) is None


def test_a_sum_of_whole_numbers_never_wraps() -> None:
    assert whole_sum([2**62, 2**62 - 2, True]) == 2**63 - 1
    with pytest.raises(SumOverflowError, match="add up to 9223372036854775808, which 64 bits cannot hold"):
        whole_sum([2**62, 2**62])


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        (pl.len(), Kind.LEN),
        (col("x").len(), Kind.LEN),
        (col("x").count(), Kind.COUNT),
        (col("x").sum().alias("total"), Kind.SUM),
        ((col("x") > 1).mean(), Kind.MEAN),
        (col("x").std(), Kind.STD),
        (col("x").cast(float).min(), Kind.MIN),
        (col("x").abs().max(), Kind.MAX),
        (col("x").last(), Kind.LAST),
        (col("x").n_unique(), Kind.N_UNIQUE),
        (col("x").is_null().sum(), Kind.SUM),
        (col("x").fill_null(math.nan).sum(), Kind.SUM),
        (pl.when(col("x") > 1).then(col("y")).otherwise(0).sum(), Kind.SUM),
    ],
)
def test_the_closed_set_is_recognised(expression, kind) -> None:
    found = recognise(expression)

    assert isinstance(found, Aggregate)
    assert found.kind is kind
    assert (found.values is None) == (kind is Kind.LEN)


@pytest.mark.parametrize(
    "expression",
    [
        col("x").shift(1).sum(),
        col("x").filter(col("y") > 1).sum(),
        col("x").fill_null(col("x").mean()).sum(),
        col("x").std(ddof=0),
        col("x").sort().last(),
        col("x").first(),
        col("x").sum() / col("y").sum(),
        pl.lit(1).sum(),
    ],
)
def test_everything_else_is_left_to_polars(expression) -> None:
    assert recognise(expression) is None


def test_answers_keep_the_type_where_polars_does_and_whole_sums_are_64_bits() -> None:
    schema = {"f": pl.Float32(), "i": pl.Int8(), "b": pl.Boolean(), "s": pl.String(), "d": pl.Date()}

    def told(expression: pl.Expr) -> pl.DataType | None:
        found = recognise(expression)
        assert found is not None
        return answer_type(found, schema)

    assert [told(col("f").mean()), told(col("i").mean()), told(col("b").sum())] == [pl.Float32, pl.Float64, pl.Int64]
    assert [told(col("i").min()), told(col("s").last()), told(col("d").max())] == [pl.Int8, pl.String, pl.Date]
    assert [told(col("s").min()), told(col("s").sum()), told(col("d").mean())] == [None, None, None]
    assert told(col("s").n_unique()) == pl.Int64
