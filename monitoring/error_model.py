"""Performance of a regression without labels: a second model that expects the error of the first.

Direct loss estimation (DLE): trees learn the absolute and the squared error from the features and the prediction, on
rows with labels that the model was not trained on. The mean of what they expect of a window is its MAE, and the root
of the squared one its RMSE. As with classes, a changed meaning of the features stays unseen until labels come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lifecycle.estimates import Estimate
from monitoring.block_ratios import LEVEL, MIN_BLOCKS, Integers, numbered, reach_of
from monitoring.confidence import FEWEST_ROWS
from monitoring.encoding import Encoding
from monitoring.trees import Trees, fit_trees

Floats = NDArray[np.float64]

METRICS = ("mae", "rmse")
TREES = 80
GROUPS = 5
_SOME = 1000  # rows that tell how unsure the trees are
_POWER = {"mae": 1, "rmse": 2}


@dataclass(frozen=True, slots=True, eq=False)
class ErrorModel:
    """What was learned about a regression's errors on the reference rows; made once per version.

    Attributes:
        encoding: of features and `prediction`.
        trees: expected absolute error (`mae`) and expected squared error (`rmse`) of a row.
        scale: variance of a row over (its expected squared error) to the power that its units ask for, so large that
            days that share their luck are counted in.
        without: the same trees learned without one group of blocks each. How far they disagree about a window is
            how unsure the trees are there, and a window may have shifted to where the reference has few rows.
        rows: reference rows.
        blocks: independent blocks among them.
    """

    encoding: Encoding
    trees: Mapping[str, Trees]
    scale: Mapping[str, float]
    without: Mapping[str, tuple[Trees, ...]]
    rows: int
    blocks: int

    def estimate(self, metric: str, frame: pd.DataFrame, *, level: float = LEVEL) -> Estimate | None:
        """`mae` or `rmse` of a window of features and `prediction`, and where the realised value is expected.

        Returns:
            None for an empty window, or a metric that no model of errors tells (r2).
        """
        if metric not in self.trees or not len(frame):
            return None
        X = self.encoding.matrix(frame)
        squared = np.maximum(self.trees["rmse"].predict(X), 0.0)
        mean = float(squared.mean() if metric == "rmse" else self.trees[metric].predict(X).mean())
        chance = self.scale[metric] * float((squared ** _POWER[metric]).sum()) / len(frame) ** 2
        variance = chance + self._own(metric, X)
        value, deviation = max(mean, 0.0), float(np.sqrt(variance))
        if metric == "rmse":
            value = float(np.sqrt(value))
            # The slope of the root, which has no end where hardly an error is expected; the root itself has one.
            deviation = min(deviation / (2 * value), math.sqrt(deviation)) if value else math.sqrt(deviation)
        reach = reach_of(self.blocks, level) * deviation
        return Estimate(value, max(value - reach, 0.0), value + reach, len(frame), self.blocks, level)

    def _own(self, metric: str, X: Floats) -> float:
        """Variance of the expected mean, from leaving out groups (Quenouille's and Tukey's jackknife)."""
        some = X[np.unique(np.linspace(0, len(X) - 1, min(len(X), _SOME)).astype(np.int64))]
        means = np.array([trees.predict(some).mean() for trees in self.without[metric]])
        return float(((means - means.mean()) ** 2).sum() * (means.size - 1) / means.size)


def learn_errors(frame: pd.DataFrame, labels: ArrayLike, blocks: ArrayLike, *, seed: int = 0) -> ErrorModel | None:
    """Learn on labelled rows that the model was not trained on.

    Args:
        frame: features and `prediction`.
        labels: one number a row.
        blocks: block of each row.
        seed: the same rows and seed give the same model.

    Returns:
        None below 300 rows or seven blocks.
    """
    places = numbered(np.asarray(blocks))
    count = int(places.max()) + 1 if places.size else 0
    if len(frame) < FEWEST_ROWS or count < MIN_BLOCKS:
        return None
    encoding = Encoding.of(frame)
    X = encoding.matrix(frame)
    missed = np.abs(np.asarray(labels, dtype=np.float64) - frame["prediction"].to_numpy(dtype=np.float64))
    errors = {"mae": missed, "rmse": missed**2}
    trees = {name: fit_trees(X, error, trees=TREES, seed=seed) for name, error in errors.items()}
    group = places % GROUPS
    without = {name: _without(X, error, group, seed) for name, error in errors.items()}
    beside = {name: _beside(X, group, found) for name, found in without.items()}
    squared = np.maximum(beside["rmse"], 0.0)
    scale = {name: _scale(error - beside[name], squared ** _POWER[name], places) for name, error in errors.items()}
    return ErrorModel(encoding, trees, scale, without, len(frame), count)


def _without(X: Floats, error: Floats, group: Integers, seed: int) -> tuple[Trees, ...]:
    return tuple(
        fit_trees(X[group != left_out], error[group != left_out], trees=TREES // 2, seed=seed)
        for left_out in range(GROUPS)
    )


def _beside(X: Floats, group: Integers, without: tuple[Trees, ...]) -> Floats:
    """What the trees that were learned without a row expect of it."""
    beside = np.empty(len(X))
    for left_out, trees in enumerate(without):
        beside[group == left_out] = trees.predict(X[group == left_out])
    return beside


def _scale(missed: Floats, expected: Floats, places: Integers) -> float:
    by_block = np.bincount(places, missed - missed.mean())
    between = float((by_block**2).sum()) * by_block.size / (by_block.size - 1)
    independent = float(((missed - missed.mean()) ** 2).sum())
    return max(between, independent) / max(float(expected.sum()), float(np.finfo(np.float64).tiny))
