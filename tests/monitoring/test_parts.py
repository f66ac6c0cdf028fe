"""Slices, weakest segments, and gaps between groups."""

import numpy as np
import pandas as pd
import pytest

from monitoring.block_ratios import discoveries, mean_of
from monitoring.fairness import fairness_gaps
from monitoring.labels import LabelledRows
from monitoring.segments import parting, segments


def questions(rows=6000, *, seed=0, planted=0.0, days=14):
    """Features, losses and days; `planted` raises the chance of a yes that nobody expects for carrier C at night."""
    generator = np.random.default_rng(seed)
    features = pd.DataFrame({f"x{place}": generator.normal(size=rows) for place in range(6)})
    features["carrier"] = generator.choice(list("ABCDEFGH"), rows)
    features["hour"] = generator.integers(0, 24, rows).astype(float)
    day = generator.integers(days, size=rows)
    p = np.clip(0.2 + 0.1 * generator.normal(size=rows), 0.02, 0.98)
    true = np.clip(p + 0.05 * generator.normal(size=days)[day], 0.01, 0.99)
    odd = (features["carrier"] == "C") & (features["hour"] > 17)
    y = (generator.random(rows) < np.where(odd, np.minimum(true + planted, 1), true)).astype(float)
    return features, (p - y) ** 2, day


def test_a_planted_weak_segment_of_two_columns_is_found_first():
    features, losses, day = questions(planted=0.5)

    found = [one for one in segments(features, losses, day, metric="brier") if one.weak]

    assert "carrier=C" in found[0].segment
    assert "hour in" in found[0].segment
    assert found[0].worse.low > 0
    assert found[0].inside.rows == found[0].rows


def test_a_value_with_an_and_in_it_is_no_pair_and_numbers_close_together_are_told_apart():
    features, losses, day = questions(8000)
    features["carrier"] = features["carrier"].replace({"A": "C & D", "B": "C & hour=1"})
    losses = losses + 0.2 * features["carrier"].isin(["C", "C & D"])

    found = [one.segment for one in segments(features, losses, day, metric="brier")]
    cut = parting(pd.Series(1.7e9 + np.arange(8000) % 11, name="born"))

    assert {"carrier=C", "carrier=C & D"} <= set(found)
    assert cut.names[:2] == ("born in (1700000000, 1700000002]", "born in (1700000002, 1700000005]")


def test_where_no_segment_is_weak_hardly_ever_one_is_called_so():
    called = sum(
        any(one.weak for one in segments(*questions(3000, seed=seed), metric="brier", declared=["carrier"]))
        for seed in range(60)
    )

    assert called <= 6


def test_every_declared_slice_is_told_weak_or_not_and_a_small_one_says_so():
    features, losses, day = questions(2000)
    features["origin"] = np.where(np.arange(2000) < 40, "tiny", "large")

    found = {
        one.segment: one for one in segments(features, losses, day, metric="brier", declared=["origin", "carrier"])
    }

    assert found["origin=tiny"].note == "40 rows, 100 needed"
    assert not found["origin=tiny"].weak
    assert {f"carrier={name}" for name in "ABCDEFGH"} < set(found)
    assert all(one.declared for one in found.values())


def test_too_few_blocks_are_no_verdict():
    features, losses, _ = questions(2000, planted=0.5)

    found = segments(features, losses, np.arange(2000) % 3, metric="brier", declared=["carrier"])

    assert {one.note for one in found} == {"3 blocks, 7 needed"}
    assert {(one.worse, one.weak) for one in found} == {(None, False)}


ODD = {
    "no rows": lambda features: features.iloc[:0],
    "one row": lambda features: features.iloc[:1],
    "all null": lambda features: features.assign(**dict.fromkeys(features.columns, None)),
    "constant": lambda features: features.assign(**dict.fromkeys(features.columns, 1.0)),
    "infinite": lambda features: features.assign(x0=np.inf),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_odd_windows_raise_nothing_and_claim_nothing(change):
    features, losses, day = questions(1000)
    features = change(features)

    found = segments(features, losses[: len(features)], day[: len(features)], metric="brier", declared=["carrier"])

    assert not any(one.weak for one in found)
    assert all(one.note for one in found if one.worse is None)


def grouped(rows=4000, *, seed=0, unfair=0.0):
    generator = np.random.default_rng(seed)
    group = generator.choice(["a", "b", "c"], rows, p=[0.5, 0.49, 0.01])
    p = np.clip(generator.beta(3, 3, rows) + unfair * (group == "a"), 0, 1)
    y = (generator.random(rows) < 0.5).astype(float)
    return LabelledRows(pd.DataFrame({"group": group}), p, y, generator.integers(14, size=rows), binary=True)


def test_a_gap_between_groups_is_measured_with_an_interval_and_small_groups_are_named():
    gaps = {one.rate: one for one in fairness_gaps(grouped(unfair=0.2), "group")}

    selected = gaps["share of yes answers"]
    assert (selected.high, selected.low) == ("a", "b")
    assert selected.gap.low > 0.2
    assert gaps["answer minus outcome"].gap.low > 0.1
    assert selected.note == "1 of 3 groups have fewer than 50 rows"


def test_the_values_of_a_group_are_told_whatever_signs_are_in_its_name():
    rows = grouped(unfair=0.2)
    named = LabelledRows(
        rows.features.rename(columns={"group": "a=b"}), rows.predictions, rows.labels, rows.blocks, True
    )

    assert {(gap.column, gap.high, gap.low) for gap in fairness_gaps(named, "a=b")[:1]} == {("a=b", "a", "b")}


def test_equal_treatment_is_inside_the_interval_nearly_always():
    covered = sum(
        gap.gap.low <= 0
        for seed in range(40)
        for gap in fairness_gaps(grouped(seed=seed), "group")
        if gap.gap is not None
    )

    assert covered >= 148  # of 160


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        (
            LabelledRows(pd.DataFrame({"group": ["a"] * 90}), np.full(90, 0.4), np.ones(90), np.arange(90), True),
            "one group only",
        ),
        (
            LabelledRows(pd.DataFrame({"group": [None] * 9}), np.full(9, 0.4), np.ones(9), np.arange(9), True),
            "1 of 1 groups",
        ),
    ],
)
def test_a_gap_that_cannot_be_told_says_why(rows, note):
    gaps = fairness_gaps(rows, "group")

    assert {one.gap for one in gaps} == {None}
    assert note in gaps[0].note


def test_an_interval_by_block_is_wider_than_by_row_when_days_share_their_luck():
    generator = np.random.default_rng(2)
    day = np.repeat(np.arange(20), 100)
    values = generator.normal(size=20)[day] + 0.1 * generator.normal(size=2000)

    by_day = mean_of(values, np.ones(2000, bool), day).estimate()
    by_row = mean_of(values, np.ones(2000, bool), np.arange(2000)).estimate()

    assert by_day.value == pytest.approx(values.mean())
    assert by_day.high - by_day.low > 5 * (by_row.high - by_row.low)


def test_discoveries_are_those_of_benjamini_and_hochberg():
    p = np.array([0.001, 0.9, np.nan, 0.012, 0.02, 0.5])

    assert discoveries(p, 0.05).tolist() == [True, False, False, True, True, False]
