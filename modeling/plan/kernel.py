"""Rows through steps and trees in machine code, compiled once for all models.

Models come as arrays in the arguments. A kernel closed over its arrays would be compiled again for each model, for
seconds and with the interpreter locked, at the very moment of a swap. Fast math stays off: it would let the compiler
change the order of additions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from modeling.plan.features import Op
from modeling.plan.trees import CATEGORICAL, MISSING_LEFT

_SUBTRACT, _DIVIDE, _MULTIPLY, _ADD = int(Op.SUBTRACT), int(Op.DIVIDE), int(Op.MULTIPLY), int(Op.ADD)
_FILL, _IS_NAN, _FLOAT32 = int(Op.FILL), int(Op.IS_NAN), int(Op.FLOAT32)
_AT_LEAST, _AT_MOST, _TABLE = int(Op.AT_LEAST), int(Op.AT_MOST), int(Op.TABLE)
_FINITE = int(Op.FINITE)

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile, and keep the machine code on disk beside this file or in numba's own folder."""
    return cast(Function, njit(cache=True, error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """Compile into the caller."""
    return cast(Function, njit(cache=True, error_model="numpy", inline="always")(function))


@inlined
def _arithmetic(x: Any, op: Any, value: Any) -> Any:
    if op == _SUBTRACT:
        return x - value
    if op == _DIVIDE:
        return x / value
    if op == _MULTIPLY:
        return x * value
    if op == _ADD:
        return x + value
    return np.float64(np.float32(x))


@inlined
def _choice(x: Any, op: Any, value: Any) -> Any:
    missing = x != x
    if op == _FILL:
        return value if missing else x
    if op == _IS_NAN:
        return 1.0 if missing else 0.0
    if op == _AT_LEAST:
        return value if x < value else x
    return value if x > value else x


@inlined
def _allowed(x: Any, op: Any) -> Any:
    return not (np.isinf(x) or (op == _FINITE and np.isnan(x)))


@compiled
def features_of(inputs: Any, steps: Any, row: Any) -> Any:
    """Fill `row` with the features of one row of inputs; false where the pipeline would raise."""
    source, starts, ops, values, tables = steps
    for feature in range(source.size):
        x = inputs[source[feature]]
        for place in range(starts[feature], starts[feature + 1]):
            op, value = ops[place], values[place]
            if op == _TABLE:
                x = tables[int(value) + int(x)]
            elif op >= _FINITE:
                if not _allowed(x, op):
                    return False
            elif op <= _ADD or op == _FLOAT32:
                x = _arithmetic(x, op, value)
            else:
                x = _choice(x, op, value)
        row[feature] = x
    return True


@compiled
def features(inputs: Any, steps: Any, X: Any) -> Any:
    """Fill `X` with the features of n rows; false where the pipeline would raise."""
    for row in range(inputs.shape[0]):  # noqa: SIM110  # numba compiles loops, not generators
        if not features_of(inputs[row], steps, X[row]):
            return False
    return True


@inlined
def _leaf(nodes: Any, root: Any, sets: Any, row: Any) -> Any:
    """Walk one row down one tree."""
    node = nodes[root]
    feature = node.feature
    while feature >= 0:
        x = row[feature]
        if node.flags & CATEGORICAL:
            right = _not_in_set(x, node.value, node.flags, sets)
        else:
            right = (not (x <= node.value)) & ((x == x) | ((node.flags & MISSING_LEFT) == 0))
        node = nodes[node.child + np.int32(right)]
        feature = node.feature
    return node.value


@inlined
def _not_in_set(x: Any, value: Any, flags: Any, sets: Any) -> Any:
    if not (x >= 0):  # NaN too
        return (flags & MISSING_LEFT) == 0
    code = np.int64(x) & 255
    return ((sets[np.int64(value), code >> 5] >> np.uint32(code & 31)) & np.uint32(1)) == 0


@inlined
def _add(forest: Any, row: Any, out: Any) -> Any:
    """Add the answers of all trees to `out`, (k,), in their order."""
    nodes, roots, outputs, leaves, sets = forest
    for tree in range(roots.size):
        found = _leaf(nodes, roots[tree], sets, row)
        if outputs.size:
            out[outputs[tree]] += found
        else:
            for k in range(out.size):
                out[k] += leaves[np.int64(found), k]


@compiled
def score_row(inputs: Any, steps: Any, forest: Any, base: Any) -> Any:
    """Scores of one row of inputs, (k,); empty where the pipeline would raise."""
    row = np.empty(steps[0].size)
    out = base.copy()
    if not features_of(inputs, steps, row):
        return out[:0]
    _add(forest, row, out)
    return out


@compiled
def score_rows(X: Any, forest: Any, out: Any) -> Any:
    """Add the answers of all trees to `out`, (n, k), tree by tree so that a tree stays in the cache."""
    nodes, roots, outputs, leaves, sets = forest
    for tree in range(roots.size):
        for row in range(X.shape[0]):
            found = _leaf(nodes, roots[tree], sets, X[row])
            if outputs.size:
                out[row, outputs[tree]] += found
            else:
                for k in range(out.shape[1]):
                    out[row, k] += leaves[np.int64(found), k]
