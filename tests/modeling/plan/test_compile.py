import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modeling.pipeline import column_kinds, fitted
from modeling.plan.compile import NotCompilable, compile_plan
from modeling.plan.engines import Numba, Numpy
from modeling.tasks import Task

TEXT = ["carrier", "dest"]


def encoded(encoder, *numbers):
    return make_column_transformer((encoder, TEXT), remainder=make_pipeline(*numbers) if numbers else "passthrough")


def one_hot(**options):
    return encoded(OneHotEncoder(handle_unknown="ignore", **options), SimpleImputer(), StandardScaler())


def by_category():
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return make_pipeline(encoded(encoder), HistGradientBoostingClassifier(max_iter=9, categorical_features=[0, 1]))


GROUPED = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60)
INDICATED = SimpleImputer(add_indicator=True)
MODES = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first", handle_unknown="ignore"))
GAPS = SimpleImputer(missing_values=None, strategy="constant", fill_value="none", add_indicator=True)
WIDER = make_pipeline(GAPS, OneHotEncoder(handle_unknown="ignore"))
SCALED = encoded(MODES, SimpleImputer(strategy="median"), MinMaxScaler(clip=True), RobustScaler())
PIPELINES = {
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=9), "yes"),
    "histogram boosting by category": (by_category(), "yes"),
    "histogram boosting of three": (HistGradientBoostingClassifier(max_iter=5), "three"),
    "histogram regression": (HistGradientBoostingRegressor(max_iter=9), "number"),
    "poisson": (HistGradientBoostingRegressor(max_iter=9, loss="poisson"), "size"),
    "forest": (RandomForestClassifier(9), "yes"),
    "forest of three": (RandomForestClassifier(9), "three"),
    "forest regression": (RandomForestRegressor(9), "number"),
    "extra trees": (ExtraTreesClassifier(9), "yes"),
    "tree": (DecisionTreeClassifier(max_depth=5), "yes"),
    "tree regression": (DecisionTreeRegressor(max_depth=5), "number"),
    "scaled forest": (make_pipeline(SCALED, RandomForestClassifier(9)), "yes"),
    "boosting": (make_pipeline(encoded(GROUPED, INDICATED), GradientBoostingClassifier(n_estimators=9)), "yes"),
    "boosting of three": (make_pipeline(one_hot(), GradientBoostingClassifier(n_estimators=5)), "three"),
    "exponential": (make_pipeline(one_hot(), GradientBoostingClassifier(loss="exponential", n_estimators=5)), "yes"),
    "boosting regression": (make_pipeline(one_hot(), GradientBoostingRegressor(n_estimators=9)), "number"),
    "logistic": (make_pipeline(one_hot(sparse_output=False), LogisticRegression()), "yes"),
    "logistic of three": (make_pipeline(one_hot(sparse_output=False), LogisticRegression()), "three"),
    "ridge": (make_pipeline(one_hot(sparse_output=False), Ridge()), "number"),
    "linear": (make_pipeline(one_hot(sparse_output=False), LinearRegression()), "number"),
    "target encoding": (make_pipeline(encoded(TargetEncoder()), HistGradientBoostingClassifier(max_iter=5)), "yes"),
}


def task_of(model):
    return Task.BINARY if hasattr(model, "predict_proba") else Task.REGRESSION


def compiled(model, frame):
    kinds = column_kinds(frame)
    return compile_plan(model, task_of(model), list(kinds), list(kinds.values()))


def answers(model, frame):
    answer = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    return np.ascontiguousarray(answer(frame), dtype=np.float64)


def trained(estimator, frame, y):
    return estimator.fit(frame, y) if isinstance(estimator, Pipeline) else fitted(estimator, frame, y, seed=1)


def odd(frame):
    """Some rows, with values that training did not know."""
    rows = frame.head(300).copy()
    rows.loc[3, "carrier"], rows.loc[4, "dest"], rows.loc[5, "x0"] = "ZZ", "", 1e30
    return rows


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("engine", [Numba(), Numpy()], ids=["numba", "numpy"])
def test_a_plan_answers_what_the_pipeline_answers_to_the_last_bit(name, engine, frame, labels):
    estimator, label = PIPELINES[name]
    model = trained(estimator, frame, labels[label])
    rows = odd(frame)

    found = compiled(model, frame).predict([rows[column].to_numpy() for column in rows], by=engine)

    expected = answers(model, rows)
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["histogram boosting", "forest of three", "logistic", "poisson"])
def test_one_row_alone_is_answered_as_the_pipeline_answers_it_alone(name, frame, labels):
    estimator, label = PIPELINES[name]
    model = trained(estimator, frame, labels[label])
    plan = compiled(model, frame)
    rows = odd(frame).head(12)

    found = [plan.predict_row(tuple(row)) for row in rows.itertuples(index=False)]

    assert found == [tuple(answers(model, rows.iloc[[place]]).ravel()) for place in range(len(rows))]


