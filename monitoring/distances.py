"""How far two distributions lie apart, from shares of categories or from counts in the same bins.

`jensen_shannon` equals SciPy's. Those of counts take two arrays of counts in the same bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitoring.bins import Floats

_SMOOTHING = 0.5  # added to each count, so that an empty bin makes no infinity

Counts = NDArray[np.int64]


def jensen_shannon(reference: Mapping[str, float], current: Mapping[str, float]) -> float:
    """Jensen-Shannon distance (natural logarithm) of two sets of shares; a category absent on one side has 0."""
    names = sorted(reference.keys() | current.keys())
    first, second = (np.array([shares.get(name, 0.0) for name in names]) for shares in (reference, current))
    return _jensen_shannon(first, second)


def _jensen_shannon(first: Floats, second: Floats) -> float:
    from scipy.special import rel_entr

    middle = (first + second) / 2
    divergence = float(rel_entr(first, middle).sum() + rel_entr(second, middle).sum()) / 2
    # Rounding can leave equal distributions a hair below zero.
    return math.sqrt(max(divergence, 0.0))


def jensen_shannon_of_counts(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance (natural logarithm)."""
    return _jensen_shannon(reference / reference.sum(), current / current.sum())


def stability_index(reference: Counts, current: Counts) -> float:
    """Population stability index (PSI): on a score, or per feature, where it is called CSI.

    Half a row is added to each bin (Lewis, "An Introduction to Credit Scoring", 1994, without that).
    """
    first, second = (np.asarray(counts) + _SMOOTHING for counts in (reference, current))
    first, second = first / first.sum(), second / second.sum()
    return float(((second - first) * np.log(second / first)).sum())


def kolmogorov_smirnov(reference: Counts, current: Counts) -> float:
    """Largest difference of the distribution functions at the edges of the bins."""
    return float(np.abs(np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()).max())


def chi_square(reference: Counts, current: Counts) -> float:
    """Chi-square of two rows of counts, over the bins that one of them has values in."""
    held = (reference + current) > 0
    first, second = reference[held].astype(float), current[held].astype(float)
    ratio = math.sqrt(second.sum() / first.sum())
    return float(((first * ratio - second / ratio) ** 2 / (first + second)).sum())


def in_tenths(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Counts of bins put together to about tenths of the reference, as a stability index has them."""
    middles = (np.cumsum(reference) - reference / 2) / max(int(reference.sum()), 1)
    tenth = np.minimum(middles * 10, 9).astype(np.int64)
    starts = np.concatenate([[0], np.flatnonzero(tenth[1:] > tenth[:-1]) + 1])
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)


def wasserstein_of_counts(edges: Floats, reference: Counts, current: Counts) -> float:
    """First Wasserstein distance from counts in bins; what lies beyond the outer edges counts as lying on them.

    The area is right where all values of a bin lie on its upper edge; values inside move it by less than the mean width
    of the bins that both windows have values in.
    """
    below = np.cumsum(reference)[:-1] / reference.sum() - np.cumsum(current)[:-1] / current.sum()
    away = np.abs(below)
    return float(((away[:-1] + away[1:]) / 2 * np.diff(edges)).sum())
