"""Trees as arrays answer what scikit-learn's own answer, and fall into one part a column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from monitoring.encoding import Encoding
from monitoring.trees import Trees, fit_trees


def rows(seed: int = 0, many: int = 600) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(many, 4))
    X[generator.random((many, 4)) < 0.1] = np.nan
    X[:, 3] = generator.integers(0, 5, many)
    return X, np.nan_to_num(X[:, 0] * X[:, 1]) + X[:, 3] + generator.normal(size=many)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_they_answer_what_scikit_learn_answers(seed: int) -> None:
    X, y = rows(seed)
    theirs = HistGradientBoostingRegressor(
        max_iter=20, max_leaf_nodes=31, max_depth=6, min_samples_leaf=20, early_stopping=False, random_state=seed
    )
    with threadpool_limits(1):
        theirs.fit(X, y)

    ours = fit_trees(X, y, trees=20, seed=seed)

    asked, _ = rows(seed + 1)
    with threadpool_limits(1):
        assert ours.predict(asked) == pytest.approx(theirs.predict(asked), rel=1e-12, abs=1e-12)


def test_additive_trees_fall_into_one_part_a_column() -> None:
    X, y = rows()
    trees = fit_trees(X, y, trees=30, seed=0, additive=True)

    parts = trees.parts(X)

    assert parts.sum(axis=1) + trees.start[0] == pytest.approx(trees.predict(X))
    moved = X.copy()
    moved[:, 3] += 1
    assert (trees.parts(moved)[:, :3] == parts[:, :3]).all()


def test_they_come_back_from_their_arrays() -> None:
    X, y = rows()
    trees = fit_trees(X, y, trees=5, seed=0)

    again = Trees.from_arrays(trees.arrays("a."), "a.")

    assert (again.predict(X) == trees.predict(X)).all()
    with pytest.raises(KeyError):
        Trees.from_arrays(trees.arrays("a."), "b.")


def test_a_column_without_any_value_is_no_obstacle() -> None:
    X, y = rows()
    X[:, 2] = np.nan

    assert np.isfinite(fit_trees(X, y, trees=5, seed=0).predict(X)).all()


def test_an_encoding_comes_back_from_what_json_holds(window: Callable[..., pd.DataFrame]) -> None:
    frame = window(200)
    encoding = Encoding.of(frame)

    again = Encoding.from_plain(encoding.plain())

    assert np.array_equal(again.matrix(frame), encoding.matrix(frame), equal_nan=True)
    assert np.isnan(again.matrix(frame.assign(carrier="never seen"))[:, 2]).all()
