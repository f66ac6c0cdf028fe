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
_ALL, _DE_BRUIJN = np.uint32(0xFFFFFFFF), np.uint32(0x077CB531)
_PLACES = np.empty(32, np.uint32)
_PLACES[[(0x077CB531 << place & 0xFFFFFFFF) >> 27 for place in range(32)]] = np.arange(32)

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
def _not_in_set(x: Any, value: Any, flags: Any, sets: Any) -> Any:
    if not (x >= 0):  # NaN too
        return (flags & MISSING_LEFT) == 0
    code = np.int64(x) & 255
    return ((sets[np.int64(value), code >> 5] >> np.uint32(code & 31)) & np.uint32(1)) == 0


@inlined
def _step(nodes: Any, at: Any, row: Any) -> Any:
    """One step down a tree of numbers, without a branch that depends on the row."""
    node = nodes[at]
    x = row[node.feature]
    return node.child + np.int32((not (x <= node.value)) & ((x == x) | ((node.flags & MISSING_LEFT) == 0)))


@inlined
def _eight_steps(nodes: Any, at: Any, row: Any) -> Any:
    """One step down eight trees: while one waits for memory, the processor goes on with the others."""
    return (
        _step(nodes, at[0], row),
        _step(nodes, at[1], row),
        _step(nodes, at[2], row),
        _step(nodes, at[3], row),
        _step(nodes, at[4], row),
        _step(nodes, at[5], row),
        _step(nodes, at[6], row),
        _step(nodes, at[7], row),
    )


@inlined
def _eight_leaves(nodes: Any, roots: Any, first: Any, row: Any) -> Any:
    """Where one row ends in eight trees of numbers."""
    t = first
    at = (roots[t], roots[t + 1], roots[t + 2], roots[t + 3], roots[t + 4], roots[t + 5], roots[t + 6], roots[t + 7])
    below = _eight_steps(nodes, at, row)
    while below != at:
        at = below
        below = _eight_steps(nodes, at, row)
    return at


@inlined
def _leaf(nodes: Any, sets: Any, root: Any, row: Any) -> Any:
    """Where one row ends in one tree, of categories too."""
    at, below = np.int32(-1), root
    while below != at:
        at = below
        node = nodes[at]
        if node.flags & CATEGORICAL:
            below = node.child + np.int32(_not_in_set(row[node.feature], node.value, node.flags, sets))
        else:
            below = _step(nodes, at, row)
    return at


@inlined
def _together(forest: Any) -> Any:
    """How many trees are walked eight at a time: none where categories decide."""
    _, _, roots, _, _, sets = forest
    return 0 if sets.shape[0] else roots.size - roots.size % 8


@inlined
def _sum(forest: Any, row: Any, base: Any) -> Any:
    """The base and the answers of all trees, added in their order."""
    nodes, answers, roots, _, _, sets = forest
    total = base
    for first in range(0, _together(forest), 8):
        for leaf in _eight_leaves(nodes, roots, first, row):
            total += answers[leaf]
    for tree in range(_together(forest), roots.size):
        total += answers[_leaf(nodes, sets, roots[tree], row)]
    return total


@inlined
def _answer(forest: Any, tree: Any, leaf: Any, out: Any) -> Any:
    """Add what one leaf says to the score of its tree, or to all."""
    _, answers, _, outputs, leaves, _ = forest
    if outputs.size:
        out[outputs[tree]] += answers[leaf]
        return
    for k in range(out.size):
        out[k] += leaves[np.int64(answers[leaf]), k]


@inlined
def _add(forest: Any, row: Any, out: Any) -> Any:
    """Add the answers of all trees to `out`, (k,), in their order."""
    nodes, _, roots, outputs, _, sets = forest
    if outputs.size and out.size == 1:
        out[0] = _sum(forest, row, out[0])
        return
    for first in range(0, _together(forest), 8):
        tree = first
        for leaf in _eight_leaves(nodes, roots, first, row):
            _answer(forest, tree, leaf, out)
            tree += 1
    for tree in range(_together(forest), roots.size):
        _answer(forest, tree, _leaf(nodes, sets, roots[tree], row), out)


@compiled
def score_row(inputs: Any, steps: Any, forest: Any, base: Any) -> Any:
    """Scores of one row of inputs, (k,); empty where the pipeline would raise."""
    row = np.empty(steps[0].size)
    out = base.copy()
    if not features_of(inputs, steps, row):
        return out[:0]
    _add(forest, row, out)
    return out


@inlined
def _below(layout: Any, at: Any, row: Any, gaps: Any) -> Any:
    """One step down a tree whose nodes lie by column; unsigned, or each index would be checked for its sign."""
    values, children, features, flags, _, _, _ = layout
    node = np.uint32(at)
    x = row[np.uint32(features[node])]
    if not gaps:
        return children[node] + np.int32(x > values[node])
    return children[node] + np.int32((not (x <= values[node])) & ((x == x) | ((flags[node] & MISSING_LEFT) == 0)))


