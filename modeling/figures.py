"""Figures of a training, as Matplotlib objects without a window or a global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modeling.calibration import expected_calibration_error, reliability
from modeling.explanation import Importance
from modeling.tasks import Floats
from modeling.training import CandidateScore, EvaluationRows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _QUIET = "#2b5c8a", "#b8c4cf"
_MOST_BARS = 20


def reliability_figure(rows: EvaluationRows) -> Figure:
    """Observed against predicted share, of the challenger and of the champion if there is one."""
    answers = {"challenger": rows.challenger} | ({} if rows.champion is None else {"champion": rows.champion})
    return reliability_of(rows.y, answers)


def reliability_of(y: Floats, answers: Mapping[str, Floats]) -> Figure:
    """Observed against predicted share, one line a model by its name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle="--")
    for name, p in answers.items():
        table = reliability(y, p)
        label = f"{name} (error {expected_calibration_error(y, p):.3f})"
        axes.plot([one.predicted for one in table], [one.observed for one in table], "o-", label=label)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed share")
    axes.legend()
    return figure


def importance_figure(importances: Sequence[Importance]) -> Figure:
    """The twenty most important columns, largest first."""
    from matplotlib.figure import Figure

    shown = list(importances[:_MOST_BARS])
    figure = Figure(figsize=(7, 1 + 0.28 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(shown)), [one.loss for one in shown], color=_INK)
    axes.set_yticks(
        range(len(shown)), [one.column.replace("$", r"\$") for one in shown]
    )  # two of them would be a formula
    axes.invert_yaxis()
    axes.set_xlabel("loss when the column is shuffled")
    return figure


def candidates_figure(table: Sequence[CandidateScore], metric: str = "metric, with its interval") -> Figure:
    """The metric of every candidate, the champion and the trivial rules, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 0.4 * len(table)), layout="constrained")
    axes = figure.subplots()
    for place, line in enumerate(table):
        found = line.estimate
        reach = [[found.value - found.low], [found.high - found.value]]
        axes.errorbar([found.value], [place], xerr=reach, fmt="o", capsize=3, color=_INK)
    axes.set_yticks(range(len(table)), [line.name for line in table])
    axes.invert_yaxis()
    axes.set_xlabel(metric)
    return figure
