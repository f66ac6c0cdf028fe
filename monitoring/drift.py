"""How far each column of the current window lies from the reference window, and whether that is drift.

The size of the effect is the exact first Wasserstein distance over the reference's standard deviation for numbers, the
Jensen-Shannon distance for categories: what Evidently computes for a reference of more than 1000 rows. Sizes do
not grow with the number of rows. Whether an effect counts is said by the decision rule (`drift_rule`), from the
rows of each cell, in this window and in those before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.evidence import DriftFinding, Measure
from monitoring.columns import SortedNumbers, counted_texts
from monitoring.distances import (
    chi_square,
    in_tenths,
    jensen_shannon,
    jensen_shannon_of_counts,
    kolmogorov_smirnov,
    stability_index,
)
from monitoring.drift_rule import Rule
from monitoring.judging import MIN_ROWS, Past, judged
from monitoring.profile import NumberProfile, TextProfile
from monitoring.reference import NumberReference, Reference, TextReference
from monitoring.wasserstein import wasserstein

WASSERSTEIN = "wasserstein (normed)"
JENSEN_SHANNON = "jensen_shannon"
THRESHOLD = 0.1
FALSE_ALARMS = 0.05
_SMALLEST_NORM = 0.001
DEFAULT_RULE = Rule.at_rate(FALSE_ALARMS, windows=52)
"""At most one week in twenty years is called drifted without being so, where a window is a week."""


def drift(
    reference: Reference,
    current: pd.DataFrame,
    *,
    earlier: Sequence[Sequence[DriftFinding]] = (),
    rule: Rule = DEFAULT_RULE,
    threshold: float = THRESHOLD,
) -> tuple[DriftFinding, ...]:
    """One finding per reference column, in column order.

    A column that has no score (missing, no values, another type, constant, fewer than 50 values) says why in its
    note; null and infinite values are left out of a score and counted in the note. A verdict needs no score: a column
    that is missing or has become null has drifted. Without 50 rows in the window there is no verdict.

    Args:
        reference: the champion's reference window.
        current: rows of the current window.
        earlier: findings of the windows before against the same reference, oldest first.
        rule: when a column counts as drifted.
        threshold: the score from which on Evidently calls a column drifted.
    """
    found = measured(reference, current, threshold=threshold)
    cells = {name: column.cells for name, column in reference}
    return judged(rule, Past(cells, reference.history, earlier), found)


def measured(reference: Reference, current: pd.DataFrame, *, threshold: float = THRESHOLD) -> tuple[DriftFinding, ...]:
    """The same findings without a verdict: scores and further measures only."""
    profiles = dict(reference.profile.columns)
    found = [_scored(reference, name, current, threshold) for name in reference.columns]
    # After all sorts, because each of them drives code and small arrays out of the processor's cache.
    return tuple(
        finding if finding.score is None else replace(finding, measures=_measures(profiles[finding.column], counts))
        for finding, counts in found
    )


def _scored(
    reference: Reference, name: str, current: pd.DataFrame, threshold: float
) -> tuple[DriftFinding, Sequence[int]]:
    """A column's finding without measures, and the rows in each of its bins."""
    column, profile = reference.columns[name], reference.profile[name]
    if isinstance(column, NumberReference) and isinstance(profile, NumberProfile):
        return _of_numbers(name, column, profile, current, threshold)
    assert isinstance(column, TextReference)
    assert isinstance(profile, TextProfile)
    return _of_texts(name, column, profile, current, threshold)


def _of_numbers(
    name: str, reference: NumberReference, profile: NumberProfile, current: pd.DataFrame, threshold: float
) -> tuple[DriftFinding, Sequence[int]]:
    numbers = SortedNumbers.of(_column(current, name))
    counts, values = profile.bins.counts(numbers.finite), numbers.finite
    others = (sum(numbers.infinities), numbers.nulls + numbers.foreign)
    note = _why_no_numbers(name, reference, numbers, current)
    cells = reference.cells.counts(counts, others)
    found = DriftFinding(name, WASSERSTEIN, None, threshold, len(values), note, cells=cells)
    if note:
        return found, counts
    with np.errstate(over="ignore", invalid="ignore"):
        distance = wasserstein(reference.values, values, reference.runs) / max(reference.std, _SMALLEST_NORM)
    if not (math.isfinite(distance) and math.isfinite(reference.std)):
        return replace(
            found, note=f"values too large to be compared, up to {max(abs(values[0]), abs(values[-1])):.1e}"
        ), counts
    note = _left_out(others[1], others[0], len(current), profile)
    return replace(found, score=distance, note=note), counts


