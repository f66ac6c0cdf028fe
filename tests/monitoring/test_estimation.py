from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lifecycle.moments import Window
from lifecycle.records import from_plain, to_plain
from lifecycle.worth import Reconciliation, Worth
from monitoring.confidence import learn_confidence
from monitoring.error_model import learn_errors
from monitoring.errors import UnreadableInstrumentsError
from monitoring.estimation import estimates, reconciled, stated
from monitoring.expected_metrics import METRICS, expected
from monitoring.instruments import Instruments
from monitoring.labels import LabelledRows

WINDOW = Window(datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 8, tzinfo=UTC))
WEEK = timedelta(days=7)


def classes(rows, *, seed=0, shift=0.0, sure=1.0, days=28, shock=0.0):
    """Scores, labels and days; `sure` above 1 makes the scores overconfident, `shock` lets a day share its luck."""
    generator = np.random.default_rng(seed)
    z = generator.normal(shift, 1.2, rows)
    day = np.sort(generator.integers(days, size=rows))
    true = 1 / (1 + np.exp(-(z + shock * generator.normal(size=days)[day])))
    labels = (generator.random(rows) < true).astype(float)
    return 1 / (1 + np.exp(-sure * z)), labels, day


def realised(metric, p, y):
    """By the textbook, a yes above one half."""
    said = p > 0.5
    hits = (said & (y == 1)).sum()
    if metric == "auc":
        yes, no = p[y == 1], p[y == 0]
        return (yes[:, None] > no).mean() + (yes[:, None] == no).mean() / 2
    return {
        "accuracy": (said == y).mean(),
        "f1": 2 * hits / (said.sum() + y.sum()),
        "precision": hits / said.sum(),
        "recall": hits / y.sum(),
        "brier": ((p - y) ** 2).mean(),
        "log_loss": -np.log(np.where(y == 1, p, 1 - p)).mean(),
    }[metric]


