"""The decision rule applied to findings: the windows before are replayed, the newest one is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lifecycle.evidence import DriftFinding
from monitoring.bins import Floats
from monitoring.cells import Cells
from monitoring.contrasts import Contrasts
from monitoring.drift_rule import Flags, Rule, State, advance, advance_calm, look, verdicts

MIN_ROWS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What is known of the windows before.

    Attributes:
        cells: the cells of each column of the reference.
        calm: rows in each cell of each column in windows that are known to be without drift, oldest first.
        earlier: findings of the windows since, against the same reference, oldest first; what had been taken for drift
            stays out of the pool.
    """

    cells: Mapping[str, Cells]
    calm: Sequence[Mapping[str, Sequence[int]]] = ()
    earlier: Sequence[Sequence[DriftFinding]] = ()


def judged(rule: Rule, past: Past, findings: Sequence[DriftFinding]) -> tuple[DriftFinding, ...]:
    """The findings of a window with p-values, evidence, verdicts and reasons.

    Args:
        rule: when a column counts as drifted.
        past: the reference and the windows since.
        findings: those of the newest window, one per column of the reference, in its order.
    """
    if not findings:
        return ()
    cells = past.cells
    panel = _Panel.of(cells)
    state = panel.replayed(rule, past)
    rows = panel.rows_of(findings)
    sight = look(state, panel.contrasts, rows)
    effects = np.array([_effect(finding, cells[finding.column]) for finding in findings])
    drifted = verdicts(rule, state, sight, effects)
    told = _Told(rule, state, effects, windows=len(past.calm) + len(past.earlier))
    return tuple(
        replace(
            finding,
            p=_known(sight.p[place]),
            q=_known(sight.q[place]),
            e=float(sight.e[place]),
            drifted=None if np.isnan(sight.p[place]) else bool(drifted[place]),
            reason=told.reason(place, float(sight.q[place]), float(sight.e[place]), finding),
        )
        for place, finding in enumerate(findings)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """All columns side by side, filled up to the same number of cells."""

    names: tuple[str, ...]
    contrasts: Contrasts
    reference: Floats

    @classmethod
    def of(cls, cells: Mapping[str, Cells]) -> _Panel:
        contrasts = Contrasts.stacked([Contrasts.of(column) for column in cells.values()])
        wide = contrasts.weights.shape[-1]
        reference = np.stack([_filled(column.reference, wide) for column in cells.values()])
        return cls(tuple(cells), contrasts, reference)

    def rows_of(self, findings: Sequence[DriftFinding]) -> Floats:
        """Rows of each cell, (columns, cells); a column that is absent or has too few rows for a verdict has none."""
        return self._rows({finding.column: finding.cells for finding in findings})

    def replayed(self, rule: Rule, past: Past) -> State:
        """The state that the windows before left behind."""
        state = State.of(self.reference, self.contrasts)
        for counts in past.calm:
            rows = self._rows(counts)
            state = advance_calm(state, look(state, self.contrasts, rows), rows)
        for findings in past.earlier:
            rows = self.rows_of(findings)
            state = advance(rule, state, look(state, self.contrasts, rows), rows, self._drifted(findings))
        return state

    def _rows(self, counts: Mapping[str, Sequence[int]]) -> Floats:
        wide = self.reference.shape[-1]
        enough = {name: cells for name, cells in counts.items() if sum(cells) >= MIN_ROWS}
        return np.stack([_filled(enough.get(name, ()), wide) for name in self.names])

    def _drifted(self, findings: Sequence[DriftFinding]) -> Flags:
        taken = {finding.column for finding in findings if finding.drifted}
        return np.array([name in taken for name in self.names])


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """Why a column counts as drifted, or does not, in words."""

    rule: Rule
    state: State
    effects: Floats
    windows: int

    def reason(self, place: int, q: float, e: float, finding: DriftFinding) -> str:
        if np.isnan(q):
            return f"cannot be told: {sum(finding.cells)} rows in the window, {MIN_ROWS} needed"
        seen = self._seen(place, q, e)
        if not seen:
            return f"within what {self.windows} earlier windows and sampling explain (q = {q:.3g})"
        if self.effects[place] < self.rule.floor:
            return f"{seen}, and too small to matter: {self.effects[place]:.3f} of {self.rule.floor:g}"
        return f"{seen}, effect {self.effects[place]:.3f}"

    def _seen(self, place: int, q: float, e: float) -> str:
        if q <= self.rule.at_once:
            return f"improbable in this window alone (q = {q:.2g} of {self.rule.at_once:.2g})"
        if q <= self.rule.twice and self.state.suspected[place]:
            return f"improbable in two windows running (q = {q:.2g} of {self.rule.twice:.2g})"
        if e >= self.rule.gathered * self.effects.size:
            return f"gathered over {self.windows + 1} windows (e = {e:.3g})"
        return ""


def _effect(finding: DriftFinding, cells: Cells) -> float:
    """The score, or a larger change of the share of infinities or nulls; without a score, the change of all shares."""
    here, there = np.array(finding.cells, dtype=np.float64), np.array(cells.reference, dtype=np.float64)
    if not here.sum() or not there.sum():
        return 0.0
    apart = np.abs(here / here.sum() - there / there.sum())
    if finding.score is None:
        return float(apart.sum() / 2)
    return float(max(finding.score, *apart[-2 if cells.ordered else -1 :]))


def _filled(counts: Sequence[int], wide: int) -> Floats:
    filled = np.zeros(wide)
    filled[: len(counts)] = counts
    return filled


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
