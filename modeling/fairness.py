"""Whether the challenger treats the groups of a column more differently than the champion, by more than was declared.

A gap is the largest difference of a rate between two groups. It refuses when it is *significantly* wider than the
champion's by more than the margin, not when it merely cannot be shown to be within; the limit is corrected for the
number of gaps (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import StatisticsError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lifecycle.evidence import Estimate, Verdict
from lifecycle.gates import Gate
from modeling.block_sums import Draws, Rows, combined, in_canonical_order
from modeling.evaluation import Resampling, estimate, multiplicities, rows_of
from modeling.metrics import PROBABILITIES
from modeling.slices import texts_of
from modeling.tasks import Floats
from modeling.training import EvaluationRows

ALPHA = 0.05
MIN_ROWS = 100
"""A group with fewer rows that count for a rate is left out of it."""

_CUT = 0.5
_SHOWN = 3

Mask = NDArray[np.bool_]
Groups = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """A rate, and what each block contributes to it in each group.

    Attributes:
        column: the groups are its values.
        rows: the rows that count for the rate.
        sums: of the challenger's and of the champion's values, blocks x groups.
        counts: of rows, blocks x groups.
    """

    column: str
    rate: str
    rows: Rows
    sums: tuple[Floats, Floats]
    counts: Floats

    def __str__(self) -> str:
        return f"{self.column}: {self.rate}"

    def wider(self, how: Resampling) -> Estimate:
        """The challenger's gap minus the champion's, blocks resampled.

        Raises:
            UndefinedMetricError: too many draws leave a group without a row.
        """
        (whole,) = self._difference(np.ones((1, self.rows.blocks)))
        drawn = self._difference(multiplicities(self.rows.blocks, how))
        return estimate(f"gap of {self.rate}", float(whole), drawn, self.rows, how)

    def _difference(self, draws: Draws) -> Floats:
        counts = combined(draws, self.counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            challenger, champion = (np.ptp(combined(draws, sums) / counts, axis=1) for sums in self.sums)
        found: Floats = challenger - champion
        return found


def judge_fairness(gate: Gate, rows: EvaluationRows, groups: Groups, *, champion: Floats, seed: int) -> Verdict:
    """One verdict over all gaps; a column of which none can be judged is a no.

    Of a yes or no: the share of yes answers, true and false positive rate, and mean answer minus outcome, each within
    the margin. Of a number: mean answer minus outcome, within the margin of the outcomes' standard deviation.

    Args:
        groups: values of each column of `gate.groups` on the rows.

    Raises:
        TooFewBlocksError: fewer than seven blocks.
        UndefinedMetricError: answers that are no numbers, or no probabilities where the metric asks for them.
    """
    rows_of(gate.metric, rows.y, (rows.challenger, champion), rows.blocks)
    yes_or_no = gate.metric in PROBABILITIES
    tolerated = gate.margin * (1.0 if yes_or_no else float(np.std(rows.y)))
    gaps = [gap for name in gate.groups for gap in gaps_of(rows, champion, name, groups[name], yes_or_no=yes_or_no)]
    how = Resampling.one_sided(ALPHA / max(1, len(gaps)), seed=seed)
    found = {gap: wider for gap in gaps if (wider := _wider(gap, how)) is not None}
    unknown = [name for name in gate.groups if name not in {gap.column for gap in found}]
    if unknown:
        return Verdict(
            "fairness", False, f"could not be checked: fewer than two groups of {unknown} have {MIN_ROWS} rows"
        )
    refused = sorted((item for item in found.items() if item[1].low > tolerated), key=lambda item: -item[1].low)
    if refused:
        told = (f"gap of {gap} wider by {wider}, tolerated {tolerated:.4g}" for gap, wider in refused[:_SHOWN])
        return Verdict("fairness", False, "; ".join(told), refused[0][1])
    return Verdict("fairness", True, f"{len(found)} of {len(found)} gaps not wider by {tolerated:.4g}")


def _wider(gap: Gap, how: Resampling) -> Estimate | None:
    try:
        return gap.wider(how)
    except StatisticsError:
        return None


def gaps_of(
    rows: EvaluationRows, champion: Floats, column: str, values: NDArray[Any], *, yes_or_no: bool
) -> Iterator[Gap]:
    """The gap of each rate between the groups of a column that have rows enough; null is a group too."""
    codes = np.unique(texts_of(values), return_inverse=True)[1].astype(np.float64)
    ordered = in_canonical_order(rows.y, (rows.challenger, champion, codes), rows.blocks)
    rates = _of_classes(ordered) if yes_or_no else _of_numbers(ordered)
    for rate, (challengers, champions, counts) in rates.items():
        gap = _gap(column, rate, ordered, (challengers, champions), counts)
        if gap is not None:
            yield gap


def _of_classes(rows: Rows) -> dict[str, tuple[Floats, Floats, Mask]]:
    challenger, champion, _ = ((p > _CUT).astype(np.float64) for p in rows.predictions)
    every = np.ones(rows.y.size, dtype=np.bool_)
    return {
        "share of yes answers": (challenger, champion, every),
        "true positive rate": (challenger, champion, rows.y == 1),
        "false positive rate": (challenger, champion, rows.y == 0),
        **_of_numbers(rows),
    }


def _of_numbers(rows: Rows) -> dict[str, tuple[Floats, Floats, Mask]]:
    challenger, champion, _ = rows.predictions
    return {"answer minus outcome": (challenger - rows.y, champion - rows.y, np.ones(rows.y.size, dtype=np.bool_))}


def _gap(column: str, rate: str, rows: Rows, values: tuple[Floats, Floats], counts: Mask) -> Gap | None:
    codes = rows.predictions[-1].astype(np.int64)
    large = np.flatnonzero(np.bincount(codes[counts]) >= MIN_ROWS)
    if len(large) < 2:
        return None
    kept = counts & np.isin(codes, large)
    cells = rows.block[kept] * len(large) + np.searchsorted(large, codes[kept])

    def summed(weights: Floats) -> Floats:
        total = np.bincount(cells, weights=weights[kept], minlength=rows.blocks * len(large)).astype(np.float64)
        return total.reshape(rows.blocks, len(large))

    sums = summed(values[0]), summed(values[1])
    return Gap(column, rate, rows, sums, summed(np.ones(rows.y.size)))
