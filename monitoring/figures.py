"""Figures of what is happening, as Matplotlib objects without a window or a global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lifecycle.evidence import DriftFinding, Performance
from lifecycle.worth import AttributionDrift, Reconciliation, SegmentFinding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _ALARM, _QUIET = "#2b5c8a", "#c0392b", "#b8c4cf"


def as_written(text: str) -> str:
    """A name of somebody else's for Matplotlib, which reads what stands between two dollars as a formula."""
    return text.replace("$", r"\$")


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
            axes.text(0, place, as_written(f" {finding.note}"), va="center", fontsize=7, color="grey")
    axes.set_yticks(places, [as_written(finding.column) for finding in findings])
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


_MOST = 25


def segments_figure(findings: Sequence[SegmentFinding]) -> Figure:
    """How much worse each part is than all other rows, with its interval; weak ones in red, silent ones left out."""
    from matplotlib.figure import Figure

    shown = [(one, one.worse) for one in findings if one.worse is not None][:_MOST]
    figure = Figure(figsize=(7, 1.2 + 0.28 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for place, (one, worse) in enumerate(shown):
        reach = [[worse.value - worse.low], [worse.high - worse.value]]
        axes.errorbar([worse.value], [place], xerr=reach, fmt="o", capsize=2, color=_ALARM if one.weak else _INK)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [as_written(f"{one.segment} ({one.rows})") for one, _ in shown])
    axes.invert_yaxis()
    axes.set_xlabel(f"{findings[0].metric if findings else 'loss'} inside minus outside")
    return figure


def estimate_figure(pairs: Sequence[Reconciliation]) -> Figure:
    """What was estimated without labels, with its interval, and what the labels then said; oldest first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    ends = np.array([pair.window.end.replace(tzinfo=None) for pair in pairs], dtype="datetime64[us]")
    axes.fill_between(
        ends, [pair.estimated.low for pair in pairs], [pair.estimated.high for pair in pairs], color=_QUIET, alpha=0.6
    )
    axes.plot(ends, [pair.estimated.value for pair in pairs], "o-", color=_INK, label="estimated without labels")
    axes.plot(ends, [pair.realised for pair in pairs], "s", color=_ALARM, label="realised")
    axes.set_ylabel(pairs[0].metric if pairs else "")
    axes.set_xlabel("end of the window (UTC)")
    axes.legend()
    figure.autofmt_xdate()
    return figure


def attribution_figure(drift: AttributionDrift) -> Figure:
    """Largest shift first: shares of all attributions, then and now, or the shift where there is no then."""
    from matplotlib.figure import Figure

    shown = drift.findings[:_MOST]
    figure = Figure(figsize=(7, 1.4 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    if any(one.before for one in shown):
        axes.barh(places - 0.2, [one.before for one in shown], height=0.4, color=_QUIET, label="then")
        axes.barh(places + 0.2, [one.now for one in shown], height=0.4, color=_INK, label="now")
        axes.legend()
        axes.set_xlabel("share of all attributions")
    else:
        axes.barh(places, [one.shift for one in shown], color=_INK)
        axes.set_xlabel("what the column tells of the champion's errors (fall of the squared error)")
    axes.set_yticks(places, [as_written(one.column) for one in shown])
    axes.invert_yaxis()
    axes.set_title(as_written("; ".join(filter(None, [drift.method, drift.note]))), fontsize=9)
    return figure
