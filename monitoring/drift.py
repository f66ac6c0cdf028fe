"""How far each column of the current window lies from the reference window.

Numbers: the exact first Wasserstein distance over the reference's standard deviation. Categories: the Jensen-Shannon
distance. Both are what Evidently computes for a reference of more than 1000 rows, and both are sizes of an effect,
not p-values: they do not grow with the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.evidence import DriftFinding
from monitoring.columns import numbers_of, shares_of, texts_of
from monitoring.reference import Floats, NumberReference, Reference, TextReference

WASSERSTEIN = "wasserstein (normed)"
JENSEN_SHANNON = "jensen_shannon"
THRESHOLD = 0.1
MIN_ROWS = 50
_SMALLEST_NORM = 0.001


def drift(reference: Reference, current: pd.DataFrame, *, threshold: float = THRESHOLD) -> tuple[DriftFinding, ...]:
    """One finding per reference column, in column order.

    A column that cannot be compared (missing, no values, another type, constant, fewer than 50 values) has no
    score, and says why in its note; null and infinite values are left out of a score and counted in the note.
    """
    return tuple(
        _compare_numbers(name, column, current, threshold)
        if isinstance(column, NumberReference)
        else _compare_texts(name, column, current, threshold)
        for name, column in reference
    )


def _compare_numbers(name: str, reference: NumberReference, current: pd.DataFrame, threshold: float) -> DriftFinding:
    if name not in current:
        return DriftFinding(name, WASSERSTEIN, None, threshold, 0, "missing in the current window")
    values = numbers_of(current[name])
    if values is None:
        return _not_numbers(name, current[name], threshold)
    note = _too_few(len(reference.values), len(values))
    if not note and reference.values[0] == reference.values[-1]:
        note = f"constant in the reference ({reference.values[0]:g})"
    if note:
        return DriftFinding(name, WASSERSTEIN, None, threshold, len(values), note)
    distance = wasserstein(reference.values, np.sort(values)) / max(reference.std, _SMALLEST_NORM)
    return DriftFinding(
        name, WASSERSTEIN, distance, threshold, len(values), _nulls(current[name], len(values), reference)
    )


def _not_numbers(name: str, column: pd.Series[Any], threshold: float) -> DriftFinding:
    rows = int(column.notna().sum())
    note = f"numbers in the reference, {column.dtype} now" if rows else "no values in the current window"
    return DriftFinding(name, WASSERSTEIN, None, threshold, rows, note)


def _compare_texts(name: str, reference: TextReference, current: pd.DataFrame, threshold: float) -> DriftFinding:
    if name not in current:
        return DriftFinding(name, JENSEN_SHANNON, None, threshold, 0, "missing in the current window")
    values = texts_of(current[name])
    note = _too_few(reference.rows, len(values))
    if note:
        return DriftFinding(name, JENSEN_SHANNON, None, threshold, len(values), note)
    distance = jensen_shannon(reference.shares, shares_of(values))
    return DriftFinding(
        name, JENSEN_SHANNON, distance, threshold, len(values), _nulls(current[name], len(values), reference)
    )


def _too_few(reference_rows: int, rows: int) -> str:
    for where, found in (("reference", reference_rows), ("current window", rows)):
        if not found:
            return f"no values in the {where}"
        if found < MIN_ROWS:
            return f"{found} values in the {where}, {MIN_ROWS} needed"
    return ""


def _nulls(column: pd.Series[Any], used: int, reference: NumberReference | TextReference) -> str:
    if used == len(column) and not reference.null_share:
        return ""
    return f"{(len(column) - used) / len(column):.1%} null, {reference.null_share:.1%} in the reference"


def wasserstein(reference: Floats, current: Floats) -> float:
    """First Wasserstein distance of two samples, both ascending: the area between their distribution functions."""
    together = np.sort(np.concatenate([reference, current]), kind="stable")
    steps = np.diff(together)
    below_reference = reference.searchsorted(together[:-1], side="right") / reference.size
    below_current = current.searchsorted(together[:-1], side="right") / current.size
    return float((np.abs(below_reference - below_current) * steps).sum())


def jensen_shannon(reference: Mapping[str, float], current: Mapping[str, float]) -> float:
    """Jensen-Shannon distance (natural logarithm) of two sets of shares; a category absent on one side has 0."""
    from scipy.special import rel_entr

    names = sorted(reference.keys() | current.keys())
    first, second = (np.array([shares.get(name, 0.0) for name in names]) for shares in (reference, current))
    middle = (first + second) / 2
    divergence = float(rel_entr(first, middle).sum() + rel_entr(second, middle).sum()) / 2
    # Rounding can leave equal distributions a hair below zero.
    return math.sqrt(max(divergence, 0.0))
