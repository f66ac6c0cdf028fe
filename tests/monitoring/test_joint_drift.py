import numpy as np
import pandas as pd
import pytest

from lifecycle.drift_findings import JointDrift
from lifecycle.records import from_plain, to_bytes, to_plain
from monitoring.drift import drift
from monitoring.joint_drift import CLASSIFIER, RECONSTRUCTION, joint_drift
from monitoring.reference import Reference


def rows_of(rows=4000, *, seed=0, correlation=0.8):
    """Two columns that hang together, three that do not; every marginal is the same whatever the correlation is."""
    generator = np.random.default_rng(seed)
    first, second, other, more = generator.normal(size=(4, rows))
    return pd.DataFrame(
        {
            "delay": first,
            "distance": correlation * first + np.sqrt(1 - correlation**2) * second,
            "seats": other,
            "wind": more,
            "carrier": generator.choice(["AA", "UA", "DL"], rows, p=[0.5, 0.3, 0.2]),
        }
    )


def found(reference, current, **options):
    by_method = {one.method: one for one in joint_drift(reference, current, **options)}
    return by_method[CLASSIFIER], by_method[RECONSTRUCTION]


def test_a_correlation_that_flips_is_found_while_every_marginal_stays_still():
    reference, current = rows_of(), rows_of(seed=1, correlation=-0.8)

    classifier, reconstruction = found(reference, current)

    assert not any(one.drifted for one in drift(Reference.of(reference), current))
    assert classifier.value > 0.8
    assert classifier.p < 1e-6
    assert reconstruction.value > 0.1
    assert reconstruction.p < 1e-6


def test_windows_without_drift_are_rarely_called_improbable():
    p = np.array([[one.p for one in found(rows_of(600, seed=k), rows_of(600, seed=900 + k))] for k in range(60)])

    assert ((p < 0.05).sum(axis=0) <= 8).all()  # of 60; more have a chance below 1 in 100 at the stated rate
    assert (p > 0.3).any(axis=0).all()


def test_the_same_rows_and_seed_give_the_same_findings_and_what_follows_from_features_is_left_out():
    reference, current = rows_of(6000), rows_of(6000, seed=1)
    answered = [frame.assign(prediction=place, outlier_score=place) for place, frame in enumerate((reference, current))]

    once = joint_drift(reference, current, seed=3)

    assert once == joint_drift(*answered, seed=3)
    assert once[0] != joint_drift(reference, current, seed=4)[0]
    assert {one.rows for one in once} == {5000}


def test_a_column_that_is_gone_or_null_or_of_a_new_category_tells_the_window_from_the_reference():
    reference, current = rows_of(), rows_of(seed=1)

    assert found(reference, current.drop(columns="wind"))[0].value == pytest.approx(1)
    assert found(reference, current.assign(wind=np.nan))[0].value == pytest.approx(1)
    assert found(reference, current.assign(wind=np.inf))[0].value == pytest.approx(1)
    renamed = current.assign(carrier=current["carrier"].replace("AA", "American"))
    assert found(reference, renamed)[0].value > 0.7


@pytest.mark.parametrize("value", [1e200, -1e308])
def test_values_whose_squares_are_no_doubles_are_far_away_and_still_told(value):
    reference, current = rows_of(), rows_of(seed=1)
    current.loc[:9, "wind"] = value
    beyond = reference.assign(seats=np.where(reference.index < 9, value, reference["seats"]))

    assert to_bytes(joint_drift(reference, current))
    assert found(reference, current)[1].value > 1e90
    assert found(beyond, current.assign(wind=0.0))[1].value is not None


@pytest.mark.parametrize("rows", [0, 1, 199])
def test_a_window_of_few_rows_says_so_and_has_no_value(rows):
    for one in joint_drift(rows_of(), rows_of(rows)):
        assert (one.value, one.p) == (None, None)
        assert one.note == f"{rows} rows in the window, 200 needed"


def test_a_reference_of_few_rows_and_a_single_column_say_so():
    assert joint_drift(rows_of(50), rows_of())[0].note == "50 rows in the reference, 200 needed"
    single = joint_drift(rows_of()[["wind"]].assign(prediction=1.0), rows_of())
    assert {one.note for one in single} == {"1 columns, 2 needed to be taken together"}


def test_columns_that_never_vary_tell_nothing_apart_and_leave_nothing_to_reconstruct():
    constant = pd.DataFrame({"one": np.ones(500), "two": np.full(500, np.nan), "text": ["x"] * 500})

    classifier, reconstruction = found(constant, constant)

    assert (classifier.value, classifier.p) == (0.5, 1.0)
    assert reconstruction.value is None
    assert reconstruction.note == "0 columns vary in the reference, 2 needed"


def test_columns_that_were_the_same_and_are_not_any_more_are_found():
    reference = rows_of().assign(copy=lambda frame: frame["wind"])[["wind", "copy"]]
    current = rows_of(seed=1).assign(copy=lambda frame: -frame["wind"])[["wind", "copy"]]

    assert found(reference, reference)[1].p == 1.0
    assert found(reference, current)[1].value > 0.5
    assert found(reference, current)[1].p == pytest.approx(0)


def test_a_finding_is_told_in_a_few_words_and_so_is_why_there_is_none():
    assert JointDrift(CLASSIFIER, 0.8123, 1.5e-9, 4000).told == "domain classifier AUC 0.812 (p = 1.5e-09)"
    assert (
        joint_drift(rows_of(), rows_of(3))[1].told == "reconstruction error unknown: 3 rows in the window, 200 needed"
    )


def test_a_finding_comes_back_from_its_record():
    for one in (*joint_drift(rows_of(300), rows_of(300, seed=1)), *joint_drift(rows_of(), rows_of(3))):
        assert from_plain(JointDrift, to_plain(one)) == one


def test_a_category_too_rare_for_the_rows_that_are_looked_at_is_a_rare_one_in_the_window():
    reference, current = rows_of(20_000), rows_of(500, seed=1)
    reference["carrier"] = [f"rare {row}" if row % 40 == 0 else name for row, name in enumerate(reference["carrier"])]
    current["carrier"] = [f"rare {row * 40}" for row in range(500)]

    classifier, reconstruction = found(reference, current)

    assert classifier.value > 0.9
    assert reconstruction.value is not None
