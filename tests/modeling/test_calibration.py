import numpy as np
import pytest

from modeling.calibration import (
    calibration_difference,
    calibration_interval,
    calibration_line,
    expected_calibration_error,
    reliability,
)
from modeling.errors import UndefinedMetricError
from modeling.evaluation import Resampling


def said_and_came(seed=0, rows=20_000):
    generator = np.random.default_rng(seed)
    p = generator.random(rows)
    return (generator.random(rows) < p).astype(float), p


def test_true_probabilities_have_hardly_any_calibration_error():
    y, p = said_and_came()

    assert expected_calibration_error(y, p) < 0.01


def test_probabilities_that_are_all_too_high_err_by_as_much():
    y, _ = said_and_came()

    assert expected_calibration_error(y, np.full(y.size, 0.9)) == pytest.approx(0.9 - y.mean())


def test_the_table_holds_every_row_once_and_no_empty_bin():
    y = np.array([0.0, 1.0, 1.0, 1.0])
    p = np.array([0.05, 0.05, 0.95, 1.0])

    low, high = reliability(y, p)

    assert (low.low, low.high, low.rows, low.predicted, low.observed) == (0.0, 0.1, 2, 0.05, 0.5)
    assert (high.low, high.high, high.rows, high.predicted, high.observed) == (0.9, 1.0, 2, 0.975, 1.0)


def test_no_rows_have_no_calibration_error():
    assert expected_calibration_error([], []) == 0


def test_the_difference_is_that_of_the_two_errors_and_has_an_interval():
    y, p = said_and_came(rows=4000)
    days = np.arange(4000) // 200
    off = np.clip(p + 0.1, 0, 1)

    found = calibration_difference(y, (off, p), days, Resampling())

    assert found.value == pytest.approx(expected_calibration_error(y, off) - expected_calibration_error(y, p))
    assert 0 < found.low < found.value < found.high


def overconfident(rows=4000, sure=1.5, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=rows)
    y = (generator.random(rows) < 1 / (1 + np.exp(-z))).astype(float)
    return y, 1 / (1 + np.exp(-sure * z)), generator.integers(14, size=rows)


def test_the_slope_tells_how_much_too_sure_a_model_is():
    covered = 0
    for seed in range(30):
        line = calibration_line(*overconfident(2000, seed=seed))
        covered += line.slope.low <= 1 / 1.5 <= line.slope.high
        covered += line.intercept.low <= 0 <= line.intercept.high

    assert covered >= 54  # of 60


def test_the_calibration_error_has_an_interval_around_it():
    found = calibration_interval(*overconfident())

    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(expected_calibration_error(*overconfident()[:2]))
    assert found.low > 0.02


@pytest.mark.parametrize(
    ("y", "p"),
    [
        (np.ones(70), np.linspace(0.1, 0.9, 70)),
        (np.arange(70) % 2, np.full(70, 0.4)),
        (np.arange(70) > 34, np.linspace(0, 1, 70)),
    ],
    ids=["one class", "equal predictions", "parted without error"],
)
def test_a_slope_that_no_row_can_tell_is_refused(y, p):
    with pytest.raises(UndefinedMetricError, match="calibration slope"):
        calibration_line(y, p, np.arange(70) % 10)
