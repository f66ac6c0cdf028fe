from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier

from modeling.candidates import Candidate, candidates
from modeling.digests import golden_rows, model_digest
from modeling.errors import LengthMismatchError, TooFewBlocksError, TooFewRowsError
from modeling.export import load, save
from modeling.fit_function import as_fit_function, tune
from modeling.pipeline import prepare
from modeling.recalibration import Recalibration, recalibrate
from modeling.search import search, validation_split
from modeling.splits import to_numpy
from modeling.tasks import Task, predict
from modeling.training import train, trivial_rules
from modeling.training_plan import TrainingSet

BOOSTED = HistGradientBoostingClassifier(max_iter=20)


def test_every_candidate_and_the_trivial_rules_answer_the_same_rows(trained):
    result = trained

    assert [line.name for line in result.table] == ["all history", "recent window", "constant", "last known"]
    assert {line.estimate.rows for line in result.table} == {len(result.rows.y)}
    assert result.alternatives == 2
    assert result.table[0].rows > result.table[1].rows > result.table[2].rows == 0


def test_the_best_candidate_is_the_one_with_the_best_value(trained):
    result = trained

    fitted = result.table[: result.alternatives]
    assert result.best.name == min(fitted, key=lambda line: line.estimate.value).name


def test_for_a_metric_where_higher_is_better_the_best_is_the_highest(training_set, plan):
    result = train(training_set, BOOSTED, plan(metric="auc"))

    fitted = result.table[: result.alternatives]
    assert result.best.name == max(fitted, key=lambda line: line.estimate.value).name


def test_what_was_evaluated_is_what_is_returned(trained):
    result = trained

    again = predict(Task.BINARY, result.best.model, result.evaluation_frame)

    np.testing.assert_array_equal(again, result.rows.challenger)


def test_the_champion_answers_the_rows_as_they_came(training_set, plan):
    seen = []

    def champion(X):
        seen.append(X)
        return np.full(len(X), 0.5)

    result = train(training_set, BOOSTED, plan(), champion)

    assert seen[0]["weekend"].dtype == bool
    assert result.rows.champion.tolist() == [0.5] * len(result.rows.y)
    assert [line.name for line in result.table][2:] == ["champion", "constant", "last known"]


def test_the_gates_get_the_better_trivial_rule(trained):
    result = trained

    rules = {line.name: line.estimate.value for line in result.table[-2:]}
    assert np.mean((result.rows.trivial - result.rows.y) ** 2) == pytest.approx(min(rules.values()))


def test_the_last_known_rule_follows_a_change_that_the_constant_lags_behind(questions):
    as_of = np.datetime64("2013-01-01", "us") + np.arange(100) * np.timedelta64(1, "D")
    known = TrainingSet(questions(rows=100).X, (np.arange(100) >= 80).astype(float), as_of, as_of)

    rules = trivial_rules(known, timedelta(days=10), rows=3)

    assert rules["constant"].tolist() == [0.2] * 3
    assert rules["last known"].tolist() == [1.0] * 3


def test_training_again_gives_the_same_model_and_another_seed_another(training_set, plan):
    forest = RandomForestClassifier(n_estimators=5)
    golden = golden_rows(prepare(training_set.X))

    def digest(seed):
        return model_digest(train(training_set, forest, plan(seed=seed, recent=None)).best.model, golden)

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_the_future_does_not_change_what_was_trained(training_set, plan):
    now = datetime(2013, 4, 1, tzinfo=UTC)
    golden = golden_rows(prepare(training_set.X))
    past = training_set.take(np.flatnonzero(training_set.label_available_at <= to_numpy(now)))

    then = train(past, BOOSTED, plan(now=now))
    later = train(training_set, BOOSTED, plan(now=now))

    assert model_digest(then.best.model, golden) == model_digest(later.best.model, golden)
    assert [line.estimate for line in then.table] == [line.estimate for line in later.table]


def test_questions_whose_label_is_null_are_not_used(training_set, plan):
    y = training_set.y.copy()
    y[::2] = np.nan

    result = train(TrainingSet(training_set.X, y, training_set.as_of, training_set.label_available_at), BOOSTED, plan())

    assert not set(range(0, len(y), 2)) & {*result.split.train_index, *result.split.evaluation_index}


def test_the_newest_label_is_that_of_the_best_candidates_rows(training_set, trained):
    assert to_numpy(trained.best.newest_label) == training_set.as_of[trained.split.train_index].max()
    assert trained.best.newest_label.tzinfo is UTC


def test_a_number_can_be_predicted(questions, plan):
    known = questions()
    target = known.X["signal"].to_numpy() * 3 + 10
    known = TrainingSet(known.X, target, known.as_of, known.label_available_at)

    result = train(known, HistGradientBoostingRegressor(max_iter=20), plan(task=Task.REGRESSION, metric="mae"))

    lines = {line.name: line.estimate.value for line in result.table}
    assert lines["all history"] < lines["constant"] / 3


