"""How differently the champion treats the groups of a column: the largest gap of each rate, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lifecycle.estimates import Estimate
from lifecycle.worth import FairnessGap
from monitoring.block_ratios import LEVEL, Floats, Integers, Ratio, mean_of
from monitoring.labels import LabelledRows
from monitoring.segments import Parting, parting

MIN_ROWS = 50
"""A group with fewer rows that count for a rate is left out of it."""

_GROUPS = 50
_CUT = 0.5

Rates = Mapping[str, tuple[Floats, NDArray[np.bool_]]]


def fairness_gaps(rows: LabelledRows, group: str) -> tuple[FairnessGap, ...]:
    """One gap a rate between the groups that a feature names; null is a group too.

    Of a yes or no: the share of yes answers, true and false positive rate, and mean answer minus outcome. Of a number:
    the mean answer, and mean answer minus outcome. The interval of a gap is that of the two groups it lies between,
    widened for how many pairs there were to choose from (Bonferroni).
    """
    column = rows.features[group]
    cut = parting(column.astype(object).where(column.isna(), column.astype(str)), most=_GROUPS)
    rates = (_of_classes if rows.binary else _of_numbers)(rows.labels, rows.predictions)
    return tuple(_widest(cut, name, *rate, rows.blocks) for name, rate in rates.items())


def _of_classes(labels: Floats, predictions: Floats) -> Rates:
    every, yes = np.ones(labels.size, dtype=np.bool_), (predictions > _CUT).astype(np.float64)
    return {
        "share of yes answers": (yes, every),
        "true positive rate": (yes, labels == 1),
        "false positive rate": (yes, labels == 0),
        "answer minus outcome": (predictions - labels, every),
    }


def _of_numbers(labels: Floats, predictions: Floats) -> Rates:
    every = np.ones(labels.size, dtype=np.bool_)
    return {"mean answer": (predictions, every), "answer minus outcome": (predictions - labels, every)}


def _widest(cut: Parting, name: str, values: Floats, counts: NDArray[np.bool_], blocks: Integers) -> FairnessGap:
    members = {group: counts & (cut.codes == k) for k, group in enumerate(cut.names)}
    large = {group: mean_of(values, chosen, blocks) for group, chosen in members.items() if chosen.sum() >= MIN_ROWS}
    left_out = len(members) - len(large)
    note = f"{left_out} of {len(members)} groups have fewer than {MIN_ROWS} rows" if left_out else ""
    if len(large) < 2:
        return FairnessGap(cut.column, name, "", "", None, note or "one group only")
    ranked = sorted(large, key=lambda group: (float(large[group].value[0]), group))
    low, high = ranked[0], ranked[-1]
    gap = _difference(large[high], large[low], pairs=len(list(combinations(large, 2))))
    if gap is None:
        note = "; ".join(filter(None, [note, "too few independent blocks"]))
    return FairnessGap(cut.column, name, _value(cut, high), _value(cut, low), gap, note)


def _difference(high: Ratio, low: Ratio, *, pairs: int) -> Estimate | None:
    return high.minus(low).estimate(level=1 - (1 - LEVEL) / pairs)


def _value(cut: Parting, group: str) -> str:
    return group.removeprefix(f"{cut.column}=")