LINEAR = {
    "scaled": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "as they are": make_pipeline(FunctionTransformer(), LogisticRegression()),
    "side by side": make_pipeline(
        make_column_transformer((StandardScaler(), ["x0"]), (MinMaxScaler(), ["x2", "x3"])), LogisticRegression()
    ),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("count", [2, 3])
def test_a_linear_plan_adds_in_the_order_of_the_pipeline_even_where_a_sigmoid_hides_it(name, count, frame, labels):
    numbers = frame[["x0", "x2", "x3"][: count if name != "side by side" else 3]]
    model = LINEAR[name].fit(numbers, labels["yes"])
    kinds = column_kinds(numbers)

    plan = compile_plan(model, Task.BINARY, list(kinds), list(kinds.values()), numbers)

    inputs = plan.program.matrix([numbers[column].to_numpy() for column in numbers])
    scores = plan.model.scores(Numpy().features(plan.program, inputs))
    assert scores.ravel().tobytes() == model.decision_function(numbers).tobytes()


def test_a_linear_model_that_raises_on_its_own_rows_is_not_compiled(frame, labels):
    model = make_pipeline(encoded(OneHotEncoder(sparse_output=False), SimpleImputer()), Ridge())
    kinds = column_kinds(frame)

    model.fit(frame, labels["number"])
    found = compile_plan(model, Task.REGRESSION, list(kinds), list(kinds.values()), frame.assign(carrier="ZZ"))

    assert "it does not answer its own rows: Found unknown categories" in found.reason


@pytest.mark.parametrize("name", ["histogram boosting", "forest", "logistic"])
def test_a_recalibrated_model_has_a_plan_too(name, frame, labels):
    estimator, label = PIPELINES[name]
    inner = trained(estimator, frame, labels[label])
    model = CalibratedClassifierCV(FrozenEstimator(inner), method="sigmoid", ensemble=False).fit(frame, labels[label])

    found = compiled(model, frame).predict([frame[column].to_numpy() for column in frame])

    assert found.tobytes() == answers(model, frame).tobytes()


def test_where_the_pipeline_raises_the_plan_has_no_answer(frame, labels):
    strict = encoded(OneHotEncoder(), SimpleImputer(), StandardScaler())
    plan = compiled(make_pipeline(strict, RandomForestClassifier(3)).fit(frame, labels["yes"]), frame)
    fine = ("AA", "D1", 0.0, 0.0, 0.0, 0.0)

    assert plan.predict_row(fine) is not None
    assert plan.predict_row(("ZZ", *fine[1:])) is None
    assert plan.predict_row((*fine[:5], np.inf)) is None
    assert plan.predict_row((*fine[:5], 1e300)) is None
    assert plan.predict([[value, value] for value in ("ZZ", *fine[1:])]) is None


def test_what_an_imputer_takes_for_missing_is_no_unknown_category(frame, labels):
    replaced = SimpleImputer(missing_values="N/A", strategy="constant", fill_value="AA")
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(encoded(make_pipeline(replaced, encoder), SimpleImputer()), RandomForestClassifier(9))
    rows = frame.head(9).assign(carrier="N/A")

    plan = compiled(model.fit(frame, labels["yes"]), frame)

    assert plan.predict([rows[column].to_numpy() for column in rows]).tobytes() == answers(model, rows).tobytes()


class Doubled(FunctionTransformer):
    """A user's own transformer."""


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (make_pipeline(one_hot(), KNeighborsClassifier()), "KNeighborsClassifier is not among the estimators"),
        (make_pipeline(one_hot(), Doubled(), RandomForestClassifier(2)), "Doubled is not among the transformers"),
        (make_pipeline(encoded(GROUPED, FunctionTransformer(np.nan_to_num)), RandomForestClassifier(2)), "of its own"),
        (make_pipeline(one_hot(), LogisticRegression()), "LogisticRegression adds up a sparse matrix in another order"),
        (make_pipeline(encoded(WIDER, INDICATED), RandomForestClassifier(2)), "2 columns come as 3 to be encoded"),
        (RandomForestClassifier(2, n_jobs=2), "n_jobs=2 a forest adds its trees in the order they finish"),
        (CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=2), cv=2), "other than one sigmoid"),
        (
            make_pipeline(one_hot(), GradientBoostingClassifier(init=LogisticRegression(), n_estimators=2)),
            "starts from LogisticRegression",
        ),
    ],
)
def test_what_cannot_be_compiled_says_why(estimator, reason, frame, labels):
    model = trained(estimator, frame, labels["yes"])

    found = compiled(model, frame)

    assert isinstance(found, NotCompilable)
    assert reason in found.reason


def test_a_class_of_the_users_own_is_not_taken_for_scikit_learns(frame, labels):
    numbers = frame[["x0", "x2", "x3"]]
    impostor = type("StandardScaler", (StandardScaler,), {"__module__": "theirs"})
    model = make_pipeline(impostor(), DecisionTreeClassifier(max_depth=2)).fit(numbers, labels["yes"])

    found = compiled(model, numbers)

    assert found == NotCompilable("StandardScaler is not among the transformers that can be compiled")


def test_text_that_reaches_an_estimator_cannot_be_compiled(frame):
    model = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])

    found = compile_plan(model, Task.BINARY, ["carrier"], ["text"])

    assert found == NotCompilable("column 0 is text where a number is needed")
