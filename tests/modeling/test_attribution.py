import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modeling.attribution import attributions
from modeling.pipeline import fitted, prepare
from modeling.tasks import Task, predict


@pytest.fixture(scope="module")
def trees(training_set):
    X = prepare(training_set.X)
    return fitted(HistGradientBoostingClassifier(max_iter=20), X, training_set.y, seed=0), X


def test_the_parts_of_our_own_pipeline_add_up_to_its_answer(trees):
    model, X = trees

    found = attributions(model, X, X, Task.BINARY)

    answers = predict(Task.BINARY, model, X.iloc[found.rows])
    rest = np.log(answers / (1 - answers)) - found.values.sum(axis=1)
    assert found.columns == tuple(X.columns)
    assert len(found.rows) == 200
    assert rest.std() == pytest.approx(0, abs=1e-9)
    assert found.columns[int(found.sizes.argmax())] == "signal"


def test_any_other_model_is_asked_with_columns_exchanged(training_set):
    X = prepare(training_set.X)[["signal", "weekend"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, training_set.y)

    found = attributions(model, X, X, Task.BINARY, seed=1)

    answers = predict(Task.BINARY, model, X.iloc[found.rows])
    assert (answers - found.values.sum(axis=1)).std() == pytest.approx(0, abs=1e-9)
    assert found.sizes[0] > 5 * found.sizes[1]
    assert (found.values == attributions(model, X, X, Task.BINARY, seed=1).values).all()


def test_texts_and_nulls_can_be_exchanged_too(training_set):
    class Shouts:
        """A model of the user's own that reads text."""

        classes_ = (0.0, 1.0)

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
            yes = 0.2 + 0.6 * (X["carrier"] == "AA").to_numpy() + 0.1 * X["noise"].notna().to_numpy()
            return np.column_stack([1 - yes, yes])

    found = attributions(Shouts(), training_set.X, training_set.X, Task.BINARY)

    sizes = dict(zip(found.columns, found.sizes, strict=True))
    assert sizes["carrier"] > sizes["noise"] > sizes["signal"] == 0


def test_no_rows_have_no_parts(trees):
    model, X = trees

    found = attributions(model, X.iloc[:0], X, Task.BINARY)

    assert found.values.shape == (0, X.shape[1])
    assert found.sizes.tolist() == [0.0] * X.shape[1]
