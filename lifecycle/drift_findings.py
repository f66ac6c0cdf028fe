"""What was found to drift, column by column and all together, and in which order to look at it.

A sudden change comes before a season that moved farther, and of what is equally sudden, what lies far beyond its
threshold *and* matters to the champion comes first. The order is of what drifted; nothing drifts by its importance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

SUDDEN = 0.01
"""A column whose adjusted p-value is at most this has changed in this window, whatever gathered before."""

MODEL_COLUMNS = frozenset({"prediction", "outlier_score"})
"""Columns that the model makes: what drifts there follows from something else, where anything else drifted."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One more number about a finding, for example the `psi` of a column."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """How far one column of the current window lies from the reference window, and whether that counts as drift.

    Attributes:
        method: statistic, for example `wasserstein (normed)` or `jensen_shannon`.
        score: its value, the size of the effect; none where it could not be computed, with the reason in `note`.
        threshold: the score from which on Evidently calls the column drifted.
        rows: non-null values in the current window.
        note: what keeps a score from being computed, or what it leaves out.
        p: how probable such a window is without drift, calibrated on the windows before; none where unknown.
        q: `p` adjusted for the number of columns (Benjamini-Hochberg).
        e: evidence gathered over the windows so far (e-detector); without drift it rarely becomes large.
        drifted: what the decision rule says; none where it cannot tell.
        reason: why it counts, or why it does not.
        cells: rows of the current window in each cell of the reference; what later windows are pooled from.
        measures: further statistics of the column.
        importance: the column's share of what shuffling the columns costs the champion's metric; none where unknown.
    """

    column: str
    method: str
    score: float | None
    threshold: float
    rows: int
    note: str = ""
    p: float | None = None
    q: float | None = None
    e: float | None = None
    drifted: bool | None = None
    reason: str = ""
    cells: tuple[int, ...] = ()
    measures: tuple[Measure, ...] = ()
    importance: float | None = None

    @property
    def far(self) -> bool:
        """Whether the score reaches the threshold: Evidently's verdict; a score that is unknown does not."""
        return self.score is not None and self.score >= self.threshold

    @property
    def named(self) -> str:
        """The column and how much it matters, `distance (importance 31%)`; what the model makes stands alone."""
        if self.column in MODEL_COLUMNS:
            return self.column
        return f"{self.column} (importance {'unknown' if self.importance is None else f'{self.importance:.0%}'})"


@dataclass(frozen=True, slots=True)
class JointDrift:
    """How far the features of the window, taken together, lie from those of the reference window.

    Attributes:
        method: what was measured.
        value: in the units of the method; none with a `note`.
        p: chance of such a value were both windows samples of the same; windows that differ without drift are
            improbable too.
        rows: of the current window, as far as they were looked at.
        note: why there is no value.
    """

    method: str
    value: float | None
    p: float | None
    rows: int
    note: str = ""

    @property
    def told(self) -> str:
        """Value and chance in a few words, or why there are none."""
        if self.value is None or self.p is None:
            return f"{self.method} unknown: {self.note}"
        return f"{self.method} {self.value:.3f} (p = {self.p:.2g})"


def with_importance(findings: Iterable[DriftFinding], losses: Mapping[str, float]) -> tuple[DriftFinding, ...]:
    """The same findings, each with its column's share of all importance.

    Args:
        losses: how much worse the champion's metric becomes when a column is shuffled, as its registration stored it;
            a column that is absent stays of unknown importance, one at or below zero has none.
    """
    helping = {column: max(loss, 0.0) for column, loss in losses.items()}
    total = sum(helping.values())
    shares = {column: loss / total if total else 0.0 for column, loss in helping.items()}
    return tuple(replace(finding, importance=shares.get(finding.column)) for finding in findings)


def look_first(findings: Sequence[DriftFinding]) -> tuple[DriftFinding, ...]:
    """What drifted, in the order a reader should look: causes before the model's own columns, sudden before slow.

    Then by score over threshold, times importance. An unknown importance counts as the largest known one, since a
    column is better shown too early than too late; a column without a score (it is gone, or of another type) counts
    as the farthest one. Equal ones are ordered by score, then by name.
    """
    drifted = [finding for finding in findings if finding.drifted]
    farthest = max((_beyond(one) for one in drifted if one.score is not None), default=1.0)
    largest = max((one.importance for one in drifted if one.importance is not None), default=1.0)

    def place(one: DriftFinding) -> tuple[bool, bool, float, float, str]:
        weight = (farthest if one.score is None else _beyond(one)) * _or(one.importance, largest)
        return one.column in MODEL_COLUMNS, _or(one.q, 1.0) > SUDDEN, -weight, -_or(one.score, inf), one.column

    return tuple(sorted(drifted, key=place))


def _beyond(finding: DriftFinding) -> float:
    return _or(finding.score, 0.0) / finding.threshold if finding.threshold else 0.0


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
