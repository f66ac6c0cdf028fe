"""A value with its interval, and what was known of the labels behind it."""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.moments import Window


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: the metric itself, over all rows.
        low: lower limit of the two-sided interval (see `level`).
        high: upper limit.
        rows: rows it was computed on.
        blocks: independent blocks (days, entities) that were resampled.
        level: coverage of the interval; 0.95 is 95 %.
    """

    value: float
    low: float
    high: float
    rows: int
    blocks: int
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class LabelCoverage:
    """What became of the labels of the questions asked in a window.

    Attributes:
        asked: questions, and so predictions.
        labelled: labels that have arrived.
        waiting: labels that may still arrive.
        never: labels that are final without a value (a cancelled flight); they leave metrics and coverage.
    """

    asked: int
    labelled: int
    waiting: int
    never: int

    @property
    def share(self) -> float:
        """Labels that arrived, among those that can arrive; 0 of 0 is 0."""
        due = self.labelled + self.waiting
        return self.labelled / due if due else 0.0


@dataclass(frozen=True, slots=True)
class Performance:
    """Realised performance of the champion on one window.

    Attributes:
        estimate: none while no labelled row allows one.
    """

    metric: str
    window: Window
    estimate: Estimate | None
    coverage: LabelCoverage
