"""Boosted regression trees as plain arrays: fitted by scikit-learn, stored and asked without it, and without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAVES, _DEPTH = 31, 6
_NAMES = ("roots", "feature", "threshold", "missing_left", "left", "right", "value", "start")


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """A sum of trees.

    Attributes:
        roots: place of each tree's first node.
        feature: column that a node asks; a leaf names the first, and does not mind the answer.
        threshold: up to this value a row goes left.
        missing_left: whether a row without a value goes left.
        left: place of the next node; a leaf's own, so that a row which has arrived stays.
        right: the same on the other side.
        value: what a leaf adds.
        start: one number, what every sum begins with.
    """

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats
    start: Floats

    def leaves(self, X: Floats) -> NDArray[np.int64]:
        """The leaf of each row in each tree, rows x trees."""
        flat, columns = np.ascontiguousarray(X).ravel(), X.shape[1]
        node = np.broadcast_to(self.roots, (len(X), self.roots.size)).copy()
        first = np.arange(len(X))[:, None] * columns
        for _ in range(_DEPTH):  # a leaf asks its own column and stays where it is, whatever the answer
            asked = flat.take(first + self.feature.take(node))
            goes_left = (asked <= self.threshold.take(node)) | (np.isnan(asked) & self.missing_left.take(node))
            node = np.where(goes_left, self.left.take(node), self.right.take(node))
        return node

    def predict(self, X: Floats) -> Floats:
        """One number a row, for a matrix without infinities."""
        answers: Floats = self.start[0] + self.value[self.leaves(X)].sum(axis=1)
        return answers

    def parts(self, X: Floats) -> Floats:
        """What each column adds, rows x columns; of trees that each ask one column only."""
        added = self.value[self.leaves(X)]
        asked = self.feature[self.roots]
        return np.stack([added[:, asked == column].sum(axis=1) for column in range(X.shape[1])], axis=1)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """By name, to be stored."""
        return {prefix + name: getattr(self, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Trees:
        """The way back; raises KeyError where an array is missing."""
        return cls(*(arrays[prefix + name] for name in _NAMES))


def fit_trees(X: Floats, y: Floats, *, trees: int, seed: int, additive: bool = False) -> Trees:
    """Fit squared loss.

    Args:
        X: rows x columns, NaN where there is no value.
        y: one number a row.
        trees: how many; few leaves each, a slow rate.
        seed: the same rows and seed give the same trees.
        additive: each tree asks one column only, so that the sum falls into one part a column.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingRegressor(
        max_iter=trees,
        max_leaf_nodes=_LEAVES,
        max_depth=_DEPTH,
        min_samples_leaf=max(20, len(X) // 500),
        early_stopping=False,
        random_state=seed,
        interaction_cst="no_interactions" if additive else None,
    )
    known = np.where(np.isnan(X).all(axis=0), 0.0, X)  # scikit-learn cannot bin a column without any value
    with threadpool_limits(1):  # so few rows cost threads that wait for each other more than they gain
        model.fit(known, y)
    return _plain([one for (one,) in model._predictors], np.atleast_1d(np.float64(model._baseline_prediction.item())))


def _plain(predictors: list[Any], start: Floats) -> Trees:
    nodes = [one.nodes for one in predictors]
    sizes = np.array([len(one) for one in nodes], dtype=np.int64)
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    every = np.concatenate(nodes)
    offset, own = np.repeat(roots, sizes), np.arange(len(every))
    leaf = every["is_leaf"].astype(bool)
    return Trees(
        roots=roots,
        feature=np.where(leaf, 0, every["feature_idx"].astype(np.int64)),
        threshold=every["num_threshold"].astype(np.float64),
        missing_left=every["missing_go_to_left"].astype(bool),
        left=np.where(leaf, own, every["left"].astype(np.int64) + offset),
        right=np.where(leaf, own, every["right"].astype(np.int64) + offset),
        value=np.where(leaf, every["value"], 0.0).astype(np.float64),
        start=start,
    )
