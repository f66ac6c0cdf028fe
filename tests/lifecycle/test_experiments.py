"""Who answers whom in an experiment: the share it was given, always the same, and another one in another experiment."""

from __future__ import annotations

from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.experiments import Experiment, Variant, bucket, experiment_of, unit_of

UNITS = [f"unit {number}" for number in range(20_000)]
shares = st.floats(0, 1)


def taken(experiment: Experiment, units: list[str]) -> set[str]:
    return {unit for unit in units if experiment.assign(unit) is Variant.CHALLENGER}


@given(share=shares, challenger=st.integers(1, 500), salt=st.text(max_size=8))
def test_the_challenger_gets_its_share_within_five_standard_deviations(share, challenger, salt):
    units = UNITS[:2000]

    found = len(taken(Experiment(experiment_of("late-flights", challenger), share, salt), units))

    assert abs(found - share * len(units)) <= 5 * sqrt(len(units) * share * (1 - share)) + 1


@given(one=shares, other=shares)
def test_a_share_that_grows_keeps_the_units_that_it_had(one, other):
    smaller, larger = (Experiment("e", share) for share in sorted((one, other)))

    assert taken(smaller, UNITS[:500]) <= taken(larger, UNITS[:500])


def test_experiments_and_salts_deal_the_units_independently():
    first = taken(Experiment("late-flights/4", 0.5), UNITS)

    for other in (Experiment("late-flights/5", 0.5), Experiment("late-flights/4", 0.5, "salt")):
        both = len(first & taken(other, UNITS))
        assert abs(both - 5000) <= 5 * sqrt(20_000 * 0.25 * 0.75)


@given(unit=st.text(), salt=st.text(), name=st.text())
def test_a_bucket_is_below_one_and_always_the_same(unit, salt, name):
    found = bucket(salt, name, unit)

    assert 0 <= found < 1
    assert found == bucket(salt, name, unit)
    assert Experiment(name, 1.0, salt).assign(unit) is Variant.CHALLENGER
    assert Experiment(name, 0.0, salt).assign(unit) is Variant.CHAMPION


def test_whoever_names_no_unit_is_answered_by_the_champion():
    assert Experiment("e", 1.0).assign(None) is Variant.CHAMPION


@given(keys=st.lists(st.one_of(st.integers(-(2**53), 2**53), st.text()), min_size=2, max_size=3))
def test_several_keys_make_a_unit_that_no_other_keys_make(keys):
    moved = [*keys[1:], keys[0]]

    assert (unit_of(keys) == unit_of(moved)) == (keys == moved)
    assert unit_of([float(key) if isinstance(key, int) else key for key in keys]) == unit_of(keys)
