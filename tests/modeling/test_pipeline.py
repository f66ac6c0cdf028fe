import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modeling.errors import ColumnTypeError, FitFunctionError, LabelError, UnsupportedTaskError
from modeling.pipeline import build, column_kinds, fitted, prepare
from modeling.tasks import Task, labels_for, parse_task, predict


def frame():
    return pd.DataFrame(
        {
            "carrier": ["AA", None, "UA"],
            "distance": [100, 200, 300],
            "weekend": [True, False, True],
            "delay": [1.5, None, -2.0],
        },
        index=[7, 8, 9],
    )


def test_a_model_sees_text_and_float64_only():
    prepared = prepare(frame())

    assert prepared.dtypes.astype(str).tolist() == ["object", "float64", "float64", "float64"]
    assert prepared["carrier"].tolist() == ["AA", None, "UA"]
    assert prepared["weekend"].tolist() == [1.0, 0.0, 1.0]
    assert prepared.index.tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.array([1, None, 3], dtype="Int64"), [1.0, np.nan, 3.0]),
        (pd.array([True, None], dtype="boolean"), [1.0, np.nan]),
        (np.array([True, None], dtype=object), [1.0, np.nan]),
        (pd.array([1.5, None], dtype="Float64"), [1.5, np.nan]),
    ],
)
def test_numbers_with_gaps_become_float64_with_nan(values, expected):
    prepared = prepare(pd.DataFrame({"x": values}))

    np.testing.assert_array_equal(prepared["x"].to_numpy(), expected)


@pytest.mark.parametrize("dtype", ["category", "string", object])
def test_text_in_any_form_becomes_str_or_none(dtype):
    prepared = prepare(pd.DataFrame({"x": pd.Series(["a", None], dtype=dtype)}))

    assert prepared["x"].dtype == object
    assert prepared["x"].tolist() == ["a", None]


def test_a_column_of_moments_is_refused_by_name():
    with pytest.raises(ColumnTypeError, match="'landed_at' holds datetime64"):
        prepare(pd.DataFrame({"landed_at": pd.to_datetime(["2013-01-01"])}))


def test_text_where_a_number_was_declared_is_refused():
    with pytest.raises(ColumnTypeError, match="'x' holds string"):
        prepare(pd.DataFrame({"x": ["many"]}), {"x": "number"})


def test_an_empty_column_takes_the_declared_kind():
    nothing = pd.DataFrame({"x": [None, None]})

    assert column_kinds(nothing) == {"x": "text"}
    assert prepare(nothing, {"x": "number"})["x"].dtype == np.float64


def test_missing_and_unknown_categories_are_the_same_nothing():
    X = prepare(pd.DataFrame({"carrier": ["AA", "UA", None] * 50, "distance": np.arange(150.0)}))
    model = fitted(HistGradientBoostingClassifier(), X, np.tile([0, 1, 0], 50), seed=3)

    known = pd.DataFrame({"carrier": [None, np.nan, "never seen"], "distance": [5.0, 5.0, 5.0]})
    encoded = model[0].transform(known)

    assert np.isnan(encoded[:, 0]).all()


def test_a_reordered_frame_with_more_columns_predicts_the_same():
    X = prepare(pd.DataFrame({"carrier": ["AA", "UA"] * 50, "distance": np.arange(100.0)}))
    model = fitted(HistGradientBoostingClassifier(), X, np.tile([0, 1], 50), seed=3)

    other = X[["distance", "carrier"]].assign(more=1)

    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(other))


def test_the_users_estimator_is_cloned_and_seeded_where_no_seed_was_chosen():
    forest, chosen = RandomForestClassifier(), RandomForestClassifier(random_state=11)
    X = pd.DataFrame({"x": [1.0]})

    assert build(forest, X, seed=3)[-1].random_state == 3
    assert build(chosen, X, seed=3)[-1].random_state == 11
    assert forest.random_state is None


def test_a_pipeline_of_the_users_own_keeps_its_steps():
    own = make_pipeline(StandardScaler(), LogisticRegression())

    built = build(own, pd.DataFrame({"x": [1.0]}), seed=3)

    assert [name for name, _ in built.steps] == ["standardscaler", "logisticregression"]
    assert built[-1].random_state == 3
    assert own[-1].random_state is None


def test_a_pipeline_of_the_users_own_is_fitted_on_what_it_will_be_asked_with():
    X = prepare(pd.DataFrame({"carrier": ["AA", "UA", None] * 50}))
    own = make_pipeline(OneHotEncoder(), LogisticRegression())

    model = fitted(own, X, np.tile([0.0, 1.0, 0.0], 50), seed=3)

    assert model.predict(X).tolist() == [0.0, 1.0, 0.0] * 50


def test_the_answer_to_a_yes_or_no_question_is_the_probability_of_a_yes():
    X = pd.DataFrame({"x": np.arange(100.0)})
    y = (X["x"] > 50).astype(float).to_numpy()
    model = fitted(LogisticRegression(), X, y, seed=3)

    np.testing.assert_array_equal(predict(Task.BINARY, model, X), model.predict_proba(X)[:, 1])


def test_a_model_that_never_saw_a_yes_says_no():
    X = pd.DataFrame({"x": np.arange(100.0)})
    model = fitted(RandomForestClassifier(n_estimators=2), X, np.zeros(100), seed=3)

    assert predict(Task.BINARY, model, X).tolist() == [0.0] * 100


def test_a_classifier_without_probabilities_is_refused():
    from sklearn.svm import LinearSVC

    with pytest.raises(FitFunctionError, match="LinearSVC cannot be fitted: it gives no probabilities"):
        predict(Task.BINARY, LinearSVC(), pd.DataFrame({"x": [1.0]}))


def test_several_classes_are_refused():
    with pytest.raises(UnsupportedTaskError, match="'multiclass'"):
        parse_task("multiclass")


@pytest.mark.parametrize(
    ("task", "y", "message"),
    [
        (Task.BINARY, [0, 2, 1], r"values \[2.0\] are neither 0 nor 1"),
        (Task.REGRESSION, [1.0, np.nan], "1 of 2 are null or infinite"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused(task, y, message):
    with pytest.raises(LabelError, match=message):
        labels_for(task, y)
