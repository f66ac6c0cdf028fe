"""Trees as the sets of leaves that their splits rule out, for many rows at once.

A row ends in the first leaf, from left to right, that is left when every split it fails has ruled out the leaves to its
left. So the splits of a tree can be asked in any order: each is asked of all rows together, one comparison and one
`and` a row, which a processor does for many rows with one instruction. Source: Lucchese et al., "QuickScorer: a fast
algorithm to rank documents with additive ensembles of regression trees", SIGIR 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling.plan.features import Ints
from modeling.plan.trees import Trees
from modeling.tasks import Floats

MOST_LEAVES = 32
"""A tree's leaves are the bits of one word; what gradient boosting grows by leaves has 31."""


@dataclass(frozen=True, slots=True, eq=False)
class LeafSets:
    """Splits tree by tree.

    Attributes:
        starts: where the splits of each tree begin; one more than there are trees.
        features: which each split asks.
        values: a row fails a split where its feature is larger.
        kept: leaves of the tree that a row which fails may still end in, a bit each, the leftmost leaf lowest.
        answers: what each leaf says, from left to right, (trees, 32).
        outputs: which score each tree adds to.
    """

    starts: Ints
    features: NDArray[np.uint32]
    values: Floats
    kept: NDArray[np.uint32]
    answers: Floats
    outputs: Ints

    def parts(self) -> tuple[Any, ...]:
        """As the kernel takes them."""
        return self.starts, self.features, self.values, self.kept, self.answers, self.outputs


def leaf_sets(trees: Trees) -> LeafSets | None:
    """The splits of trees of numbers whose leaves say one number; none where a tree has too many leaves."""
    child, roots = trees.nodes["child"], trees.roots
    places = np.arange(child.size)
    if np.diff(roots, append=child.size).max(initial=0) > 2 * MOST_LEAVES - 1:
        return None
    splits, leaves = np.flatnonzero(child != places), np.flatnonzero(child == places)
    first, count = _spans(child.tolist())
    ruled_out = ((np.uint64(1) << count[child[splits]]) - np.uint64(1)) << first[splits]
    answers = np.zeros((roots.size, MOST_LEAVES))
    answers[np.searchsorted(roots, leaves, side="right") - 1, first[leaves].astype(np.intp)] = trees.answers[leaves]
    return LeafSets(
        starts=np.searchsorted(splits, [*roots, child.size]).astype(np.int32),
        features=trees.nodes["feature"][splits].astype(np.uint32),
        values=trees.nodes["value"][splits].copy(),
        kept=(~ruled_out).astype(np.uint32),
        answers=answers,
        outputs=trees.outputs,
    )


def _spans(child: list[int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Below each node: the first leaf of its tree from the left, and how many there are. Children follow parents."""
    first, count = [0] * len(child), [1] * len(child)
    for node in reversed(range(len(child))):
        left = child[node]
        if left != node:
            count[node] = count[left] + count[left + 1]
    for node, left in enumerate(child):
        if left != node:
            first[left], first[left + 1] = first[node], first[node] + count[left]
    return np.array(first, np.uint64), np.array(count, np.uint64)
