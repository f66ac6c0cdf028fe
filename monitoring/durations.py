"""Whether a step takes longer than it does, judged by its own history and by no limit in seconds.

Durations spread by factors, so their logarithms are compared: a run is slow when it lies more than five robust
deviations (1.4826 times the median absolute deviation) above the median of the runs before it, and above all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lifecycle.health import StepHealth

FEWEST = 8
"""With fewer earlier runs nothing is said."""

_HISTORY = 50
_DEVIATIONS = 5.0
_LEAST_DEVIATION = math.log(1.1)  # steps that always take as long would otherwise be slow by a breath
_NORMAL = 1.4826
_BLINK = 1e-3


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a step; seconds are none where it did not finish."""

    step: str
    seconds: float | None
    failed: bool


def step_health(step: str, runs: Sequence[PastRun]) -> StepHealth:
    """Judge the newest run of a step.

    Args:
        runs: of this step, newest first; the 50 before the newest one count.
    """
    finished = [run.seconds for run in runs if run.seconds is not None and not run.failed]
    failures = sum(run.failed for run in runs[:_HISTORY])
    counted = len(runs[:_HISTORY])
    if not finished:
        return StepHealth(step, None, None, None, 0, failures, counted)
    newest, *before = finished[: _HISTORY + 1]
    usual = median(before) if before else None
    return StepHealth(step, newest, usual, slow_from(before), len(before), failures, counted)


def slow_from(before: Sequence[float]) -> float | None:
    """From how many seconds on a run is slow after these; none after too few."""
    if len(before) < FEWEST:
        return None
    logs = [math.log(max(one, _BLINK)) for one in before]
    middle = median(logs)
    deviation = max(_NORMAL * median(abs(one - middle) for one in logs), _LEAST_DEVIATION)
    return max(math.exp(middle + _DEVIATIONS * deviation), *before)
