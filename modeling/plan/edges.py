"""The questions at which a plan would be found out: values on and beside every threshold, and odd values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from modeling.plan.features import Op, Program
from modeling.plan.plan import Plan
from modeling.plan.trees import CATEGORICAL, Trees
from modeling.tasks import Floats

MAX_ROWS = 4096
ODD_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308, -1e308, 3.5e38, 1e15)
ODD_TEXTS = (None, "", "never seen", "\x00", "ÿ" * 50)
_UNDO = {Op.SUBTRACT: np.add, Op.ADD: np.subtract, Op.DIVIDE: np.multiply, Op.MULTIPLY: np.divide}


def edge_rows(plan: Plan, X: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Rows with every threshold of every numeric column, on it and beside it.

    Half of the rows have all columns on an edge, half have most columns as they are in `X`, so that splits far down
    are reached too.

    Args:
        X: some rows as they are asked; at least one.
    """
    edges = {column: _values(plan, place) for place, column in enumerate(plan.columns) if plan.kinds[place] == "number"}
    longest = max((values.size for values in edges.values()), default=0)
    rows = min(longest, MAX_ROWS)
    random = np.random.default_rng(seed)
    usual = X.iloc[random.integers(0, len(X), 2 * rows)].reset_index(drop=True)
    for column, values in edges.items():
        if not values.size:
            continue
        every = np.resize(values, max(rows, values.size))
        chosen = np.concatenate([random.permutation(every)[:rows], random.permutation(every)[:rows]])
        on_edge = (np.arange(2 * rows) < rows) | (random.random(2 * rows) < 0.2)
        usual[column] = np.where(on_edge, chosen, usual[column].to_numpy(np.float64))
    return usual


def odd_rows(columns: Sequence[str], kinds: Sequence[str], X: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Frames of usual rows in which one odd value takes each column in turn."""
    for kind, odd in (("number", ODD_NUMBERS), ("text", ODD_TEXTS)):
        names = [name for name, each in zip(columns, kinds, strict=True) if each == kind]
        if not names:
            continue
        for value in odd:
            frame = X.iloc[np.arange(len(names)) % len(X)].reset_index(drop=True)
            for row, name in enumerate(names):
                frame.loc[row, name] = value
            yield frame


def _values(plan: Plan, column: int) -> Floats:
    """Edges of one column: the thresholds of its features, taken back through their steps."""
    if not isinstance(plan.model, Trees):
        return np.empty(0)
    nodes = plan.model.nodes
    split = (nodes["child"] != np.arange(nodes.size)) & ((nodes["flags"] & CATEGORICAL) == 0)
    found = [np.empty(0)]
    for feature, source in enumerate(plan.program.source):
        if plan.program.inputs[source] == column and source not in plan.program.codes:
            thresholds = np.unique(nodes["value"][split & (nodes["feature"] == feature)])
            found.append(_beside(_taken_back(plan.program, feature, thresholds[np.isfinite(thresholds)])))
    values = np.unique(np.concatenate(found))
    return values[np.isfinite(values)]


def _taken_back(program: Program, feature: int, thresholds: Floats) -> Floats:
    with np.errstate(all="ignore"):
        for place in reversed(range(program.starts[feature], program.starts[feature + 1])):
            undo = _UNDO.get(Op(program.ops[place]))
            thresholds = thresholds if undo is None else undo(thresholds, program.values[place])
    return thresholds


def _beside(values: Floats) -> Floats:
    """The values and their neighbours, as float64 and as float32."""
    with np.errstate(all="ignore"):
        single = values.astype(np.float32)
        singles = [np.nextafter(single, np.float32(way)).astype(np.float64) for way in (-np.inf, np.inf)]
        doubles = [np.nextafter(values, way) for way in (-np.inf, np.inf)]
        halfway = [(single.astype(np.float64) + each) / 2 for each in singles]
    return np.concatenate([values, single.astype(np.float64), *singles, *doubles, *halfway])
