"""Performance of a classifier without labels, from how sure it is: confidence-based performance estimation (CBPE).

If a probability of 0.8 comes true four times in five, then the expected confusion of any window follows from the
probabilities alone. So everything hangs on calibration: it is learned on rows with labels that the model was not
trained on, by isotonic regression, and used only where it lowers the calibration error on rows it was not learned
on. What no probability can tell is that the meaning of the features has changed: the estimate is blind to concept
drift, and it is compared with the realised value as soon as labels are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lifecycle.estimates import Estimate
from monitoring.block_ratios import LEVEL, MIN_BLOCKS, Integers, numbered, reach_of
from monitoring.expected_metrics import METRICS, Expected, expected

Floats = NDArray[np.float64]

FEWEST_ROWS = 300
"""Below this many labelled rows no calibration is learned."""

_BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """A rising function through points, level outside of them: what isotonic regression learns."""

    x: Floats
    y: Floats

    def __call__(self, scores: Floats) -> Floats:
        return np.interp(scores, self.x, self.y)

    @classmethod
    def learned(cls, scores: Floats, labels: Floats) -> Steps:
        """Learn from scores and labels of 0 and 1."""
        from sklearn.isotonic import IsotonicRegression

        model = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(scores, labels)
        return cls(np.asarray(model.X_thresholds_, np.float64), np.asarray(model.y_thresholds_, np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How far a realised metric may lie from the expected one.

    Attributes:
        dispersion: variance between blocks over that of independent labels; days that share their luck raise it.
        own: variance that the reference itself, being finite, adds to every estimate.
    """

    dispersion: float
    own: float


@dataclass(frozen=True, slots=True, eq=False)
class Confidence:
    """What was learned about a classifier on the reference rows; made once per version.

    Attributes:
        steps: calibration of each class, none where the scores are better as they are; one class for a yes or no.
        error_before: mean calibration error of the scores, on rows that calibration was not learned on.
        error_after: the same of the calibrated scores.
        spread: by metric.
        rows: reference rows.
        blocks: independent blocks among them.
    """

    steps: tuple[Steps | None, ...]
    error_before: float
    error_after: float
    spread: Mapping[str, Spread]
    rows: int
    blocks: int

    def chances(self, scores: Floats) -> Floats:
        """Calibrated scores; of several classes they add up to 1."""
        return _chances(self.steps, scores)

    def estimate(self, metric: str, scores: ArrayLike, *, level: float = LEVEL) -> Estimate | None:
        """A metric of a window without labels, and the interval in which the realised value is expected.

        Args:
            metric: one of `expected_metrics.METRICS`.
            scores: n probabilities of a yes, or n x classes.

        Returns:
            None where the metric is undefined: no rows, or nobody was told yes.
        """
        said = as_columns(scores)
        chances = self.chances(said)
        found = expected(metric, said, chances)
        spread = self.spread.get(metric)
        if spread is None or not len(said) or not np.isfinite(found.value):
            return None
        deviation = float(np.sqrt(spread.dispersion * (found.variance(chances) + spread.own)))
        reach = reach_of(self.blocks, level) * deviation
        return Estimate(found.value, found.value - reach, found.value + reach, len(said), self.blocks, level)


def learn_confidence(scores: ArrayLike, labels: ArrayLike, blocks: ArrayLike) -> Confidence | None:
    """Learn calibration and spread on labelled rows that the model was not trained on.

    Calibration is judged across: learned on the even blocks and looked at on the odd ones, and the other way round.

    Args:
        scores: n probabilities of a yes, or n x classes.
        labels: 0 and 1, or for several classes the number of the column that came true.
        blocks: block of each row; rows of one block may depend on each other.

    Returns:
        None below 300 rows or seven blocks, or where all labels are equal: nothing can be learned from those.
    """
    said, places = as_columns(scores), numbered(np.asarray(blocks))
    true = as_truth(np.asarray(labels), said.shape[1])
    count = int(places.max()) + 1 if places.size else 0
    if len(said) < FEWEST_ROWS or count < MIN_BLOCKS or not np.ptp(true, axis=0).any():
        return None
    across = _across(said, true, places % 2 == 0)
    pairs = zip(said.T, across.T, true.T, strict=True)
    errors = np.array([(calibration_error(s, y), calibration_error(a, y)) for s, a, y in pairs])
    better = errors[:, 1] < errors[:, 0]
    steps = tuple(
        Steps.learned(said[:, k], true[:, k]) if better[k] and np.ptp(true[:, k]) else None
        for k in range(said.shape[1])
    )
    honest = np.where(better, across, said)
    honest = honest / np.maximum(honest.sum(axis=1, keepdims=True), 1e-12) if said.shape[1] > 1 else honest
    spread = {metric: _spread(expected(metric, said, honest), true, honest, places) for metric in METRICS}
    before, after = (float(found) for found in errors.mean(axis=0))
    return Confidence(steps, before, after, {m: s for m, s in spread.items() if s is not None}, len(said), count)


def _across(said: Floats, true: Floats, even: NDArray[np.bool_]) -> Floats:
    """Scores calibrated by what was learned on the other half of the blocks."""
    across = said.copy()
    for learned_on, looked_at in ((even, ~even), (~even, even)):
        for k in range(said.shape[1]):
            if np.ptp(true[learned_on, k]):
                across[looked_at, k] = Steps.learned(said[learned_on, k], true[learned_on, k])(said[looked_at, k])
    return across


def _chances(steps: tuple[Steps | None, ...], said: Floats) -> Floats:
    columns = [said[:, k] if step is None else step(said[:, k]) for k, step in enumerate(steps)]
    chances = np.clip(np.stack(columns, axis=1), 0, 1)
    if len(steps) == 1:
        return chances
    # A row whose every class was calibrated to nothing keeps what the model said.
    total = chances.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 0, chances / np.where(total > 0, total, 1), said)
    return shares


def _spread(found: Expected, true: Floats, chances: Floats, places: Integers) -> Spread | None:
    independent = found.variance(chances)
    if not (np.isfinite(found.value) and independent > 0):
        return None
    by_block = np.bincount(places, found.errors(true, chances))
    seen = float((by_block**2).sum()) * by_block.size / (by_block.size - 1)
    return Spread(max(1.0, seen / independent), independent)


def calibration_error(scores: Floats, labels: Floats) -> float:
    """Mean distance of score and label over ten bins of equally many rows, in the order of the scores."""
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(_BINS, max(len(order), 1)))
    return float(sum(abs((scores[one] - labels[one]).sum()) for one in bins) / max(len(order), 1))


def as_columns(scores: ArrayLike) -> Floats:
    """Scores as rows x classes."""
    given: Any = np.asarray(scores, dtype=np.float64)
    columns: Floats = given.reshape(len(given), 1) if given.ndim == 1 else given
    return columns


def as_truth(labels: NDArray[Any], classes: int) -> Floats:
    """Labels as 0 and 1, rows x classes."""
    if classes == 1:
        return labels.astype(np.float64).reshape(len(labels), 1)
    true: Floats = (labels.astype(np.int64)[:, None] == np.arange(classes)).astype(np.float64)
    return true
