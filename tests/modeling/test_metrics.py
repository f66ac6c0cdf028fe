import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from lifecycle.errors import MetricError
from lifecycle.metrics import HIGHER_IS_BETTER, LOWER_IS_BETTER
from modeling.block_sums import evaluate, in_canonical_order
from modeling.errors import LengthMismatchError, PredictionError, UndefinedMetricError
from modeling.metrics import losses, value

EVERY_METRIC = sorted(LOWER_IS_BETTER | HIGHER_IS_BETTER)

ORACLES = {
    "brier": sklearn_metrics.brier_score_loss,
    "log_loss": sklearn_metrics.log_loss,
    "auc": sklearn_metrics.roc_auc_score,
    "accuracy": lambda y, p: sklearn_metrics.accuracy_score(y, p > 0.5),
    "mae": sklearn_metrics.mean_absolute_error,
    "rmse": sklearn_metrics.root_mean_squared_error,
    "r2": sklearn_metrics.r2_score,
}


@pytest.fixture
def answered():
    generator = np.random.default_rng(0)
    p = np.round(generator.random(1000), 2)  # rounded, so that there are ties
    return (generator.random(1000) < p).astype(float), p


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_a_metric_is_what_scikit_learn_computes(answered, metric):
    y, p = answered

    assert value(metric, y, p) == pytest.approx(ORACLES[metric](y, p), abs=1e-12)


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_a_metric_from_block_sums_is_the_metric_of_the_repeated_rows(answered, metric):
    y, p = answered
    blocks = np.arange(1000) // 100
    times = np.array([3, 0, 1, 2, 0, 1, 1, 0, 1, 1])
    repeated = np.concatenate([np.flatnonzero(blocks == k) for k in range(10) for _ in range(times[k])])

    found = evaluate(metric, in_canonical_order(y, (p,), blocks), 0)(times[None, :].astype(float))

    assert found[0] == pytest.approx(ORACLES[metric](y[repeated], p[repeated]), abs=1e-12)


@pytest.mark.parametrize("metric", ["brier", "log_loss", "mae"])
def test_the_mean_of_the_row_losses_is_the_metric(answered, metric):
    y, p = answered

    assert losses(metric, y, p).mean() == pytest.approx(value(metric, y, p), abs=1e-15)


def test_a_wrong_answer_is_a_loss_of_one():
    assert losses("accuracy", [1, 0, 1], [0.9, 0.9, 0.1]).tolist() == [0, 1, 1]


def test_a_certain_wrong_answer_has_a_large_finite_log_loss():
    assert np.isfinite(losses("log_loss", [1.0, 0.0], [0.0, 1.0])).all()


@pytest.mark.parametrize("metric", ["auc", "r2"])
def test_a_metric_of_all_rows_has_no_loss_per_row(metric):
    with pytest.raises(UndefinedMetricError, match=f"{metric} is not defined on these rows: it is no mean"):
        losses(metric, [0, 1], [0.2, 0.4])


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(MetricError, match="'f1'"):
        value("f1", [0, 1], [0.2, 0.4])


@pytest.mark.parametrize("y", [[1, 1, 1], [0, 0, 0]])
def test_auc_of_one_class_is_undefined(y):
    with pytest.raises(UndefinedMetricError, match=r"3 yes and 0 no|0 yes and 3 no"):
        value("auc", y, [0.1, 0.2, 0.3])


def test_r2_of_equal_labels_is_undefined():
    with pytest.raises(UndefinedMetricError, match="all 3 labels are equal"):
        value("r2", [5, 5, 5], [1, 2, 3])


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_no_rows_are_refused(metric):
    with pytest.raises(UndefinedMetricError):
        value(metric, [], [])


def test_r2_of_large_labels_close_together_keeps_its_digits():
    generator = np.random.default_rng(1)
    y = 1e9 + generator.normal(size=700)
    p = y + generator.normal(size=700) / 2
    rows = in_canonical_order(y, (p,), np.arange(700) // 100)

    found = evaluate("r2", rows, 0)(np.ones((1, 7)))

    assert found[0] == pytest.approx(sklearn_metrics.r2_score(y, p), abs=1e-6)


@pytest.mark.parametrize(
    ("p", "message"),
    [([0.1, np.nan], "1 of 2 rows"), ([0.1, 1.5], "lie from 0.1 to 1.5"), ([-0.1, 1.0], "lie from -0.1")],
)
def test_predictions_that_are_no_probabilities_are_refused(p, message):
    with pytest.raises(PredictionError, match=message):
        value("brier", [0, 1], p)


def test_lengths_that_differ_are_refused():
    with pytest.raises(LengthMismatchError, match="'labels': 3, 'predictions': 2"):
        value("mae", [1, 2, 3], [1, 2])
