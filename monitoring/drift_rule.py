"""The decision rule: which columns drifted in this window, at a stated rate of false alarms.

A column has drifted when its effect is large enough to matter and one of three things is seen: a window that is very
improbable without drift; an improbable one after another; or evidence that has gathered over many windows.
Improbable is meant among all columns together, against a pool of the reference and all earlier windows without drift,
and on the scale of how much those windows differed among themselves.

The state is a function of earlier windows' cells and verdicts and of nothing else, so that a replay ends at the same
state. All arrays may have further axes in front: the benchmark runs a thousand years at once through this very code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from monitoring.bins import Floats
from monitoring.contrasts import Contrasts, z_scores
from monitoring.dispersion import Dispersion
from monitoring.e_detector import gathered
from monitoring.false_discovery import adjusted

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """When a column counts as drifted.

    Attributes:
        at_once: adjusted p-value below which one window is enough.
        twice: adjusted p-value below which two windows in a row are enough.
        gathered: evidence a column, above which many windows together are enough, times the number of columns.
        floor: effects below this do not matter, however certain they are.
    """

    at_once: float
    twice: float
    gathered: float
    floor: float = 0.05

    @classmethod
    def at_rate(cls, false_alarms: float, *, windows: float, floor: float = 0.05) -> Rule:
        """A rule with so many false alarms among so many windows, at most, over all columns together.

        Half of the rate is for single windows, a quarter each for two in a row and for what gathers.
        """
        rate = false_alarms / windows
        return cls(rate / 2, min(np.sqrt(rate / 4), 0.05), 4 * _GATHERED_TAIL / rate, floor)


_GATHERED_TAIL = 10.0  # the evidence of one column exceeds c with a probability of about this over c, without drift


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What earlier windows left behind.

    Attributes:
        pool: rows without drift in each cell, (..., columns, cells).
        dispersion: spread of the earlier scores.
        evidence: what has gathered upwards and downwards, (..., columns, contrasts, 2).
        suspected: columns whose last window was improbable, (..., columns).
    """

    pool: Floats
    dispersion: Dispersion
    evidence: Floats
    suspected: Flags

    @classmethod
    def of(cls, reference: Floats, contrasts: Contrasts) -> State:
        """Before the first window: the reference alone."""
        shape = (*reference.shape[:-1], contrasts.shares.shape[-1])
        return cls(reference, Dispersion.unknown(shape), np.zeros((*shape, 2)), np.zeros(shape[:-1], dtype=bool))


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What one window shows, before any verdict.

    Attributes:
        scores: standard errors from the pool, (..., columns, contrasts).
        p: a column's p-value, (..., columns); NaN where the column has no rows.
        q: adjusted for the number of columns.
        evidence: what has gathered with this window, (..., columns, contrasts, 2).
        e: a column's evidence, (..., columns).
    """

    scores: Floats
    p: Floats
    q: Floats
    evidence: Floats
    e: Floats


def look(state: State, contrasts: Contrasts, cells: Floats) -> Sight:
    """Compare a window, given as its rows in each cell, with what came before."""
    scores = z_scores(contrasts, cells, state.pool)
    normal = state.dispersion.calibrated(scores)
    likeness = state.dispersion.likeness()
    # Windows that are alike repeat what the last one said; in the long run their sum varies by so much more.
    slowed = normal * np.sqrt((1 - likeness) / (1 + likeness))
    seen = cells.sum(-1) > 0
    # A window without rows tells nothing, also not that there is no drift.
    evidence = np.where(seen[..., None, None], gathered(state.evidence, slowed), state.evidence)
    p = np.where(seen, _of_column(normal, contrasts.shares), np.nan)
    e = (evidence.mean(-1) * contrasts.shares).sum(-1)
    return Sight(scores, p, adjusted(p), evidence, e)


def verdicts(rule: Rule, state: State, sight: Sight, effects: Floats) -> Flags:
    """Which columns have drifted, given the size of each one's effect, (..., columns)."""
    with np.errstate(invalid="ignore"):
        at_once, improbable = sight.q <= rule.at_once, _suspected(rule, sight)
        enough = at_once | (improbable & state.suspected) | (sight.e >= rule.gathered * sight.p.shape[-1])
        return np.asarray(enough & (effects >= rule.floor))


def advance(rule: Rule, state: State, sight: Sight, cells: Floats, drifted: Flags) -> State:
    """After a window: a column that has drifted, or may have, adds nothing to the pool and to the spread."""
    suspected = _suspected(rule, sight)
    return _after(state, sight, cells, ~(drifted | suspected), suspected)


def advance_calm(state: State, sight: Sight, cells: Floats) -> State:
    """After a window that is known to be without drift, however improbable it looks: the rule learns from it."""
    everywhere = np.ones(sight.p.shape, dtype=bool)
    return _after(state, sight, cells, everywhere, ~everywhere)


def _suspected(rule: Rule, sight: Sight) -> Flags:
    with np.errstate(invalid="ignore"):
        return np.asarray(sight.q <= rule.twice)


def _after(state: State, sight: Sight, cells: Floats, calm: Flags, suspected: Flags) -> State:
    kept = (calm & ~np.isnan(sight.p))[..., None].astype(np.float64)
    return State(state.pool + cells * kept, state.dispersion.then(sight.scores, kept), sight.evidence, suspected)


def _of_column(normal: Floats, shares: Floats) -> Floats:
    """The smallest p-value of a column's contrasts over its share (weighted Bonferroni), at most 1."""
    with np.errstate(divide="ignore"):
        each = np.log(2) + log_ndtr(-np.abs(normal)) - np.log(shares)
    return np.asarray(np.exp(np.minimum(each.min(-1), 0.0)))