def _why_no_numbers(name: str, reference: NumberReference, numbers: SortedNumbers, current: pd.DataFrame) -> str:
    if len(current) and name not in current:
        return "missing in the current window"
    if numbers.foreign:
        return f"numbers in the reference, {current[name].dtype} now"
    note = _too_few(len(reference.values), len(numbers.finite))
    if not note and reference.values[0] == reference.values[-1]:
        return f"constant in the reference ({reference.values[0]:g})"
    return note


def _of_texts(
    name: str, reference: TextReference, profile: TextProfile, current: pd.DataFrame, threshold: float
) -> tuple[DriftFinding, Sequence[int]]:
    counted = counted_texts(_column(current, name))
    rows = sum(counted.values())
    counts, nulls = profile.bins.counts(counted), len(current) - rows
    missing = len(current) and name not in current
    note = "missing in the current window" if missing else _too_few(reference.rows, rows)
    cells = reference.cells.counts(counts, (nulls,))
    found = DriftFinding(name, JENSEN_SHANNON, None, threshold, rows, note, cells=cells)
    if note:
        return found, counts
    distance = jensen_shannon(reference.shares, {name: count / rows for name, count in counted.items()})
    notes = [_left_out(nulls, 0, len(current), profile), _new_categories(counted, reference, profile)]
    return replace(found, score=distance, note="; ".join(filter(None, notes))), counts


def _column(current: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The column, or nulls where it is missing."""
    return current[name] if name in current else pd.Series(np.full(len(current), np.nan))


def _too_few(reference_rows: int, rows: int) -> str:
    for where, found in (("reference", reference_rows), ("current window", rows)):
        if not found:
            return f"no values in the {where}"
        if found < MIN_ROWS:
            return f"{found} values in the {where}, {MIN_ROWS} needed"
    return ""


def _left_out(nulls: int, infinities: int, rows: int, profile: NumberProfile | TextProfile) -> str:
    """What a score leaves out, where one of the two windows has any."""
    there = {"null": profile.others[-1], "infinite": profile.others[0] if isinstance(profile, NumberProfile) else 0}
    told = [
        f"{count / rows:.1%} {what}, {there[what] / profile.rows:.1%} in the reference"
        for what, count in (("null", nulls), ("infinite", infinities))
        if count or there[what]
    ]
    return "; ".join(told)


def _new_categories(counted: Mapping[str, int], reference: TextReference, profile: TextProfile) -> str:
    """The most frequent categories that the reference has not, at most three; its sample may lack rare ones."""
    known = {*reference.shares, *profile.bins.categories, *(value for _, value, _ in profile.distinct.kept)}
    new = sorted((name for name in counted if name not in known), key=lambda name: -counted[name])
    rows = sum(counted.values())
    return "; ".join(f"new: {name!r}, {counted[name] / rows:.1%}" for name in new[:3])


def _measures(profile: NumberProfile | TextProfile, counts: Sequence[int]) -> tuple[Measure, ...]:
    """Further statistics from the counts, on tenths of the reference for numbers and per category otherwise."""
    there, here = np.array(profile.counts), np.array(counts)
    if isinstance(profile, TextProfile):
        return Measure("psi", stability_index(there, here)), Measure("chi_square", chi_square(there, here))
    first, second = in_tenths(there, here)
    return (
        Measure("psi", stability_index(first, second)),
        Measure("jensen_shannon", jensen_shannon_of_counts(first, second)),
        Measure("kolmogorov_smirnov", kolmogorov_smirnov(there, here)),
    )
