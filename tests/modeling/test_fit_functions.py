import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from modeling.errors import FitFunctionError, SearchRangeError
from modeling.fit_function import Tunable, as_fit_function, tune

X = pd.DataFrame({"carrier": np.array(["AA", None] * 60, dtype=object), "distance": np.arange(120.0)})
Y = np.tile([0.0, 1.0], 60)


MAX_ITER = tune(3, 2, 5)


def test_an_estimator_is_fitted_as_a_clone():
    estimator = HistGradientBoostingClassifier(max_iter=2)

    model = as_fit_function(estimator)(X, Y, seed=1)

    assert model[-1].n_iter_ == 2
    assert not hasattr(estimator, "n_iter_")


def test_a_function_is_called_with_its_defaults():
    def fit(X, y, max_iter=MAX_ITER, depth=4):
        return HistGradientBoostingClassifier(max_iter=max_iter, max_depth=depth)

    model = as_fit_function(fit)(X, Y, seed=1)

    assert (model[-1].max_iter, model[-1].max_depth) == (3, 4)


def test_searched_values_replace_defaults():
    def fit(X, y, max_iter=MAX_ITER):
        return HistGradientBoostingClassifier(max_iter=max_iter)

    assert as_fit_function(fit)(X, Y, seed=1, values={"max_iter": 5})[-1].max_iter == 5


def test_a_function_that_asks_for_the_seed_gets_it():
    def fit(X, y, seed):
        return HistGradientBoostingClassifier(max_iter=2, random_state=seed)

    assert as_fit_function(fit)(X, Y, seed=41)[-1].random_state == 41


def test_a_fitted_estimator_is_taken_as_it_is():
    def fit(X, y):
        return LogisticRegression().fit(X[["distance"]], y)

    assert isinstance(as_fit_function(fit)(X, Y, seed=1), LogisticRegression)


def test_text_given_to_an_estimator_of_numbers_says_how_to_have_it_encoded():
    def fit(X, y):
        return RandomForestClassifier().fit(X, y)

    with pytest.raises(
        FitFunctionError, match="fit cannot be fitted: its estimator takes no text columns; return it unfitted"
    ):
        as_fit_function(fit)(X, Y, seed=1)


def test_what_a_fit_function_raises_itself_is_not_hidden():
    def fit(X, y):
        raise ValueError("the user's own words")

    with pytest.raises(ValueError, match="the user's own words"):
        as_fit_function(fit)(X, Y, seed=1)


def two_without_default(X, y, depth):
    return None


def no_labels(X):
    return None


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            HistGradientBoostingClassifier,
            "HistGradientBoostingClassifier cannot be fitted: it is a class; call it first",
        ),
        ("a name", "'a name' cannot be fitted: it is neither an estimator nor a function"),
        (two_without_default, r"two_without_default cannot be fitted: its parameters \['depth'\] have no default"),
        (no_labels, "no_labels cannot be fitted: it does not take X and y"),
    ],
)
def test_what_cannot_fit_is_refused_by_name(fit, message):
    with pytest.raises(FitFunctionError, match=message):
        as_fit_function(fit)


def test_a_function_that_returns_no_estimator_is_refused():
    with pytest.raises(FitFunctionError, match="it returned float, which has no fit and predict"):
        as_fit_function(lambda X, y: 0.5)(X, Y, seed=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.5, 0.0, 0.3), "does not lie between"),
        ((1, 1, 1), "does not lie between"),
        ((float("nan"), 0, 1), "not finite"),
    ],
)
def test_a_range_that_contradicts_itself_is_refused(values, message):
    with pytest.raises(SearchRangeError, match=message):
        tune(*values)


def test_a_logarithmic_range_starts_above_zero():
    with pytest.raises(SearchRangeError, match="starts above zero"):
        tune(0.1, 0.0, 1.0, log=True)


def test_whole_numbers_are_searched_as_whole_numbers():
    assert Tunable(3, 1, 9).whole
    assert not Tunable(3, 1, 9.5).whole
