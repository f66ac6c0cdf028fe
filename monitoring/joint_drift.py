"""How the columns of a window differ from the reference taken together: what no column shows alone.

Two looks. A *domain classifier* is learned to tell rows of the window from rows of the reference, and asked about rows
it has not seen (Lopez-Paz and Oquab 2017); it sees whatever trees see. The *reconstruction error* of principal
components learned on the reference grows where rows leave the directions in which the reference varies.

Both p-values know of sampling alone, and not of how much windows differ without drift: they are evidence, no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.drift_findings import MODEL_COLUMNS, JointDrift
from monitoring.encoding import Encoding
from monitoring.trees import fit_trees

Floats = NDArray[np.float64]

CLASSIFIER = "domain classifier AUC"
RECONSTRUCTION = "reconstruction error"

SAMPLE = 5000
MIN_ROWS = 200
_TREES = 40
_KEPT = 0.65  # share of the variance that the kept components explain, as NannyML chooses by default
_FARTHEST = 1e100  # deviations
_NOTHING = 1e-9  # an error of reconstruction below this is rounding


def joint_drift(reference: pd.DataFrame, current: pd.DataFrame, *, seed: int = 0) -> tuple[JointDrift, ...]:
    """The domain classifier, then the reconstruction error; each without a value says why.

    Args:
        reference: rows of the reference window; `prediction` and `outlier_score` follow from the rest and are left out.
        current: rows of the current window; a column it lacks is all null.
        seed: chooses at most 5,000 rows a side, and the halves.
    """
    features = reference[[name for name in reference.columns if name not in MODEL_COLUMNS]]
    why = _why_not(features, current)
    if why:
        return tuple(JointDrift(method, None, None, len(current), why) for method in (CLASSIFIER, RECONSTRUCTION))
    generator = np.random.default_rng(seed)
    encoding = Encoding.of(features)
    there, here = (encoding.matrix(_sampled(frame, generator)) for frame in (features, current))
    categories = [None if known is None else len(known) for known in encoding.columns.values()]
    return _classified(there, here, seed), _reconstructed(there, here, categories)


def _why_not(features: pd.DataFrame, current: pd.DataFrame) -> str:
    for rows, where in ((len(current), "window"), (len(features), "reference")):
        if rows < MIN_ROWS:
            return f"{rows} rows in the {where}, {MIN_ROWS} needed"
    if features.shape[1] < 2:
        return f"{features.shape[1]} columns, 2 needed to be taken together"
    return ""


def _sampled(frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """At most 5,000 rows in random order, so that every other one is a random half."""
    return frame.iloc[generator.permutation(len(frame))[:SAMPLE]]


def _classified(there: Floats, here: Floats, seed: int) -> JointDrift:
    """Each half is told apart by what the other half taught.

    On rows that were not learned on, the rank sum has the distribution of Mann and Whitney, whatever was learned. Both
    halves' results depend on each other, so the smaller p-value counts twice (Bonferroni).
    """
    X, late = np.vstack([there, here]), np.repeat([0.0, 1.0], [len(there), len(here)])
    even = np.concatenate([np.arange(len(there)) % 2 == 0, np.arange(len(here)) % 2 == 0])
    found = []
    for learned_on, asked in ((even, ~even), (~even, even)):
        trees = fit_trees(X[learned_on], late[learned_on], trees=_TREES, seed=seed)
        found.append(_told_apart(trees.predict(X[asked]), late[asked] == 1.0))
    auc = float(np.mean([value for value, _ in found]))
    return JointDrift(CLASSIFIER, auc, min(1.0, 2 * min(p for _, p in found)), len(here))


def _told_apart(scores: Floats, late: NDArray[np.bool_]) -> tuple[float, float]:
    """AUC, and the chance of one so large where nothing tells the two apart."""
    from scipy.stats import mannwhitneyu

    if np.ptp(scores) == 0:
        return 0.5, 1.0
    test = mannwhitneyu(scores[late], scores[~late], alternative="greater", method="asymptotic")
    return float(test.statistic) / (int(late.sum()) * int((~late).sum())), float(test.pvalue)


@np.errstate(over="ignore", invalid="ignore")
def _reconstructed(there: Floats, here: Floats, categories: Sequence[int | None]) -> JointDrift:
    """Components are learned on one half of the reference, and the other half is what the window is compared with."""
    known = _filled(there, there, categories)
    learned_on, asked = known[::2], known[1::2]
    centre, spread = learned_on.mean(axis=0), learned_on.std(axis=0)
    varying = (spread > 0) & np.isfinite(spread)
    if varying.sum() < 2:
        note = f"{int(varying.sum())} columns vary in the reference, 2 needed"
        return JointDrift(RECONSTRUCTION, None, None, len(here), note)
    windows = (learned_on, asked, _filled(here, there, categories))
    standard = [_standard(rows[:, varying], centre[varying], spread[varying]) for rows in windows]
    kept = _components(standard[0])
    before, now = (_errors(rows, kept) for rows in standard[1:])
    apart = float(now.mean() - before.mean())
    return JointDrift(RECONSTRUCTION, apart, _by_chance(apart, before, now), len(here))


def _standard(rows: Floats, centre: Floats, spread: Floats) -> Floats:
    """Deviations from the centre; those that have no square among the doubles count as the farthest that has one."""
    return np.clip((rows - centre) / spread, -_FARTHEST, _FARTHEST)


def _filled(X: Floats, reference: Floats, categories: Sequence[int | None]) -> Floats:
    """A matrix without gaps: numbers at the reference's mean, categories by their share of the reference.

    Args:
        categories: how many categories a column has, of which these rows of the reference may lack rare ones.
    """
    columns = []
    for column, known, count in zip(X.T, reference.T, categories, strict=True):
        finite = known[~np.isnan(known)]
        if count is not None:
            shares = (
                np.append(np.bincount(finite.astype(np.int64), minlength=count), known.size - finite.size) / known.size
            )
            columns.append(shares[np.where(np.isnan(column), len(shares) - 1, column).astype(np.int64)])
        else:
            columns.append(np.where(np.isnan(column), finite.mean() if finite.size else 0.0, column))
    return np.column_stack(columns)


def _components(standard: Floats) -> Floats:
    """Directions of the largest variance, columns x kept, one at least and not all of them."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        variances, directions = np.linalg.eigh(np.cov(standard, rowvar=False))
    explained = np.cumsum(variances[::-1]) / variances.sum()
    kept = min(int(np.searchsorted(explained, _KEPT)) + 1, len(variances) - 1)
    components: Floats = directions[:, ::-1][:, :kept]
    return components


def _errors(standard: Floats, kept: Floats) -> Floats:
    """Distance of each row from what its components say of it, in standard deviations of a column."""
    lengths: Floats = np.linalg.norm(standard - standard @ kept @ kept.T, axis=1)
    return np.where(lengths < _NOTHING, 0.0, lengths)


def _by_chance(apart: float, before: Floats, now: Floats) -> float:
    """Chance of means so far apart in either direction, were they the same (Welch, for many rows)."""
    error = math.sqrt(before.var() / before.size + now.var() / now.size)
    if error == 0:
        return float(apart == 0)
    return math.erfc(abs(apart) / error / math.sqrt(2))
