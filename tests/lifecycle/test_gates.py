from __future__ import annotations

from datetime import timedelta

import pytest

from lifecycle.errors import MetricError, PolicyError
from lifecycle.gates import Gate
from lifecycle.metrics import HIGHER_IS_BETTER, LOWER_IS_BETTER, lower_is_better

DAY = timedelta(days=1)


@pytest.mark.parametrize("metric", sorted(LOWER_IS_BETTER))
def test_a_metric_where_lower_is_better_takes_at_most_only(metric: str) -> None:
    assert lower_is_better(metric)
    Gate(metric, at_most=0.2)
    with pytest.raises(MetricError, match=f"Metric '{metric}': lower is better, but at_least=0.2. Use at_most."):
        Gate(metric, at_least=0.2)


@pytest.mark.parametrize("metric", sorted(HIGHER_IS_BETTER))
def test_a_metric_where_higher_is_better_takes_at_least_only(metric: str) -> None:
    assert not lower_is_better(metric)
    Gate(metric, at_least=0.2)
    with pytest.raises(MetricError, match=f"Metric '{metric}': higher is better, but at_most=0.2. Use at_least."):
        Gate(metric, at_most=0.2)


def test_an_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(MetricError, match=r"Metric 'f1': unknown. Choose one of \['accuracy', 'auc'"):
        Gate("f1")


def test_a_block_is_the_longer_of_a_day_and_the_labels_horizon() -> None:
    assert Gate("brier").block_length(timedelta(hours=2)) == DAY
    assert Gate("brier").block_length(28 * DAY) == 28 * DAY
    assert Gate("brier", block="30d").block_length(28 * DAY) == 30 * DAY


def test_a_block_shorter_than_the_horizon_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"Gate.block is '7 days.*Labels look 28 days.* ahead.*make it at least that"):
        Gate("brier", block="7d").block_length(28 * DAY)


@pytest.mark.parametrize("margin", [-0.1, 1, 5])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(PolicyError, match=r"Gate.margin is .* Give a share between 0 and 1"):
        Gate("brier", margin=margin)


def test_one_slice_may_be_written_without_a_list() -> None:
    assert Gate("brier", slices="origin").slices == ("origin",)
    assert Gate("brier", groups="origin").groups == ("origin",)
    assert Gate("brier", slices=["origin", "carrier"]).slices == ("origin", "carrier")
