import numpy as np
import pytest

from modeling.errors import LengthMismatchError, TooFewBlocksError, UndefinedMetricError
from modeling.evaluation import Resampling, block_interval, paired_interval

METRICS = ["brier", "log_loss", "auc", "accuracy", "mae", "rmse", "r2"]


def answered(seed=0, rows=1400, days=14):
    """Labels, two models' probabilities (the second one noisier), and days."""
    generator = np.random.default_rng(seed)
    truth = generator.random(rows)
    noisy = np.clip(truth + generator.normal(0, 0.2, rows), 0, 1)
    return (generator.random(rows) < truth).astype(float), truth, noisy, np.arange(rows) * days // rows


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_holds_the_value_and_says_what_it_rests_on(metric):
    y, p, _, days = answered()

    found = block_interval(metric, y, p, days)

    assert found.low < found.value < found.high
    assert (found.rows, found.blocks, found.level) == (1400, 14, 0.95)


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_the_rows_changes_no_bit(metric):
    y, p, noisy, days = answered()
    order = np.random.default_rng(5).permutation(len(y))

    assert block_interval(metric, y, p, days) == block_interval(metric, y[order], p[order], days[order])
    assert paired_interval(metric, y, (p, noisy), days) == paired_interval(
        metric, y[order], (p[order], noisy[order]), days[order]
    )


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    y, p, _, days = answered()

    first = block_interval("brier", y, p, days, Resampling(seed=1))

    assert first == block_interval("brier", y, p, days, Resampling(seed=1))
    assert first != block_interval("brier", y, p, days, Resampling(seed=2))


@pytest.mark.parametrize("metric", METRICS)
def test_above_zero_the_first_model_is_worse_whichever_way_the_metric_points(metric):
    y, better, worse, days = answered()

    assert paired_interval(metric, y, (worse, better), days).low > 0
    assert paired_interval(metric, y, (better, worse), days).high < 0


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_does_not_differ_from_itself(metric):
    y, p, _, days = answered()

    found = paired_interval(metric, y, (p, p), days)

    assert (found.low, found.value, found.high) == (0, 0, 0)


def test_what_a_day_does_to_both_models_cancels_out():
    generator = np.random.default_rng(3)
    days = np.repeat(np.arange(30), 100)
    y = generator.normal(0, 5, 30)[days] + generator.normal(size=3000)
    one, other = np.zeros(3000), np.full(3000, 0.01)

    alone = block_interval("rmse", y, one, days)
    paired = paired_interval("rmse", y, (one, other), days)

    assert paired.high - paired.low < (alone.high - alone.low) / 50


def coverage(blocks_of_rows, *, days, seeds):
    """How often the interval around a mean error holds the true one, when all rows of a day share a shock."""
    hits = 0
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        day = np.repeat(np.arange(days), 50)
        error = np.exp(generator.normal(0, 0.3, days)[day] + generator.normal(0, 0.3, day.size) - 0.09)
        found = block_interval("mae", error, np.zeros(day.size), blocks_of_rows(day), Resampling(seed, draws=1000))
        hits += found.low <= 1.0 <= found.high
    return hits / seeds


@pytest.mark.parametrize("days", [7, 14, 28])
def test_an_interval_from_days_holds_the_truth_as_often_as_it_says_however_few_days(days):
    assert 0.90 <= coverage(lambda day: day, days=days, seeds=300) <= 0.99


def test_an_interval_from_single_rows_is_far_too_narrow_when_days_share_shocks():
    assert coverage(lambda day: np.arange(day.size), days=14, seeds=40) < 0.6


def test_a_higher_level_gives_a_wider_interval_even_past_what_the_draws_can_show():
    y, p, _, days = answered()

    found = [
        block_interval("brier", y, p, days, Resampling(level=level)) for level in (0.8, 0.95, 0.99, 0.9999, 0.999999)
    ]

    widths = [one.high - one.low for one in found]
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[1]


def test_fewer_than_seven_blocks_are_refused():
    y, p, _, days = answered(days=6)

    with pytest.raises(TooFewBlocksError, match="6 independent blocks, and an interval needs at least 7"):
        block_interval("brier", y, p, days)


def test_blocks_of_another_length_are_refused():
    with pytest.raises(LengthMismatchError, match="'blocks': 2"):
        block_interval("mae", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0, 1])


def test_one_class_has_no_auc_but_a_brier():
    _, p, _, days = answered()

    with pytest.raises(UndefinedMetricError, match="0 yes and 1400 no"):
        block_interval("auc", np.zeros(1400), p, days)
    assert block_interval("brier", np.zeros(1400), p, days).value > 0


def test_an_auc_that_hangs_on_one_day_is_refused():
    _, p, _, days = answered()
    y = (days == 0).astype(float)

    with pytest.raises(UndefinedMetricError, match="of the resampled sets of blocks hold one class"):
        block_interval("auc", y, p, days)


def test_very_many_blocks_are_merged_and_the_estimate_says_so():
    y, p, _, entities = answered(rows=20_000, days=20_000)
    merged = np.arange(20_000) * 500 // 20_000

    found = block_interval("brier", y, p, entities)

    assert found.blocks == 500
    assert found == block_interval("brier", y, p, merged)
