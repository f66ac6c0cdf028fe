"""Rules that say in which of many simulated years a week has drifted: ours, and those in use elsewhere.

Each is a class with `alarms(week)`, asked week after week, that answers one yes or no per year.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from benchmarks.drift_rules.worlds import BINS, COLUMNS, EDGES, ROWS, WEEKS, Array, Reference, Week, shares
from monitoring.contrasts import Contrasts, smooth
from monitoring.drift_rule import Rule, State, advance, advance_calm, look, verdicts
from monitoring.false_discovery import adjusted

CELLS = 20
FALSE_ALARMS = 0.05
_DECILES = 10

Flags = NDArray[np.bool_]


class Judge(Protocol):
    """Asked week after week of the same years."""

    def alarms(self, week: Week) -> Flags:
        """Whether each year's week counts as drifted."""
        ...


class Default:
    """Incumbent's `drifted()`: the project's own functions, on the cells that evidence keeps."""

    def __init__(self, rule: Rule | None = None) -> None:
        self.rule = rule or Rule.at_rate(FALSE_ALARMS, windows=WEEKS)
        self.groups, self.contrasts = _cells()
        self.state: State | None = None

    def alarms(self, week: Week) -> Flags:
        reference, cells = self._grouped(week.reference.whole), self._grouped(week.current)
        state = self.state or State.of(reference, self.contrasts)
        if week.fresh:
            state = replace(state, pool=reference)
        sight = look(state, self.contrasts, cells)
        effects = wasserstein(week.reference.whole, week.current)
        drifted = verdicts(self.rule, state, sight, effects)
        if week.calm:
            self.state = advance_calm(state, sight, cells)
        else:
            self.state = advance(self.rule, state, sight, cells, drifted)
        return np.asarray(drifted.any(-1))

    def _grouped(self, counts: Array) -> Array:
        grouped = [counts[:, column] @ self.groups[column] for column in range(COLUMNS)]
        return np.stack(grouped, axis=1).astype(np.float64)


def _cells() -> tuple[Array, Contrasts]:
    """Which cell each bin belongs to, (columns, bins, cells), and the contrasts of the columns."""
    law = shares(np.zeros(COLUMNS))
    middles = np.cumsum(law, axis=-1) - law / 2
    cell = np.minimum(middles * CELLS, CELLS - 1).astype(int)
    groups = (cell[..., None] == np.arange(CELLS)).astype(np.float64)
    weights = np.stack([smooth(law[column] @ groups[column]) for column in range(COLUMNS)])
    order_shares = np.array([0.5, 0.25, 0.0625, 0.0625])  # as in the product, where nulls have the rest
    return groups, Contrasts(weights, np.zeros((COLUMNS, 4), dtype=bool), np.tile(order_shares, (COLUMNS, 1)))


def wasserstein(reference: Array, current: Array) -> Array:
    """First Wasserstein distance in standard deviations of the reference, (years, columns); the tails end in bins."""
    below = _below(reference) - _below(current)
    away = np.abs(below[..., :-1])
    return np.asarray(((away[..., :-1] + away[..., 1:]) / 2 * np.diff(EDGES)).sum(-1))


def kolmogorov_smirnov(reference: Array, current: Array) -> Array:
    """Largest difference of the distribution functions, (years, columns)."""
    return np.asarray(np.abs(_below(reference) - _below(current)).max(-1))


def kolmogorov_smirnov_p(reference: Array, current: Array) -> Array:
    """Its asymptotic p-value."""
    here, there = current.sum(-1), reference.sum(-1)
    return np.asarray(kolmogorov(kolmogorov_smirnov(reference, current) * np.sqrt(here * there / (here + there))))


def stability_index(reference: Array, current: Array) -> Array:
    """Population stability index on deciles."""
    law = np.cumsum(reference, axis=-1) / reference.sum(-1, keepdims=True)
    decile = np.minimum((law - 1e-9) * _DECILES, _DECILES - 1).astype(int)
    first, second = (np.zeros((*reference.shape[:-1], _DECILES)) for _ in range(2))
    for number in range(_DECILES):
        inside = decile == number
        first[..., number] = (reference * inside).sum(-1)
        second[..., number] = (current * inside).sum(-1)
    held = first > 0
    first, second = (counts + 0.5 for counts in (first, second))
    first, second = (counts / counts.sum(-1, keepdims=True) for counts in (first, second))
    return np.asarray(np.where(held, (second - first) * np.log(second / first), 0).sum(-1))


def _below(counts: Array) -> Array:
    return np.asarray(np.cumsum(counts, axis=-1) / counts.sum(-1, keepdims=True))


class Threshold:
    """Some share of the columns reaches a fixed threshold of a statistic, or falls below it."""

    def __init__(self, statistic: Any, threshold: float, *, share: float = 0.0, above: bool = True) -> None:
        self.statistic, self.threshold, self.share, self.above = statistic, threshold, share, above

    def alarms(self, week: Week) -> Flags:
        values = self.statistic(week.reference.whole, week.current)
        drifted = values >= self.threshold if self.above else values < self.threshold
        return np.asarray(drifted.mean(-1) >= max(self.share, 1 / COLUMNS))


def adjusted_p(reference: Array, current: Array) -> Array:
    """Kolmogorov-Smirnov's p-values, Benjamini and Hochberg's way."""
    return adjusted(kolmogorov_smirnov_p(reference, current))


class ThreeSigma:
    """NannyML's default: above the mean plus three deviations of the statistic in the chunks of the reference."""

    def __init__(self) -> None:
        self.reference: Reference | None = None
        self.limit: Array = np.empty(0)

    def alarms(self, week: Week) -> Flags:
        if len(week.reference.chunks) < 2:
            raise NotApplicableError
        whole = week.reference.whole
        if week.reference is not self.reference:
            chunks = np.stack([kolmogorov_smirnov(whole, chunk) for chunk in week.reference.chunks])
            self.reference, self.limit = week.reference, chunks.mean(0) + 3 * chunks.std(0)
        return np.asarray((kolmogorov_smirnov(whole, week.current) > self.limit).any(-1))


class NotApplicableError(ValueError):
    """A rule that needs several chunks in the reference, and one window as reference."""

    def __init__(self) -> None:
        super().__init__("The reference is one chunk, and one chunk has no deviation. Give it ten windows.")


def rules() -> dict[str, Judge]:
    """A new judge of each kind."""
    return {
        "default": Default(),
        "evidently_dataset": Threshold(wasserstein, 0.1, share=0.5),
        "any_wasserstein_0.1": Threshold(wasserstein, 0.1),
        "ks_p_0.05": Threshold(kolmogorov_smirnov_p, 0.05, above=False),
        "ks_bh_0.05": Threshold(adjusted_p, 0.05, above=False),
        "psi_0.1": Threshold(stability_index, 0.1),
        "psi_0.2": Threshold(stability_index, 0.2),
        "nannyml_3_sigma": ThreeSigma(),
    }


assert BINS % CELLS == 0
assert ROWS > 0