@inlined
def _eight_below(layout: Any, at: Any, row: Any, gaps: Any) -> Any:
    return (
        _below(layout, at[0], row, gaps),
        _below(layout, at[1], row, gaps),
        _below(layout, at[2], row, gaps),
        _below(layout, at[3], row, gaps),
        _below(layout, at[4], row, gaps),
        _below(layout, at[5], row, gaps),
        _below(layout, at[6], row, gaps),
        _below(layout, at[7], row, gaps),
    )


@inlined
def _total(layout: Any, answers: Any, row: Any, base: Any, gaps: Any) -> Any:
    """The base and the answers of all trees, eight of them walked at a time, added in their order."""
    roots = layout[4]
    total, eight = base, roots.size - roots.size % 8
    for t in range(0, eight, 8):
        at = (
            roots[t], roots[t + 1], roots[t + 2], roots[t + 3], roots[t + 4], roots[t + 5], roots[t + 6], roots[t + 7],
        )  # fmt: skip
        moved = True
        while moved:
            below = _eight_below(layout, at, row, gaps)
            a, b, c, d, e, f, g, h = below
            i, j, k, m, n, o, p, q = at
            moved = ((a ^ i) | (b ^ j) | (c ^ k) | (d ^ m) | (e ^ n) | (f ^ o) | (g ^ p) | (h ^ q)) != 0
            at = below
        for leaf in at:
            total += answers[np.uint32(leaf)]
    for t in range(eight, roots.size):
        last, leaf = np.int32(-1), roots[t]
        while leaf != last:
            last = leaf
            leaf = _below(layout, last, row, gaps)
        total += answers[np.uint32(leaf)]
    return total


@compiled
def score_alone(inputs: Any, steps: Any, layout: Any, answers: Any, base: Any) -> Any:
    """The only score of one row of inputs, from trees of numbers; false first where the pipeline would raise."""
    row = np.empty(steps[0].size)
    if not features_of(inputs, steps, row):
        return False, base
    if np.isnan(row).any():
        return True, _total(layout, answers, row, base, True)
    return True, _total(layout, answers, row, base, False)


@compiled
def score_rows(X: Any, forest: Any, out: Any) -> Any:
    """Add the answers of all trees to `out`, (n, k)."""
    for row in range(X.shape[0]):
        _add(forest, X[row], out[row])


@inlined
def _level(layout: Any, X: Any, width: Any, at: Any) -> Any:
    """One step down one tree for every row; unsigned places, or each index would be checked for its sign."""
    values, children, features, flags, _, _, _ = layout
    start = np.uint32(0)
    for row in range(at.size):
        node = np.uint32(at[row])
        x = X[start + np.uint32(features[node])]
        right = (not (x <= values[node])) & ((x == x) | ((flags[node] & MISSING_LEFT) == 0))
        at[row] = children[node] + np.int32(right)
        start += width


@inlined
def _level_without_gaps(layout: Any, X: Any, width: Any, at: Any) -> Any:
    """The same where no feature is missing, so that one comparison decides: it takes half the time."""
    values, children, features, _, _, _, _ = layout
    start = np.uint32(0)
    for row in range(at.size):
        node = np.uint32(at[row])
        at[row] = children[node] + np.int32(X[start + np.uint32(features[node])] > values[node])
        start += width


@compiled
def score_many(X: Any, layout: Any, answers: Any, out: Any) -> Any:
    """Add the answers of all trees to `out`, (n, k), for many rows: tree by tree, all rows one level at a time.

    One tree stays in the nearest cache while all rows go down it, and no branch depends on a row. The additions of a
    row are those of `score_rows`, in the same order.

    Args:
        layout: the trees as `engines` lays them out by column.
    """
    _, _, _, _, roots, depths, outputs = layout
    width, flat = np.uint32(X.shape[1]), X.ravel()
    gaps = np.isnan(flat).any()
    at = np.empty(X.shape[0], np.int32)
    for tree in range(roots.size):
        at[:] = roots[tree]
        for _ in range(depths[tree]):
            if gaps:
                _level(layout, flat, width, at)
            else:
                _level_without_gaps(layout, flat, width, at)
        for row in range(at.size):
            out[row, outputs[tree]] += answers[np.uint32(at[row])]


@inlined
def _lowest(bits: Any) -> Any:
    """The place of the lowest bit that is set, by de Bruijn's sequence."""
    alone = np.uint32(bits & (~bits + np.uint32(1)))
    return _PLACES[np.uint32(alone * _DE_BRUIJN) >> np.uint32(27)]


@compiled
def score_by_leaf_sets(columns: Any, sets: Any, out: Any) -> Any:
    """Add the answers of all trees to `out`, (n, k), for many rows without gaps: split by split, all rows at once.

    The additions of a row are those of `score_rows`, in the same order.

    Args:
        columns: (features, n).
        sets: the trees as `quickscorer` lays them out.
    """
    starts, features, values, kept, answers, outputs = sets
    rows = columns.shape[1]
    leaves = np.empty(rows, np.uint32)
    for tree in range(outputs.size):
        leaves[:] = _ALL
        for split in range(starts[tree], starts[tree + 1]):
            column, value, keep = columns[features[split]], values[split], kept[split]
            for row in range(rows):
                leaves[row] &= keep if column[row] > value else _ALL
        scores, said = out[:, outputs[tree]], answers[tree]
        for row in range(rows):
            scores[row] += said[_lowest(leaves[row])]
