"""How much each column adds to each answer: Shapley values, by the shap library (Lundberg and Lee 2017).

Our own pipelines around boosted trees are explained exactly and fast (TreeSHAP, in log odds for a yes or no); any
other model by asking it again with columns exchanged, in the units of its answer. Only values of one model, or of two
that were explained in the same way, compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from modeling.pipeline import column_kinds, prepare
from modeling.recalibration import inner
from modeling.tasks import Floats, Task, predict

SAMPLE = 200
"""Rows that are explained, evenly spaced over those that are given."""

_TREE, _ASKING = "log odds or number", "answer"
_ASKED, _BACKGROUND = 40, 20  # a model that is no tree is asked some hundred times a row


@dataclass(frozen=True, slots=True, eq=False)
class Attributions:
    """What each column added to each answer.

    Attributes:
        columns: in the order of the frame.
        values: rows x columns.
        rows: places of the explained rows in the frame that was given.
        unit: `log odds or number` by trees, `answer` by asking; only equal units compare.
    """

    columns: tuple[str, ...]
    values: Floats
    rows: np.ndarray
    unit: str

    @property
    def sizes(self) -> Floats:
        """Mean absolute value of each column."""
        sizes: Floats = np.abs(self.values).mean(axis=0) if len(self.values) else np.zeros(len(self.columns))
        return sizes


def attributions(model: Any, X: pd.DataFrame, background: pd.DataFrame, task: Task, *, seed: int = 0) -> Attributions:
    """Explain some rows of a frame.

    Args:
        model: a fitted pipeline.
        X: rows as the model takes them.
        background: rows that tell what is usual; models that are no trees are explained against some of them.
        task: how answers are read.
        seed: of the order in which columns are exchanged.
    """
    within, names = inner(model), tuple(map(str, X.columns))
    rows, frame = _some(X, SAMPLE)
    if not len(frame) or not len(background):
        return Attributions(names, np.zeros((0, len(names))), rows[:0], _ASKING)
    by_tree = _by_tree(within, prepare(frame, column_kinds(background)))
    if by_tree is not None:
        return Attributions(names, by_tree, rows, _TREE)
    rows, frame = _some(X, _ASKED)
    asked = _by_asking(model, frame, _some(background, _BACKGROUND)[1], task, seed)
    return Attributions(names, asked, rows, _ASKING)


def _some(frame: pd.DataFrame, most: int) -> tuple[np.ndarray, pd.DataFrame]:
    rows = (
        np.unique(np.linspace(0, len(frame) - 1, min(len(frame), most)).astype(np.int64))
        if len(frame)
        else np.zeros(0, np.int64)
    )
    return rows, frame.iloc[rows].reset_index(drop=True)


def _by_tree(model: Any, frame: pd.DataFrame) -> Floats | None:
    """Exact values of our own pipeline around boosted trees; none for any other model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    if not (isinstance(model, Pipeline) and len(model) == 2 and isinstance(model[0], ColumnTransformer)):
        return None
    if not isinstance(model[-1], (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        return None
    coded = list(model[0].get_feature_names_out())
    if sorted(coded) != sorted(frame.columns):
        return None
    import shap

    explained = shap.TreeExplainer(model[-1]).shap_values(model[0].transform(frame))
    values: Floats = np.asarray(explained, dtype=np.float64)[:, [coded.index(name) for name in frame.columns]]
    return values


def _by_asking(model: Any, frame: pd.DataFrame, background: pd.DataFrame, task: Task, seed: int) -> Floats:
    import shap

    code, decode = _coding(pd.concat([frame, background], ignore_index=True))
    masker = shap.maskers.Independent(code(background), max_samples=len(background))
    explainer = shap.explainers.Permutation(lambda coded: predict(task, model, decode(coded)), masker, seed=seed)
    explained = explainer(code(frame), max_evals=4 * frame.shape[1] + 2, silent=True)
    return np.asarray(explained.values, dtype=np.float64)


def _coding(frame: pd.DataFrame) -> tuple[Callable[[pd.DataFrame], Floats], Callable[[Floats], pd.DataFrame]]:
    """Texts as numbers and back, because what exchanges columns calculates with them."""
    kinds = column_kinds(frame)
    values = {name: pd.Index(prepare(frame)[name].unique()) for name, kind in kinds.items() if kind == "text"}

    def code(rows: pd.DataFrame) -> Floats:
        prepared = prepare(rows, kinds)
        columns = [values[n].get_indexer(pd.Index(prepared[n])) if n in values else prepared[n] for n in kinds]
        return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])

    def decode(coded: Floats) -> pd.DataFrame:
        columns = {
            name: values[name].to_numpy()[coded[:, k].astype(np.int64)] if name in values else coded[:, k]
            for k, name in enumerate(kinds)
        }
        return prepare(pd.DataFrame(columns), kinds)

    return code, decode
