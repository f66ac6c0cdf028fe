"""How much more windows differ from each other than sampling explains, learnt from the windows before.

Rows of one week have weather, promotions and holidays in common, so that weeks differ by more than the luck of the
draw, and weeks in a row are alike. A standard score is divided by what the earlier scores' own
spread says, and judged by a Student distribution with as many degrees of freedom as those windows are worth: few where
they depend on each other (Bartlett, "On the theoretical specification and sampling properties of autocorrelated
time-series", 1946; Satterthwaite, "An approximate distribution of estimates of variance components", 1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from monitoring.bins import Floats

_MOST_ALIKE = 0.9
_CAUTION = 2.0  # standard errors by which the likeness of windows is raised
_MARGIN = 3.0  # standard errors, about, by which their spread is raised
_BELIEVED = 6.0  # it begins as if so many windows had differed by sampling alone
_BORROWED = 0.5  # a contrast counts as no calmer than half of its column's least calm one: what moves may bend
_LEAST_TAIL = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Dispersion:
    """Sums over the scores of earlier windows without drift, each of shape (..., contrasts).

    Attributes:
        windows: how many.
        squares: sum of their squares.
        neighbours: sum of the products of two windows in a row.
        last: the newest score.
    """

    windows: Floats
    squares: Floats
    neighbours: Floats
    last: Floats

    @classmethod
    def unknown(cls, shape: tuple[int, ...]) -> Dispersion:
        """Before the first window."""
        return cls(*(np.zeros(shape) for _ in range(4)))

    def then(self, scores: Floats, counted: Floats) -> Dispersion:
        """After one more window; `counted` is 1 where it has no drift, 0 where it is left out."""
        return Dispersion(
            self.windows + counted,
            self.squares + counted * scores**2,
            self.neighbours + counted * scores * self.last,
            np.where(counted > 0, scores, self.last),
        )

    def likeness(self) -> Floats:
        """Correlation of two windows in a row, above its estimate to be on the safe side; between 0 and 0.9."""
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = np.where(self.squares > 0, self.neighbours / self.squares, 0.0)
        raised = estimate + _CAUTION / np.sqrt(self.windows + _BELIEVED)
        return np.clip(raised, 0.0, _MOST_ALIKE)

    def calibrated(self, scores: Floats) -> Floats:
        """Scores that are standard normal without drift, whatever the earlier windows' spread and likeness."""
        windows = self.windows + _BELIEVED
        squares = np.maximum(self.squares, _BORROWED * self.squares.max(-1, keepdims=True))
        margin = 1 + _MARGIN / np.sqrt(windows)  # few windows may look calmer than they are
        excess = np.maximum((margin * squares + _BELIEVED) / windows - 1, 0.0)
        variance = 1 + excess
        likeness = self.likeness()
        worth = np.maximum(windows * (1 - likeness**2) / (1 + likeness**2), 1.0)
        with np.errstate(divide="ignore"):
            freedom = np.minimum(np.where(excess > 0, worth * (variance / excess) ** 2, np.inf), 1e6)
        tail = stdtr(freedom, -np.abs(scores) / np.sqrt(variance))
        return np.asarray(np.sign(scores) * -ndtri(np.maximum(tail, _LEAST_TAIL)))
