"""Metrics with intervals, from resampling whole blocks of rows that share a day or an entity.

Rows of one day share its weather: an interval from single rows is far too narrow (a test that peeks at rows
promotes an equal model in 10 to 20 % of cases, one on day blocks in 4 %). So blocks are drawn, not rows.

With few blocks a plain percentile interval is too narrow as well. It is widened as in Hesterberg, "What
teachers should know about the bootstrap" (2015): the percentiles are those of a t distribution with one
degree of freedom less than there are blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lifecycle.evidence import Estimate
from lifecycle.metrics import lower_is_better
from modeling.block_sums import Draws, Rows, evaluate, in_canonical_order
from modeling.errors import LengthMismatchError, TooFewBlocksError, UndefinedMetricError
from modeling.metrics import checked, value
from modeling.splits import MIN_BLOCKS
from modeling.tasks import Floats

DRAWS = 2000
_FEWEST_IN_TAIL = 5
_MOST_UNDEFINED = 0.1


@dataclass(frozen=True, slots=True)
class Resampling:
    """How an interval is made.

    Attributes:
        seed: the same seed and rows give the same interval.
        level: coverage of the two-sided interval.
        draws: how many times the blocks are drawn.
    """

    seed: int = 0
    level: float = 0.95
    draws: int = DRAWS

    @classmethod
    def one_sided(cls, alpha: float, *, seed: int) -> Resampling:
        """The two-sided interval whose lower limit is a one-sided test at `alpha`."""
        return cls(seed=seed, level=1 - 2 * alpha)


def block_interval(
    metric: str, y: ArrayLike, p: ArrayLike, blocks: ArrayLike, resampling: Resampling | None = None
) -> Estimate:
    """A metric over all rows, with an interval from resampling blocks.

    Args:
        metric: name of the metric.
        y: labels, n.
        p: predictions, n; probabilities for a binary metric.
        blocks: block of each row, n (day number, entity number); rows of one block may depend on each other.
        resampling: seed, level and number of draws; none means 95 % and seed 0.

    Raises:
        TooFewBlocksError: fewer than seven blocks.
        UndefinedMetricError: one class only (auc) or equal labels (r2), in all rows or in too many draws.
    """
    how = resampling or Resampling()
    rows = rows_of(metric, y, (p,), blocks)
    drawn = evaluate(metric, rows, 0)(multiplicities(rows.blocks, how))
    return estimate(metric, value(metric, rows.y, rows.predictions[0]), drawn, rows, how)


def paired_interval(
    metric: str,
    y: ArrayLike,
    predictions: tuple[ArrayLike, ArrayLike],
    blocks: ArrayLike,
    resampling: Resampling | None = None,
) -> Estimate:
    """Loss of the first model minus loss of the second on the same rows: above zero the first is worse.

    For a metric where higher is better the sign is turned, so above zero still means that the first is worse.
    Both models see the same draws, so what a day does to both cancels out.

    Raises:
        TooFewBlocksError: fewer than seven blocks.
        UndefinedMetricError: the metric is not defined on these rows.
    """
    how = resampling or Resampling()
    rows = rows_of(metric, y, predictions, blocks)
    sign = 1.0 if lower_is_better(metric) else -1.0
    first, second = (value(metric, rows.y, p) for p in rows.predictions)
    draws = multiplicities(rows.blocks, how)
    drawn = evaluate(metric, rows, 0)(draws) - evaluate(metric, rows, 1)(draws)
    return estimate(metric, sign * (first - second), sign * drawn, rows, how)


def rows_of(metric: str, y: ArrayLike, predictions: Sequence[ArrayLike], blocks: ArrayLike) -> Rows:
    """Checked rows in canonical order.

    Raises:
        LengthMismatchError: the lengths differ.
        TooFewBlocksError: fewer than seven blocks.
    """
    pairs = [checked(metric, y, p) for p in predictions]
    labels, numbers = pairs[0][0], np.asarray(blocks)
    if numbers.shape != labels.shape:
        raise LengthMismatchError({"labels": labels.size, "blocks": numbers.size})
    rows = in_canonical_order(labels, tuple(answers for _, answers in pairs), numbers)
    if rows.blocks < MIN_BLOCKS:
        raise TooFewBlocksError(rows.blocks, MIN_BLOCKS)
    return rows


def multiplicities(blocks: int, how: Resampling) -> Draws:
    """How often each block is in each draw; depends on the number of blocks and the seed alone."""
    drawn = np.random.default_rng(how.seed).integers(blocks, size=(how.draws, blocks))
    places = drawn + blocks * np.arange(how.draws)[:, None]
    return np.bincount(places.ravel(), minlength=places.size).reshape(drawn.shape).astype(np.float64)


def estimate(metric: str, whole: float, drawn: Floats, rows: Rows, how: Resampling) -> Estimate:
    """The value over all rows with limits from the draws.

    Raises:
        UndefinedMetricError: more than a tenth of the draws leave the metric undefined.
    """
    defined = drawn[np.isfinite(drawn)]
    if defined.size < (1 - _MOST_UNDEFINED) * drawn.size:
        share = 1 - defined.size / drawn.size
        raise UndefinedMetricError(metric, f"{share:.0%} of the resampled sets of blocks hold one class or value")
    low, high = _limits(whole, defined, rows.blocks, how.level)
    return Estimate(whole, low, high, rows=rows.y.size, blocks=rows.blocks, level=how.level)


def _limits(whole: float, drawn: Floats, blocks: int, level: float) -> tuple[float, float]:
    """Percentiles of the draws, widened for few blocks; a t interval where the tail holds too few draws."""
    from scipy.special import ndtr, stdtrit

    quantile = -float(stdtrit(blocks - 1, (1 - level) / 2)) * (blocks / (blocks - 1)) ** 0.5
    tail = float(ndtr(-quantile))
    if tail * drawn.size < _FEWEST_IN_TAIL:
        reach = quantile * float(drawn.std())
        return whole - reach, whole + reach
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return min(float(low), whole), max(float(high), whole)
