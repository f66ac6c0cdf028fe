"""An ensemble of trees as flat arrays, and its scores without anything but NumPy.

All nodes are in one array, level by level and tree by tree, the right child directly after the left one: a step down
is one comparison and one addition. Scores are added in the order of the trees, starting from the base, because
another order gives other last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling.plan.features import Ints
from modeling.tasks import Floats

NODE = np.dtype([("value", "<f8"), ("child", "<i4"), ("feature", "<i2"), ("flags", "<i2")])
"""A split: go to `child` where the feature is at most `value`, else to `child + 1`. A leaf is a split that leads to
itself: its own place as child, infinity as value, missing to the left, so that nobody has to ask whether a node is a
leaf. Sixteen bytes, so that four nodes share a cache line."""
MISSING_LEFT, CATEGORICAL = 1, 2
"""Where NaN goes; whether `value` is a row of `sets` instead of a threshold."""
WORDS = 8
_CHUNK = 64


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """The trees of one ensemble.

    Attributes:
        nodes: of dtype NODE.
        answers: what each leaf says, or its row of `leaves`; one for each node.
        roots: first node of each tree.
        outputs: which score each tree adds to; empty where a leaf adds to all of them.
        leaves: answers of leaves with several numbers, (leaves, k), else empty.
        sets: categories that go left, 256 bits a row, (splits, 8) uint32.
        base: scores before the first tree, (k,).
        depth: longest way down.
    """

    nodes: NDArray[Any]
    answers: Floats
    roots: Ints
    outputs: Ints
    leaves: Floats
    sets: NDArray[np.uint32]
    base: Floats
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree in its library's own order; a leaf has left -1.

    Attributes:
        threshold: of splits; for a categorical split the row of `sets`.
        answer: of leaves, (nodes,) or (nodes, k).
    """

    left: Ints
    right: Ints
    feature: Ints
    threshold: Floats
    flags: Ints
    answer: Floats


def flatten(trees: Sequence[Tree], outputs: Sequence[int], base: Floats, sets: NDArray[np.uint32]) -> Trees:
    """Lay trees out in one array.

    Args:
        outputs: which score each tree adds to; empty where a leaf adds to all of them.
        base: scores before the first tree, (k,).
        sets: categories that go left, (splits, 8).
    """
    roots, nodes, answers, leaves, depth = [0], [], [], [np.empty((0, base.size))], 0
    for tree in trees:
        made, order, levels = _by_level(tree, roots[-1])
        said = tree.answer[order]
        if said.ndim == 2:
            rows = sum(map(len, leaves)) + np.arange(len(said))
            leaves.append(said)
            said = rows.astype(np.float64)
        nodes.append(made)
        answers.append(said)
        roots.append(roots[-1] + len(made))
        depth = max(depth, levels)
    return Trees(
        nodes=np.concatenate(nodes),
        answers=np.concatenate(answers),
        roots=np.array(roots[:-1], np.int32),
        outputs=np.array(outputs, np.int32),
        leaves=np.concatenate(leaves),
        sets=sets.astype(np.uint32).reshape(-1, WORDS),
        base=base.astype(np.float64),
        depth=depth,
    )


def _by_level(tree: Tree, start: int) -> tuple[NDArray[Any], Ints, int]:
    """One tree's nodes level by level, where each came from, and how many levels there are below the root."""
    levels, level = [], np.zeros(1, np.int32)
    while level.size:
        levels.append(level)
        splits = level[tree.left[level] >= 0]
        level = np.stack([tree.left[splits], tree.right[splits]], axis=1).ravel()
    order = np.concatenate(levels).astype(np.int32)
    nodes = np.empty(order.size, NODE)
    leaf = tree.left[order] < 0
    nodes["value"] = np.where(leaf, np.inf, tree.threshold[order])
    nodes["feature"] = np.where(leaf, 0, tree.feature[order])
    nodes["flags"] = np.where(leaf, MISSING_LEFT, tree.flags[order])
    # The k-th split in this order has its children at 1 + 2k and 2 + 2k.
    nodes["child"] = start + np.where(leaf, np.arange(order.size), 2 * np.cumsum(~leaf) - 1)
    return nodes, order, len(levels) - 1


def depths(trees: Trees) -> Ints:
    """Levels below the root of each tree."""
    found = np.zeros(trees.roots.size, np.int32)
    at, owner = trees.roots, np.arange(trees.roots.size)
    for level in range(trees.depth + 1):
        found[owner] = level
        split = trees.nodes["child"][at] != at
        left, owner = trees.nodes["child"][at[split]], owner[split]
        at, owner = np.concatenate([left, left + 1]), np.concatenate([owner, owner])
    return found


def scores(trees: Trees, X: Floats) -> Floats:
    """Scores of n rows, (n, k), a few rows at a time so that the places of all trees fit the cache."""
    parts = [_scores(trees, X[start : start + _CHUNK]) for start in range(0, len(X), _CHUNK)]
    return np.concatenate(parts)


def _scores(trees: Trees, X: Floats) -> Floats:
    at = np.broadcast_to(trees.roots, (len(X), trees.roots.size)).copy()
    rows = np.arange(len(X))[:, None]
    for _ in range(trees.depth):
        node = trees.nodes[at]
        x = X[rows, node["feature"]]
        at = node["child"] + ~_left(trees, node, x)
    found = trees.answers[at]
    if not trees.outputs.size:
        return _added(np.concatenate([_tiled(trees.base, len(X)), trees.leaves[found.astype(np.intp)]], axis=1))
    columns = [found[:, trees.outputs == k] for k in range(trees.base.size)]
    first = [np.full((len(X), 1), base) for base in trees.base]
    return np.concatenate([_added(np.concatenate(pair, axis=1)) for pair in zip(first, columns, strict=True)], axis=1)


def _left(trees: Trees, node: NDArray[Any], x: Floats) -> NDArray[np.bool_]:
    left = x <= node["value"]
    left |= np.isnan(x) & ((node["flags"] & MISSING_LEFT) != 0)
    by_category = (node["flags"] & CATEGORICAL) != 0
    if by_category.any():
        left[by_category] = _in_set(trees, node[by_category], x[by_category])
    return left


def _in_set(trees: Trees, node: NDArray[Any], x: Floats) -> NDArray[np.bool_]:
    """Whether a category goes left; NaN and what is below zero go where the missing go."""
    missing = ~(x >= 0)
    code = np.where(missing, 0, x).astype(np.int64) & 255
    word = trees.sets[node["value"].astype(np.intp), code >> 5]
    member = (word >> (code & 31).astype(np.uint32)) & 1 == 1
    found: NDArray[np.bool_] = np.where(missing, (node["flags"] & MISSING_LEFT) != 0, member)
    return found


def _tiled(base: Floats, n: int) -> Floats:
    return np.broadcast_to(base, (n, 1, base.size))


def _added(terms: Floats) -> Floats:
    """The sum over axis 1, strictly from first to last; (n, terms) gives (n, 1), (n, terms, k) gives (n, k)."""
    total = np.add.accumulate(terms, axis=1)[:, -1]
    return total.reshape(len(terms), -1)
