import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.pipeline import make_pipeline

from modeling.plan.compile import compile_plan
from modeling.plan.engines import MANY, Numba
from modeling.plan.kernel import score_by_leaf_sets
from modeling.plan.quickscorer import MOST_LEAVES, leaf_sets
from modeling.plan.trees import scores
from modeling.tasks import Task

COLUMNS = ["x0", "x1", "x2"]


def trees_of(estimator, frame, target, task=Task.REGRESSION):
    kinds = ["number"] * len(COLUMNS)
    return compile_plan(make_pipeline(estimator).fit(frame.to_numpy(), target), task, COLUMNS, kinds).model


@pytest.fixture(scope="module")
def numbers():
    return pd.DataFrame(np.random.default_rng(3).normal(size=(1500, 3)), columns=COLUMNS)


def by_leaf_sets(trees, X):
    out = np.repeat(trees.base[None, :], len(X), axis=0)
    score_by_leaf_sets(np.ascontiguousarray(X.T), leaf_sets(trees).parts(), out)
    return out


def at_the_edges(trees, X):
    """Rows whose values are thresholds, the doubles next to them, zeros of both signs, and infinities."""
    edges = trees.nodes["value"][np.isfinite(trees.nodes["value"])]
    odd = [*edges, *np.nextafter(edges, np.inf), *np.nextafter(edges, -np.inf), 0.0, -0.0, np.inf, -np.inf]
    return np.random.default_rng(5).choice(np.array(odd), size=X.shape)


@pytest.mark.parametrize("leaves", [2, 31, MOST_LEAVES])
def test_splits_in_any_order_lead_to_the_leaf_that_a_walk_leads_to(leaves, numbers):
    trees = trees_of(HistGradientBoostingRegressor(max_iter=20, max_leaf_nodes=leaves), numbers, numbers["x0"] ** 2)

    for X in (numbers.to_numpy(), at_the_edges(trees, numbers)):
        np.testing.assert_array_equal(by_leaf_sets(trees, X), scores(trees, X))


def test_several_scores_get_the_answers_of_their_own_trees(numbers):
    target = np.digitize(numbers["x1"], [-0.5, 0.5]).astype(float)
    trees = trees_of(HistGradientBoostingClassifier(max_iter=9), numbers, target, Task.BINARY)
    X = numbers.to_numpy()

    assert trees.base.size == 3
    np.testing.assert_array_equal(by_leaf_sets(trees, X), scores(trees, X))


def test_trees_without_a_split_say_what_their_only_leaf_says(numbers):
    trees = trees_of(HistGradientBoostingRegressor(max_iter=3), numbers, np.full(len(numbers), 2.5))
    X = numbers.to_numpy()

    assert trees.roots.size == trees.nodes.size
    np.testing.assert_array_equal(by_leaf_sets(trees, X), scores(trees, X))


def test_a_tree_with_more_leaves_than_a_word_has_bits_is_walked(numbers):
    estimator = HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=MOST_LEAVES + 1)
    trees = trees_of(estimator, numbers, numbers["x0"] ** 2)
    forest = trees_of(RandomForestRegressor(3), numbers, numbers["x0"])

    assert leaf_sets(trees) is None
    assert leaf_sets(forest) is None


@pytest.mark.parametrize("gaps", [0, 1])
def test_rows_are_answered_alike_one_by_one_and_together_with_or_without_a_gap(gaps, numbers):
    X = numbers.to_numpy().copy()
    trees = trees_of(HistGradientBoostingRegressor(max_iter=20), numbers.mask(numbers > 2), numbers["x0"] ** 2)
    X[:gaps, 0] = np.nan
    answer = Numba().batch(trees)

    together, apart = answer(X), np.concatenate([answer(X[start : start + MANY - 1]) for start in range(0, 1500, 23)])

    np.testing.assert_array_equal(together, apart)
    np.testing.assert_array_equal(together, scores(trees, X))
