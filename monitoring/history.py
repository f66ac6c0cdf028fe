"""A version's windows side by side: how it did, and which columns drifted when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lifecycle.evidence import Evidence
from monitoring.figures import as_written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _ALARM, _QUIET = "#2b5c8a", "#c0392b", "#b8c4cf"
_MOST_COLUMNS = 25


def history_figure(windows: Sequence[Evidence]) -> Figure:
    """Above the realised metric with its interval and the gate's value; below each column's score by window.

    Args:
        windows: of one version, oldest first. A window without labels, and a column without a score, is a gap.
    """
    from matplotlib.figure import Figure

    columns = shown_columns(windows)
    figure = Figure(figsize=(9, 3.4 + 0.26 * len(columns)), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, max(2.0, 0.28 * len(columns))])
    _performance(above, windows)
    _drift(below, windows, columns)
    below.set_xticks(range(len(windows)), [f"{one.window.end:%d %b}" for one in windows], rotation=45, fontsize=8)
    below.set_xlabel("end of the window (UTC)")
    return figure


def shown_columns(windows: Sequence[Evidence]) -> list[str]:
    """The columns that were furthest from the reference in any window, furthest first; at most 25."""
    furthest: dict[str, float] = {}
    for one in (finding for window in windows for finding in window.drift):
        furthest[one.column] = max(furthest.get(one.column, 0.0), one.score or 0.0)
    return sorted(furthest, key=lambda column: (-furthest[column], column))[:_MOST_COLUMNS]


def _performance(axes: Any, windows: Sequence[Evidence]) -> None:
    seen = [(place, one.performance) for place, one in enumerate(windows)]
    known = [(place, one.estimate) for place, one in seen if one is not None and one.estimate is not None]
    if known:
        values = np.array([one.value for _, one in known])
        reach = [values - [one.low for _, one in known], np.array([one.high for _, one in known]) - values]
        axes.errorbar([place for place, _ in known], values, yerr=reach, fmt="o-", color=_INK, capsize=2)
    else:
        axes.text(0.5, 0.5, "no labels yet", transform=axes.transAxes, ha="center", color="grey")
    gates = {one.champion.gate_value for one in windows if one.champion is not None}
    for value in gates:
        axes.axhline(value, color=_QUIET, linestyle="--", label="at the gate")
    if gates:
        axes.legend(loc="best", fontsize=8)
    axes.set_ylabel(next((one.metric for _, one in seen if one is not None), ""))


def _drift(axes: Any, windows: Sequence[Evidence], columns: Sequence[str]) -> None:
    scores = np.full((len(columns), len(windows)), np.nan)
    for place, window in enumerate(windows):
        for one in window.drift:
            if one.column in columns and one.score is not None:
                row = columns.index(one.column)
                scores[row, place] = one.score
                if one.drifted:
                    axes.plot(place, row, "o", color=_ALARM, markersize=5)
    if columns:
        axes.imshow(scores, aspect="auto", cmap="Blues", vmin=0.0, vmax=max(0.2, float(np.nanmax([0.2, *scores.flat]))))
    axes.set_yticks(range(len(columns)), map(as_written, columns), fontsize=8)
    axes.set_title("distance from the reference window (red: drifted)", fontsize=9, loc="left")
