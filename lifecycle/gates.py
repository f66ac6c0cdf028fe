"""The gate a challenger must pass, declared before any data is seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lifecycle.errors import MetricError, PolicyError
from lifecycle.metrics import lower_is_better
from lifecycle.moments import span


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must show on the newest rows that neither model has seen.

    Attributes:
        metric: the deciding metric, `brier`, `log_loss`, `auc`, `accuracy`, `mae`, `rmse` or `r2`.
        at_most: absolute bound for a metric where lower is better.
        at_least: absolute bound for a metric where higher is better.
        margin: relative loss on a slice that is still tolerated, and by how much a gap between groups may be wider than
            the champion's; 0.05 is 5 %, or 5 percentage points.
        slices: feature columns whose values must each be non-inferior within the margin.
        groups: feature columns whose groups are compared for fairness, by a gate before promotion and in each window
            after: rates, and gaps between them.
        block: length of an independent block; none means the longer of a day and the label's horizon.
        p99: longest tolerated 99th percentile of the time to answer one row, in milliseconds; none means unchecked.

    Raises:
        MetricError: the metric is unknown, or the bound is for the other direction.
        PolicyError: a field contradicts itself.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    margin: float = 0.05
    slices: tuple[str, ...] = ()
    block: timedelta | None = None
    p99: float | None = None
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_bounds()
        for name in ("slices", "groups"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        if self.block is not None:
            object.__setattr__(self, "block", span(self.block))
        if not 0 <= self.margin < 1:
            raise PolicyError("Gate.margin", self.margin, "Give a share between 0 and 1, for example 0.05 for 5 %.")

    def _check_bounds(self) -> None:
        if lower_is_better(self.metric) and self.at_least is not None:
            raise MetricError(self.metric, f"lower is better, but at_least={self.at_least}. Use at_most.")
        if not lower_is_better(self.metric) and self.at_most is not None:
            raise MetricError(self.metric, f"higher is better, but at_most={self.at_most}. Use at_least.")

    def block_length(self, label_horizon: timedelta) -> timedelta:
        """Length of an independent block, never shorter than the label's horizon.

        Raises:
            PolicyError: the declared block is shorter than the horizon, so blocks would not be independent.
        """
        shortest = max(timedelta(days=1), label_horizon)
        if self.block is None:
            return shortest
        if self.block < label_horizon:
            fix = f"Labels look {label_horizon} ahead, so shorter blocks are not independent; make it at least that."
            raise PolicyError("Gate.block", str(self.block), fix)
        return self.block