@pytest.mark.parametrize("metric", METRICS)
def test_the_expectation_over_certain_labels_is_the_metric_itself(metric):
    p, y, _ = classes(400)

    found = expected(metric, p[:, None], y[:, None])

    assert found.value == pytest.approx(realised(metric, p, y), abs=1e-12)
    assert found.variance(y[:, None]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_a_weight_is_how_much_the_metric_changes_with_a_label(metric):
    p, _, _ = classes(60)
    chances = p[:, None] * 0.9
    found = expected(metric, p[:, None], chances)
    step = np.zeros_like(chances)
    step[7] = 1e-6

    moved = (expected(metric, p[:, None], chances + step).value - found.value) / 1e-6

    assert moved == pytest.approx(found.weights[7, 0], rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(("metric", "shock"), [*((m, 0.0) for m in METRICS), ("brier", 0.5), ("auc", 0.5)])
def test_the_realised_value_lies_in_the_stated_interval_about_as_often_as_stated(metric, shock):
    learned = [learn_confidence(*classes(3000, seed=seed, sure=2.0, shock=shock)) for seed in range(5)]

    inside = 0
    for seed in range(60):
        p, y, _ = classes(1500, seed=100 + seed, sure=2.0, shift=0.4, shock=shock, days=14)
        found = learned[seed % 5].estimate(metric, p)
        inside += found.low <= realised(metric, p, y) <= found.high

    assert inside >= 54  # nine in ten, at a nominal 95 %


def test_calibration_is_learned_where_it_helps_and_left_alone_where_it_does_not():
    overconfident = learn_confidence(*classes(6000, sure=2.5))
    true = [learn_confidence(*classes(1000, seed=seed)) for seed in range(10)]

    assert overconfident.steps[0] is not None
    assert overconfident.error_after < overconfident.error_before / 2
    assert sum(one.steps == (None,) for one in true) > 5


def test_several_classes_are_estimated_too():
    generator = np.random.default_rng(3)
    z = generator.normal(size=(4000, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (generator.random(4000)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    sure = p**2 / (p**2).sum(axis=1, keepdims=True)
    learned = learn_confidence(sure[:3000], y[:3000], np.arange(3000) // 100)

    found = {metric: learned.estimate(metric, sure[3000:]) for metric in METRICS}

    said = sure[3000:].argmax(axis=1)
    true = np.eye(3)[y[3000:]]
    aucs = [realised("auc", sure[3000:, k], true[:, k]) for k in range(3)]
    assert found["accuracy"].low <= (said == y[3000:]).mean() <= found["accuracy"].high
    assert found["auc"].low <= np.mean(aucs) <= found["auc"].high
    assert found["brier"].low <= ((sure[3000:] - true) ** 2).sum(axis=1).mean() <= found["brier"].high
    assert found["log_loss"].low <= -np.log((sure[3000:] * true).sum(axis=1)).mean() <= found["log_loss"].high
    assert learned.chances(sure[3000:]).sum(axis=1) == pytest.approx(1)


def test_a_changed_meaning_stays_unseen_and_is_said_to():
    instruments = Instruments.learn(rows_of_classes(), seed=0)
    p, y, _ = classes(3000, seed=9)

    turned = next(one for one in told(instruments, p) if one.metric == "accuracy")

    assert realised("accuracy", p, 1 - y) < turned.estimate.low - 0.2
    assert turned.blind_to == "concept drift"


def numbers(rows, *, seed=0, shift=0.0):
    """A regression whose error grows with `x`, and more so for one carrier; features, prediction, label, day."""
    generator = np.random.default_rng(seed)
    x, carrier = generator.normal(shift, 1, rows), generator.choice(["a", "b"], rows)
    error = generator.normal(size=rows) * (0.5 + np.abs(x) + (carrier == "b"))
    day = np.sort(generator.integers(28, size=rows))
    return pd.DataFrame({"x": x, "carrier": carrier, "prediction": 3 * x}), 3 * x + error, day


def test_the_error_of_a_regression_is_estimated_where_it_has_shifted():
    references = [learn_errors(*numbers(4000, seed=seed)) for seed in range(6)]

    inside = {"mae": 0, "rmse": 0}
    for seed in range(30):
        learned = references[seed % 6]
        frame, y, _ = numbers(1500, seed=100 + seed, shift=0.7)
        missed = np.abs(y - frame["prediction"])
        mae, rmse = (learned.estimate(metric, frame) for metric in ("mae", "rmse"))
        inside["mae"] += mae.low <= missed.mean() <= mae.high
        inside["rmse"] += rmse.low <= np.sqrt((missed**2).mean()) <= rmse.high

    assert min(inside.values()) >= 27
    assert learned.estimate("r2", frame) is None


def test_a_row_of_which_hardly_an_error_is_expected_has_an_interval_that_ends():
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({"a": generator.normal(size=600)}).assign(prediction=lambda frame: frame["a"])
    errors = generator.standard_t(1.5, 600) * 10 * (rows["a"] > 0.5) + generator.normal(0, 1e-3, 600)
    learned = learn_errors(rows, rows["prediction"] + errors, np.arange(600) // 20)

    found = [learned.estimate("rmse", rows.iloc[[place]]) for place in range(40)]

    assert min(one.value for one in found) == 0
    assert max(one.high for one in found) < 20 * np.abs(errors).max()


def rows_of_classes(rows=4000, **how):
    p, y, day = classes(rows, **how)
    features = pd.DataFrame({"signal": p, "noise": np.random.default_rng(5).normal(size=rows)})
    return LabelledRows(features, p, y, day, binary=True)


def rows_of_numbers():
    frame, y, day = numbers(3000)
    return LabelledRows(frame.drop(columns="prediction"), frame["prediction"].to_numpy(), y, day, binary=False)


def told(instruments, predictions, features=None, task="binary"):
    features = pd.DataFrame(index=range(len(predictions))) if features is None else features
    return estimates(instruments, features, np.asarray(predictions, dtype=float), window=WINDOW, task=task)


@pytest.mark.parametrize("rows", [rows_of_classes, rows_of_numbers])
def test_instruments_come_back_from_their_file_and_say_the_same(rows, tmp_path):
    known = rows()
    task = "binary" if known.binary else "regression"
    instruments = Instruments.learn(known, seed=3)
    instruments.write(tmp_path / "one.npz")
    Instruments.learn(known, seed=3).write(tmp_path / "two.npz")

    again = Instruments.read(tmp_path / "one.npz")

    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert again.extremes.score(known.features).tolist() == instruments.extremes.score(known.features).tolist()
    before, after = (told(one, known.predictions, known.features, task) for one in (instruments, again))
    assert before == after
    assert all(one.estimate is not None for one in before)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + b"\x00" * 18])
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "instruments.npz"
    path.write_bytes(content)

    with pytest.raises(UnreadableInstrumentsError, match="Restore it from the registered model version"):
        Instruments.read(path)


def test_a_pickle_inside_is_refused(tmp_path):
    path = tmp_path / "instruments.npz"
    np.savez(path, told=np.array([{"a": 1}], dtype=object))

    with pytest.raises(UnreadableInstrumentsError, match="allow_pickle=False"):
        Instruments.read(path)


EDGES = {
    "no rows": [],
    "nothing but nulls": [np.nan] * 50,
}


@pytest.mark.parametrize("predictions", EDGES.values(), ids=EDGES)
def test_a_window_without_a_usable_prediction_says_so(predictions):
    instruments = Instruments.learn(rows_of_classes(), seed=0)

    found = told(instruments, predictions)

    assert {one.estimate for one in found} == {None}
    assert all("no predictions in the window" in one.note for one in found)


def test_one_row_is_estimated_with_the_width_that_one_row_deserves():
    instruments = Instruments.learn(rows_of_classes(), seed=0)

    found = {one.metric: one for one in told(instruments, [0.7])}

    assert found["accuracy"].estimate.high - found["accuracy"].estimate.low > 0.8
    assert found["auc"].estimate is None or found["auc"].estimate.rows == 1


def test_lost_predictions_are_counted():
    instruments = Instruments.learn(rows_of_classes(), seed=0)

    found = told(instruments, [0.2, np.nan, 0.9] * 40)

    assert {one.note for one in found} == {"40 of 120 predictions are no numbers"}


def test_where_nobody_is_told_yes_precision_is_unknown():
    instruments = Instruments.learn(rows_of_classes(), seed=0)

    found = {one.metric: one for one in told(instruments, np.full(100, 0.1))}

    assert found["precision"].estimate is None
    assert found["precision"].note == "precision is not defined on these rows"
    assert found["brier"].estimate is not None


@pytest.mark.parametrize("change", [{"rows": 200}, {"days": 5}, "one class"])
def test_too_little_to_learn_from_is_said_and_not_guessed(change):
    known = rows_of_classes(**(change if isinstance(change, dict) else {}))
    if change == "one class":
        known = LabelledRows(known.features, known.predictions, np.ones(len(known)), known.blocks, binary=True)

    found = told(Instruments.learn(known, seed=0), known.predictions)

    assert {one.estimate for one in found} == {None}
    assert all("nothing was learned" in one.note for one in found)
    assert all("train again" in one.note for one in told(None, known.predictions))


def test_estimates_are_held_against_what_the_labels_say_and_the_history_is_kept():
    known = rows_of_classes()
    instruments = Instruments.learn(known, seed=0)
    found = told(instruments, known.predictions)
    accuracy = next(one.estimate for one in found if one.metric == "accuracy")
    earlier = missed_by(accuracy, 0.3, before=1)
    past = {WINDOW.end: (earlier,), WINDOW.end + WEEK: (earlier,)}

    (pair,) = reconciled(stated(found, {}), {"accuracy": accuracy.value + 0.001, "r2": 1.0}, past)

    assert pair.within
    assert pair.windows == 2
    assert pair.bias == pytest.approx((0.001 - 0.3) / 2)
    assert pair.covered == 0.5
    assert pair.basis.windows == 0


def missed_by(estimate, distance, *, before):
    """A window so many weeks earlier, recorded without a basis, whose realised value lay so far below the estimate."""
    window = Window(WINDOW.start - before * WEEK, WINDOW.end - before * WEEK)
    return Reconciliation("accuracy", window, estimate, estimate.value - distance, 1, -distance, 0.0)


def accuracy_of(found):
    return next(one for one in found if one.metric == "accuracy")


def test_the_stated_interval_takes_in_what_was_missed_before_in_old_records_too():
    instruments = Instruments.learn(rows_of_classes(), seed=0)
    chance = accuracy_of(told(instruments, classes(3000, seed=9)[0]))
    missed = missed_by(chance.estimate, 0.05, before=1)

    found = accuracy_of(stated((chance,), {WINDOW.end: (missed,)}))

    assert found.estimate.value == chance.estimate.value
    assert found.estimate.high - found.estimate.value > 0.05
    assert found.estimate.low == pytest.approx(2 * found.estimate.value - found.estimate.high)
    assert (found.basis.windows, str(found.basis)) == (1, "interval from 1 reconciled window")


def test_without_reconciled_windows_the_interval_is_of_chance_alone_and_says_so():
    instruments = Instruments.learn(rows_of_classes(), seed=0)
    chance = told(instruments, classes(3000, seed=9)[0])

    found = stated(chance, {})

    assert accuracy_of(found).estimate.low == pytest.approx(accuracy_of(chance).estimate.low)
    assert accuracy_of(found).estimate.high == pytest.approx(accuracy_of(chance).estimate.high)
    assert str(accuracy_of(found).basis) == "interval from chance alone, no window is reconciled yet"


def test_what_became_known_after_the_window_does_not_change_what_was_stated_of_it():
    instruments = Instruments.learn(rows_of_classes(), seed=0)
    chance = accuracy_of(told(instruments, classes(3000, seed=9)[0]))
    known, later = missed_by(chance.estimate, 0.02, before=2), missed_by(chance.estimate, 0.4, before=1)
    revised = missed_by(chance.estimate, 0.3, before=2)

    before = stated((chance,), {WINDOW.end: (known,)})
    after = stated((chance,), {WINDOW.end: (known,), WINDOW.end + WEEK: (later, revised)})

    assert before == after


def test_limits_stay_where_the_metric_can_be():
    instruments = Instruments.learn(rows_of_classes(), seed=0)
    chance = accuracy_of(told(instruments, classes(3000, seed=9)[0]))

    (found,) = stated((chance,), {WINDOW.end: (missed_by(chance.estimate, 0.9, before=1),)})

    assert (found.estimate.low, found.estimate.high) == (0.0, 1.0)
    assert found.basis.reach * found.basis.deviation > 0.9


def test_records_from_before_intervals_learned_are_read_and_are_learned_from():
    instruments = Instruments.learn(rows_of_classes(), seed=0)
    chance = accuracy_of(told(instruments, classes(3000, seed=9)[0]))
    plain = to_plain(Worth(estimated=(chance,), reconciled=(missed_by(chance.estimate, 0.05, before=1),)))
    for one in (*plain["estimated"], *plain["reconciled"]):
        del one["basis"]

    old = from_plain(Worth, plain)

    assert (old.estimated[0].basis, old.reconciled[0].basis) == (None, None)
    assert accuracy_of(stated((chance,), {WINDOW.end: old.reconciled})).basis.windows == 1
