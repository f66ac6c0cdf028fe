import numpy as np
import pandas as pd
import pytest

from monitoring.attribution_drift import attribution_drift, changed_effects, models_apart, ndcg
from monitoring.drift import drift
from monitoring.labels import LabelledRows
from monitoring.reference import Reference

COLUMNS = ("x0", "x1", "x2", "x3", "carrier")


def answered(rows=4000, *, seed=0, x3=1.0, shock=0.3):
    """Questions whose answer hangs on x0 and x3, and a champion who believes that x3 acts as it always did."""
    generator = np.random.default_rng(seed)
    features = pd.DataFrame({name: generator.normal(size=rows) for name in COLUMNS[:-1]})
    features["carrier"] = generator.choice(["a", "b", "c"], rows)
    day = generator.integers(14, size=rows)
    believed = features["x0"] + features["x3"]
    true = features["x0"] + x3 * features["x3"] + shock * generator.normal(size=14)[day]
    y = (generator.random(rows) < 1 / (1 + np.exp(-true))).astype(float).to_numpy()
    p = (1 / (1 + np.exp(-believed))).to_numpy()
    return LabelledRows(features, p, y, day, binary=True)


@pytest.mark.parametrize("x3", [-1.0, 0.0, 0.4])
def test_a_column_that_acts_differently_is_ranked_first_while_every_marginal_stays(x3):
    rows = answered(x3=x3)

    found = changed_effects(rows)

    marginals = drift(Reference.of(answered(seed=9).features), rows.features)
    assert not any(one.drifted for one in marginals)
    assert found.findings[0].column == "x3"
    assert found.findings[0].p < 0.01
    assert found.note == "changed: x3"


def test_where_nothing_has_changed_hardly_ever_a_column_is_named():
    named = [changed_effects(answered(2000, seed=seed)).note for seed in range(40)]

    assert sum(bool(note) for note in named) <= 6


@pytest.mark.parametrize("rows", [answered(0), answered(1), answered(150)])
def test_too_few_labels_are_no_verdict(rows):
    found = changed_effects(rows)

    assert found.findings == ()
    assert "200 in 7 needed" in found.note


@pytest.mark.parametrize("labels", [0.0, 1.0])
def test_labels_of_one_class_are_looked_at_as_they_are(labels):
    rows = answered()
    found = changed_effects(
        LabelledRows(rows.features, rows.predictions, np.full(4000, labels), rows.blocks, binary=True)
    )

    assert {one.column for one in found.findings} == set(COLUMNS)
    assert all(np.isfinite(one.shift) for one in found.findings)


def test_columns_without_values_take_no_part():
    rows = answered()
    empty = rows.features.assign(x1=np.nan, x2=None, carrier="a")

    found = changed_effects(LabelledRows(empty, rows.predictions, rows.labels, rows.blocks, binary=True))

    shifts = {one.column: one.shift for one in found.findings}
    assert (shifts["x1"], shifts["x2"], shifts["carrier"]) == (0, 0, 0)


def test_the_share_of_a_column_that_the_model_leans_on_more_comes_first():
    generator = np.random.default_rng(0)
    before, now = (generator.normal(size=(200, 5)) * [3, 1, 1, 1, 0.1] for _ in range(2))
    now[:, 2] *= 4

    found = attribution_drift(COLUMNS, before, now)

    assert found.findings[0].column == "x2"
    assert found.findings[0].now > 2 * found.findings[0].before
    assert sum(one.now for one in found.findings) == pytest.approx(1)
    assert found.ndcg < 1


def test_a_column_read_the_other_way_round_parts_two_models_although_its_share_is_the_same():
    values = np.random.default_rng(0).normal(size=(200, 5))

    found = models_apart(COLUMNS, values, values * [1, 1, 1, -1, 1])

    assert found.findings[0].column == "x3"
    assert found.findings[0].before == found.findings[0].now
    assert [one.shift for one in found.findings[1:]] == pytest.approx([0] * 4)


def test_the_same_ranking_agrees_and_a_reversed_one_agrees_least():
    sizes = np.array([4.0, 3.0, 2.0, 1.0])

    assert ndcg(sizes, sizes * 7) == 1
    assert ndcg(sizes, sizes[::-1]) < ndcg(sizes, np.array([4.0, 3.0, 1.0, 2.0])) < 1
    assert ndcg(np.zeros(4), sizes) is None


def test_nothing_to_explain_is_said():
    empty = np.zeros((0, 5))

    assert attribution_drift(COLUMNS, empty, empty).note == "no rows to explain"
    assert models_apart(COLUMNS, empty, empty).note == "no rows that both models explain"