def test_the_recent_window_is_left_out_where_history_is_no_longer(trained):
    split = trained.split

    assert [one.name for one in candidates(split, timedelta(days=60))] == ["all history", "recent window"]
    assert [one.name for one in candidates(split, timedelta(days=600))] == ["all history"]
    assert [one.name for one in candidates(split, None)] == ["all history"]


def test_the_recent_window_holds_recent_training_rows_only(training_set, trained):
    split = trained.split
    start = datetime(2013, 3, 1, tzinfo=UTC)

    rows = Candidate("recent window", start).rows(split, training_set.as_of)

    assert training_set.as_of[rows].min() > to_numpy(start)
    assert set(rows) < set(split.train_index)


def test_an_evaluation_of_too_few_days_is_refused(training_set, plan):
    with pytest.raises(TooFewBlocksError, match="5 independent blocks"):
        train(training_set, BOOSTED, plan(evaluation=timedelta(days=5)))


def test_columns_of_two_lengths_are_refused(training_set):
    with pytest.raises(LengthMismatchError, match="'y': 3"):
        replace(training_set, y=training_set.y[:3])


def overconfident(training_set, plan):
    """A champion that was trained on January, and whose probabilities have been wrong since."""
    january = training_set.take(np.flatnonzero(training_set.as_of < np.datetime64("2013-02-01")))
    wrong = np.where(np.arange(len(january)) % 3 == 0, 1.0, january.y)
    model = as_fit_function(BOOSTED)(prepare(january.X), wrong, seed=1)
    return Recalibration(model, datetime(2013, 2, 1, tzinfo=UTC))


def test_a_champion_that_is_wrong_about_its_level_becomes_a_candidate_when_mended(training_set, plan):
    champion = overconfident(training_set, plan)

    def answers(X):
        return predict(Task.BINARY, champion.model, prepare(X))

    result = train(training_set, BOOSTED, plan(), answers, champion)

    lines = {line.name: line.estimate.value for line in result.table}
    assert result.alternatives == 3
    assert lines["champion recalibrated"] < lines["champion"] - 0.01


def test_a_mended_champion_is_as_old_as_the_champion(training_set, plan):
    champion = overconfident(training_set, plan)

    mended = recalibrate(champion, training_set.take(np.arange(3000, 5000)), plan())

    assert (mended.newest_label, mended.rows) == (champion.newest_label, 2000)


def test_mending_twice_leaves_one_sigmoid_that_can_be_read_back(training_set, plan, tmp_path):
    champion, rows = overconfident(training_set, plan), training_set.take(np.arange(3000, 5000))

    once = recalibrate(champion, rows, plan())
    twice = recalibrate(Recalibration(once.model, champion.newest_label), rows, plan())

    golden = golden_rows(prepare(training_set.X))
    assert model_digest(twice.model, golden) == model_digest(once.model, golden)
    again = load(save(once.model, tmp_path / "model.skops"))
    assert model_digest(again, golden) == model_digest(once.model, golden)


def test_too_few_new_rows_mend_nothing(training_set, plan):
    assert recalibrate(overconfident(training_set, plan), training_set.take(np.arange(499)), plan()) is None


MAX_ITER = tune(1, 1, 10)


def boosted(X, y, max_iter=MAX_ITER):
    return HistGradientBoostingClassifier(max_iter=max_iter)


def test_without_a_search_the_defaults_are_used(training_set, plan):
    result = train(training_set, boosted, plan(recent=None))

    assert result.best.values == {}
    assert result.best.model[-1].max_iter == 1


def test_a_search_beats_a_bad_default_and_repeats_itself(training_set, plan):
    known = training_set.take(np.arange(2000))
    asked = plan(trials=3)

    first, second = (search(known, as_fit_function(boosted), asked) for _ in range(2))

    assert first == second
    assert first.trials[0][0] == {"max_iter": 1}
    assert first.score < first.trials[0][1]


def test_a_searched_training_fits_with_the_values_it_found(training_set, plan):
    result = train(training_set, boosted, plan(trials=2, recent=None))

    assert result.best.model[-1].max_iter == result.best.values["max_iter"]


def test_a_search_validates_on_newer_rows_than_it_fits_on(training_set):
    before, after = validation_split(training_set)

    assert training_set.label_available_at[before].max() <= training_set.as_of[after].min()
    assert len(after) == pytest.approx(0.2 * len(training_set), abs=1)


def test_a_search_on_too_few_rows_is_refused(training_set):
    with pytest.raises(TooFewRowsError, match=r"0 rows to fit on in a search \(50 training rows\)"):
        validation_split(training_set.take(np.arange(50)))
