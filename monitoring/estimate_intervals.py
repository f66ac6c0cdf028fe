"""How far from an estimate the realised value is stated to lie: chance, and what earlier windows have taught.

Sampling error knows chance, and nothing of a meaning that has changed. What knows it are earlier windows whose labels
have come: each tells by how many of its own deviations the realised value missed the estimate, its score. The stated
reach is the largest of the newest scores, which covers the next one of as many exchangeable ones with the level
stated (split conformal prediction), plus a correction that grows with every miss and wears off, so that scores which
rise from window to window are caught up with. It is never below the reach of chance alone.

Sources: Gibbs and Candès, "Adaptive conformal inference under distribution shift" (2021); Angelopoulos, Candès and
Tibshirani, "Conformal PID control for time series prediction" (2023): quantile tracking around a forecast of the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.block_ratios import LEVEL

MEMORY = round(LEVEL / (1 - LEVEL))
"""Scores looked back on: 19, the fewest whose largest covers the next one 95 times in 100; fewer forget sooner."""

STEP = 0.1
"""What a miss adds, as a share of the largest score in memory: the usual rate of quantile tracking, set beforehand."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A window's stated reach, put to the test by its labels.

    Attributes:
        stated_at: moment of the estimate, the end of its window.
        known_at: moment from which its labels were complete.
        score: distance of the realised value from the estimate, in deviations of chance.
        reach: stated distance of the limits from the estimate, in the same.
    """

    stated_at: datetime
    known_at: datetime
    score: float
    reach: float

    @property
    def missed(self) -> bool:
        """Whether the realised value lay outside of what was stated."""
        return self.score > self.reach


def stated_reach(chance: float, trials: Sequence[Trial], as_of: datetime) -> tuple[float, int]:
    """How many deviations the limits of a window are to lie from its estimate, and from how many windows that is known.

    Args:
        chance: reach by sampling error alone, in deviations; all there is while no window has been reconciled.
        trials: earlier windows of the same version and metric, in any order.
        as_of: moment of the statement; what became known later is not looked at.
    """
    known = sorted((one for one in trials if one.known_at <= as_of), key=lambda one: one.stated_at)
    largest = max([one.score for one in known[-MEMORY:]], default=0.0)
    return max(chance, largest) + _correction(known), len(known)


def _correction(known: Sequence[Trial]) -> float:
    """What misses have added and time has taken away: balanced where one window in twenty is missed.

    It stays above zero, so that a long quiet time is no debt that the next change would have to pay off first.
    """
    correction = 0.0
    for place, one in enumerate(known):
        largest = max(earlier.score for earlier in known[max(place + 1 - MEMORY, 0) : place + 1])
        correction = max(0.0, correction + STEP * largest * (one.missed - (1 - LEVEL)))
    return correction
