"""How the columns' parts in the answers moved.

A fixed model explains itself by a fixed function: what moves its attributions on a window is the window's rows, so
without labels one sees which columns *the model* leans on now, and not whether the world still works that way. Two
models on the same rows differ where they read a column differently. And with labels one can ask the champion's
errors: if a column helps to foresee them on rows that were not learned on, it acts otherwise than the champion
believes, although no column need have moved at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lifecycle.worth import AttributionDrift, AttributionFinding
from monitoring.block_ratios import MIN_BLOCKS, discoveries, larger_by_chance, numbered, ratio
from monitoring.encoding import Encoding
from monitoring.labels import LabelledRows
from monitoring.trees import fit_trees

Floats = NDArray[np.float64]

WINDOW = "the champion's attributions, this window against its reference"
MODELS = "two models' attributions on the same rows"
LABELS = "what the labels say against the champion, by column"

RATE = 0.05
MIN_ROWS = 200
_TREES = 40


def attribution_drift(columns: tuple[str, ...], before: Floats, now: Floats) -> AttributionDrift:
    """One model's attributions on two sets of rows.

    Args:
        columns: of both.
        before: attributions on reference rows, rows x columns.
        now: attributions on rows of the window, rows x columns.

    Returns:
        Columns by how far their share of all attributions moved, and the agreement of the two rankings.
    """
    if not len(before) or not len(now):
        return AttributionDrift(WINDOW, len(now), None, (), "no rows to explain")
    shares = [_shares(values) for values in (before, now)]
    moved = np.abs(shares[1] - shares[0])
    return _ranked(WINDOW, columns, shares, moved, len(now))


def models_apart(columns: tuple[str, ...], before: Floats, now: Floats) -> AttributionDrift:
    """Two models' attributions on the same rows: a column that they read differently comes first.

    Args:
        columns: of both.
        before: attributions of the older model, rows x columns.
        now: attributions of the newer model on the same rows.
    """
    if not len(before) or before.shape != now.shape:
        return AttributionDrift(MODELS, len(now), None, (), "no rows that both models explain")
    moved = np.abs(now - now.mean(axis=0) - (before - before.mean(axis=0))).mean(axis=0)
    return _ranked(MODELS, columns, [_shares(before), _shares(now)], moved, len(now))


def _shares(values: Floats) -> Floats:
    sizes = np.abs(values).mean(axis=0)
    total = float(sizes.sum())
    shares: Floats = sizes / total if total else np.zeros_like(sizes)
    return shares


def _ranked(method: str, columns: tuple[str, ...], shares: list[Floats], moved: Floats, rows: int) -> AttributionDrift:
    findings = [
        AttributionFinding(name, *map(float, values)) for name, *values in zip(columns, *shares, moved, strict=True)
    ]
    agreement = ndcg(shares[0], shares[1])
    return AttributionDrift(method, rows, agreement, tuple(sorted(findings, key=lambda one: (-one.shift, one.column))))


def ndcg(before: Floats, now: Floats) -> float | None:
    """Agreement of the ranking now with the sizes before, 1 at best (Järvelin and Kekäläinen 2002); none of nothing."""
    discount = 1 / np.log2(np.arange(before.size) + 2)
    best = float((np.sort(before)[::-1] * discount).sum())
    gained = float((before[np.argsort(-now, kind="stable")] * discount).sum())
    return gained / best if best else None


def changed_effects(rows: LabelledRows, *, seed: int = 0) -> AttributionDrift:
    """Columns whose effect is no longer what the champion believes, by what they tell of its errors.

    An additive model of the errors is learned on every other block and asked on the rest, so that its parts are exact
    Shapley values; a column counts by how much its part lowers the squared error there, which is below zero for noise.
    """
    places = numbered(rows.blocks)
    blocks = int(places.max()) + 1 if places.size else 0
    if len(rows) < MIN_ROWS or blocks < MIN_BLOCKS:
        note = f"{len(rows)} labelled rows in {blocks} blocks, {MIN_ROWS} in {MIN_BLOCKS} needed"
        return AttributionDrift(LABELS, len(rows), None, (), note)
    encoding = Encoding.of(rows.features)
    X, missed = encoding.matrix(rows.features), rows.labels - rows.predictions
    parts = _parts_beside(X, missed - missed.mean(), places % 2 == 0, seed)
    gained = 2 * (missed - missed.mean())[:, None] * parts - parts**2
    sums = np.stack([np.bincount(places, column, blocks) for column in gained.T]).astype(np.float64)
    mean = ratio(sums, np.tile(np.bincount(places, minlength=blocks).astype(np.float64), (len(sums), 1)))
    deviation = np.maximum(mean.deviation, np.finfo(np.float64).tiny)
    p = larger_by_chance(mean.value / deviation, mean.blocks)
    counts = discoveries(p, RATE)
    findings = [
        AttributionFinding(name, 0.0, *map(float, values))
        for name, *values in zip(encoding.columns, _shares(parts), mean.value, p, strict=True)
    ]
    ranked = tuple(sorted(findings, key=lambda one: (-one.shift, one.column)))
    named = [name for name, count in zip(encoding.columns, counts, strict=True) if count]
    return AttributionDrift(LABELS, len(rows), None, ranked, f"changed: {', '.join(named)}" if named else "")


def _parts_beside(X: Floats, missed: Floats, even: NDArray[np.bool_], seed: int) -> Floats:
    """Each column's part in the error that the other half of the blocks foresees, each half's mean taken away."""
    parts = np.zeros_like(X)
    for learned_on, asked in ((even, ~even), (~even, even)):
        trees = fit_trees(X[learned_on], missed[learned_on], trees=_TREES, seed=seed, additive=True)
        found = trees.parts(X[asked])
        parts[asked] = found - found.mean(axis=0)
    return parts
