"""Who computes a plan: machine code where numba is installed, else NumPy; the bits are the same."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from modeling.plan import trees as flat
from modeling.plan.features import Op, Program
from modeling.plan.quickscorer import leaf_sets
from modeling.plan.trees import Trees
from modeling.tasks import Floats

MANY = 24
"""Rows from which on it pays to go down the trees with all of them at once."""
AT_ONCE = 1024
"""Rows that do so together: more would not stay in the cache."""


Scores = Floats | tuple[float]
"""Of one row, (k,); a tuple where there is one, because an array of one number costs as much as it."""


class Engine(Protocol):
    """Computes the features and the scores of rows."""

    def features(self, program: Program, inputs: Floats) -> Floats | None:
        """Features of n rows of inputs, (n, features); none where the pipeline would raise."""

    def scores(self, trees: Trees, X: Floats) -> Floats:
        """Scores of n rows of features, (n, k)."""

    def batch(self, trees: Trees) -> Callable[[Floats], Floats]:
        """The same as a function, with everything that does not depend on the rows done beforehand."""

    def row(self, program: Program, trees: Trees) -> Callable[[Floats], Scores | None]:
        """A function from one row of inputs to its scores, (k,)."""


@functools.cache
def engine() -> Engine:
    """The fastest one that is installed."""
    return Numba() if importlib.util.find_spec("numba") else Numpy()


class Numba:
    """Machine code; the first use of a process reads it from numba's cache on disk, or compiles it for seconds."""

    def features(self, program: Program, inputs: Floats) -> Floats | None:
        from modeling.plan import kernel

        X = np.empty((len(inputs), program.source.size))
        fine = kernel.features(inputs, _steps(program), X)
        return X if fine else None

    def scores(self, trees: Trees, X: Floats) -> Floats:
        return self.batch(trees)(X)

    def batch(self, trees: Trees) -> Callable[[Floats], Floats]:
        from modeling.plan import kernel

        forest, together = _forest(trees), _together(trees)

        def answer(X: Floats) -> Floats:
            X = np.ascontiguousarray(X)
            out = np.repeat(trees.base[None, :], len(X), axis=0)
            if together is None or len(X) < MANY:
                kernel.score_rows(X, forest, out)
                return out
            for start in range(0, len(X), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                together(X[part], out[part])
            return out

        return answer

    def row(self, program: Program, trees: Trees) -> Callable[[Floats], Scores | None]:
        from modeling.plan import kernel

        steps, forest, base = _steps(program), _forest(trees), trees.base
        layout = _layout(trees)
        if layout is not None and base.size == 1:
            return _alone(steps, layout, trees)
        score_row = kernel.score_row

        def answer(inputs: Floats) -> Scores | None:
            found: Floats = score_row(inputs, steps, forest, base)
            return found if found.size else None

        return answer


def _together(trees: Trees) -> Callable[[Floats, Floats], None] | None:
    """What adds the scores of many rows to an array; none where rows go down the trees one by one."""
    from modeling.plan.kernel import score_by_leaf_sets, score_many

    layout, answers = _layout(trees), trees.answers
    if layout is None:
        return None
    sets = leaf_sets(trees)
    parts = None if sets is None else sets.parts()

    def add(X: Floats, out: Floats) -> None:
        if parts is None or np.isnan(X).any():
            score_many(X, layout, answers, out)
        else:
            score_by_leaf_sets(np.ascontiguousarray(X.T), parts, out)

    # Machine code is read now, not while somebody waits.
    nobody, nothing = np.empty((0, int(trees.nodes["feature"].max()) + 1)), np.empty((0, trees.base.size))
    score_many(nobody, layout, answers, nothing)
    add(nobody, nothing)
    return add


def _alone(steps: tuple[Any, ...], layout: tuple[Any, ...], trees: Trees) -> Callable[[Floats], Scores | None]:
    from modeling.plan.kernel import score_alone

    answers, base = trees.answers, float(trees.base[0])

    def answer(inputs: Floats) -> Scores | None:
        fine, score = score_alone(inputs, steps, layout, answers, base)
        return (score,) if fine else None

    return answer


class Numpy:
    """The same without machine code."""

    def features(self, program: Program, inputs: Floats) -> Floats | None:
        X = inputs[:, program.source]
        with np.errstate(all="ignore"):
            for feature, (start, stop) in enumerate(zip(program.starts, program.starts[1:], strict=False)):
                for place in range(start, stop):
                    found = _step(X[:, feature], Op(program.ops[place]), float(program.values[place]), program.tables)
                    if found is None:
                        return None
                    X[:, feature] = found
        return X

    def scores(self, trees: Trees, X: Floats) -> Floats:
        return flat.scores(trees, X)

    def batch(self, trees: Trees) -> Callable[[Floats], Floats]:
        return functools.partial(flat.scores, trees)

    def row(self, program: Program, trees: Trees) -> Callable[[Floats], Scores | None]:
        def answer(inputs: Floats) -> Scores | None:
            X = self.features(program, inputs[None, :])
            return None if X is None else self.scores(trees, X)[0]

        return answer


def _steps(program: Program) -> tuple[Any, ...]:
    return program.source, program.starts, program.ops, program.values, program.tables


def _layout(trees: Trees) -> tuple[Any, ...] | None:
    """Nodes by column, and the depth of each tree; none where categories decide, or a leaf says several numbers."""
    if trees.sets.size or not trees.outputs.size:
        return None
    nodes = trees.nodes
    columns = [np.ascontiguousarray(nodes["value"])]
    columns += [nodes[name].astype(np.int32) for name in ("child", "feature", "flags")]
    return (*columns, trees.roots, flat.depths(trees), trees.outputs)


def _forest(trees: Trees) -> tuple[Any, ...]:
    return trees.nodes, trees.answers, trees.roots, trees.outputs, trees.leaves, trees.sets


_ARITHMETIC: dict[Op, Callable[[Floats, float], Floats]] = {
    Op.SUBTRACT: np.subtract,
    Op.DIVIDE: np.divide,
    Op.MULTIPLY: np.multiply,
    Op.ADD: np.add,
    Op.FILL: lambda x, value: np.where(np.isnan(x), value, x),
    Op.IS_NAN: lambda x, _: np.isnan(x).astype(np.float64),
    Op.FLOAT32: lambda x, _: x.astype(np.float32).astype(np.float64),
    Op.AT_LEAST: lambda x, value: np.where(x < value, value, x),
    Op.AT_MOST: lambda x, value: np.where(x > value, value, x),
}


def _step(x: Floats, op: Op, value: float, tables: Floats) -> Floats | None:
    if op is Op.TABLE:
        return tables[int(value) + x.astype(np.intp)]
    if op is Op.FINITE:
        return x if np.isfinite(x).all() else None
    if op is Op.NOT_INFINITE:
        return None if np.isinf(x).any() else x
    return _ARITHMETIC[op](x, value)
