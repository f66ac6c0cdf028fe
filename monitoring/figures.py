"""Figures of what is happening, as Matplotlib objects without a window or a global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lifecycle.evidence import DriftFinding, Performance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _ALARM, _QUIET = "#2b5c8a", "#c0392b", "#b8c4cf"


def drift_figure(findings: Sequence[DriftFinding]) -> Figure:
    """One bar a column in column order, its threshold as a line; a column without a score says so."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.28 * len(findings)), layout="constrained")
    axes = figure.subplots()
    places = range(len(findings))
    colours = [_ALARM if finding.drifted else _INK for finding in findings]
    axes.barh(places, [finding.score or 0.0 for finding in findings], color=colours)
    for place, finding in enumerate(findings):
        axes.plot([finding.threshold] * 2, [place - 0.4, place + 0.4], color="black", linewidth=1)
        if finding.score is None:
            axes.text(0, place, f" {finding.note}", va="center", fontsize=7, color="grey")
    axes.set_yticks(places, [finding.column for finding in findings])
    axes.invert_yaxis()
    axes.set_xlabel("distance from the reference window (line: threshold)")
    return figure


def metric_figure(windows: Sequence[Performance], *, gate_value: float | None = None) -> Figure:
    """The realised metric of each window with its interval; a window without enough labels is a gap.

    Args:
        windows: oldest first, all of one metric.
        gate_value: the champion's value at the gate, drawn as a line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    known = [(window.window.end, window.estimate) for window in windows if window.estimate is not None]
    values = [estimate.value for _, estimate in known]
    reach = [
        [value - estimate.low for value, (_, estimate) in zip(values, known, strict=True)],
        [estimate.high - value for value, (_, estimate) in zip(values, known, strict=True)],
    ]
    if known:
        ends = np.array([end.replace(tzinfo=None) for end, _ in known], dtype="datetime64[us]")
        axes.errorbar(ends, values, yerr=reach, color=_INK, fmt="o-", capsize=2)
    if gate_value is not None:
        axes.axhline(gate_value, color=_QUIET, linestyle="--", label="at the gate")
        axes.legend()
    axes.set_ylabel(windows[0].metric if windows else "")
    axes.set_xlabel("end of the window (UTC)")
    figure.autofmt_xdate()
    return figure
