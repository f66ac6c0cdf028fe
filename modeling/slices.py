"""Whether the challenger is worse than the champion on some part of the rows, by more than was declared.

A slice refuses when it is *significantly* worse than the margin, not when it merely cannot be shown to be
within: on a hundred small airports something always looks worse. The limit is corrected for the number of
slices (Holm's first step, which is Bonferroni's, decides whether any of them refuses).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import StatisticsError
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.evidence import Estimate, Verdict
from lifecycle.gates import Gate
from modeling.evaluation import Resampling, paired_interval
from modeling.metrics import value
from modeling.splits import Indices
from modeling.tasks import Floats
from modeling.training import EvaluationRows

ALPHA = 0.05
MIN_ROWS = 100
_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """The rows in which a column has one value; null is a value too."""

    column: str
    value: str
    rows: Indices

    def __str__(self) -> str:
        return f"{self.column}={self.value}"


def slices_of(column: str, values: NDArray[Any]) -> tuple[Slice, ...]:
    """One slice for each value of a column, in alphabetical order."""
    texts = texts_of(values)
    return tuple(Slice(column, str(text), np.flatnonzero(texts == text)) for text in np.unique(texts))


def texts_of(values: NDArray[Any]) -> NDArray[np.str_]:
    """The values by which rows are parted, as text; null is a value too."""
    texts: NDArray[np.str_] = np.where(pd.isna(values), "null", values.astype(str))
    return texts


@dataclass(frozen=True, slots=True, eq=False)
class SliceFinding:
    """How much worse the challenger is on a slice.

    Attributes:
        worse: loss of the challenger minus loss of the reference.
        tolerated: the margin, in units of the metric.
    """

    slice: Slice
    worse: Estimate
    tolerated: float

    @property
    def refuses(self) -> bool:
        """Whether even the lower limit lies past the margin."""
        return self.worse.low > self.tolerated

    def __str__(self) -> str:
        return f"{self.slice} worse by {self.worse}, tolerated {self.tolerated:.4f}"


def judge_slices(gate: Gate, rows: EvaluationRows, slices: Sequence[Slice], *, reference: Floats, seed: int) -> Verdict:
    """One verdict over all slices; those of fewer than 100 rows or too few blocks are only counted."""
    large = [one for one in slices if len(one.rows) >= MIN_ROWS]
    test = Resampling.one_sided(ALPHA / max(1, len(large)), seed=seed)
    found = [examine(gate, rows, one, reference=reference, test=test) for one in large]
    judged = [finding for finding in found if finding is not None]
    small = f", {len(slices) - len(judged)} too small to judge" if len(judged) < len(slices) else ""
    refused = sorted((finding for finding in judged if finding.refuses), key=lambda f: -f.worse.low)
    if refused:
        return Verdict("slices", False, "; ".join(map(str, refused[:_SHOWN])) + small, refused[0].worse)
    return Verdict("slices", True, f"{len(judged)} of {len(judged)} not worse than {gate.margin:.0%}{small}")


def examine(
    gate: Gate, rows: EvaluationRows, one: Slice, *, reference: Floats, test: Resampling
) -> SliceFinding | None:
    """The finding on one slice, or none where its rows allow no interval (one class, too few blocks)."""
    y, before = rows.y[one.rows], reference[one.rows]
    try:
        worse = paired_interval(gate.metric, y, (rows.challenger[one.rows], before), rows.blocks[one.rows], test)
    except StatisticsError:
        return None
    return SliceFinding(one, worse, gate.margin * abs(value(gate.metric, y, before)))
