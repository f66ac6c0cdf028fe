"""The alternatives a training compares. No window policy wins on all data, so the gate chooses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modeling.splits import Indices, Moments, Split, to_numpy

RECENT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A choice of training rows. To keep the champion is always one more choice, and needs no fitting.

    Attributes:
        start: questions asked after this moment are trained on; none means all history.
    """

    name: str
    start: datetime | None = None

    def rows(self, split: Split, as_of: Moments) -> Indices:
        """Places of its rows among the training rows."""
        if self.start is None:
            return split.train_index
        asked: Moments = as_of[split.train_index]
        chosen: Indices = split.train_index[asked > to_numpy(self.start)]
        return chosen


@dataclass(frozen=True, slots=True)
class FittedCandidate:
    """A candidate and the model it became.

    Attributes:
        model: a fitted pipeline.
        rows: rows it was trained on.
        newest_label: `as_of` of the newest question it was trained on.
        fit_seconds: CPU time of the fit; for people, never for a decision.
        values: searched parameter values; empty where the defaults were used.
    """

    name: str
    model: Any
    rows: int
    newest_label: datetime
    fit_seconds: float
    values: dict[str, float]


def candidates(split: Split, recent: timedelta | None = RECENT) -> tuple[Candidate, ...]:
    """All history, and the recent window where it is shorter than the history."""
    everything = Candidate("all history")
    if recent is None:
        return (everything,)
    start = split.training.end - recent
    return (everything, Candidate("recent window", start)) if start > split.training.start else (everything,)
