from datetime import timedelta
from pathlib import Path
from statistics import StatisticsError

import pytest

from modeling import errors
from modeling.errors import ModelingError

MESSAGES = [
    (
        errors.UnsupportedTaskError("multiclass", ["regression", "binary"]),
        "Task 'multiclass' is not supported; known are ['binary', 'regression']. "
        "Turn several classes into one yes-or-no question each, or predict a number.",
    ),
    (
        errors.LabelError("binary", "values [2.0] are neither 0 nor 1"),
        "Task 'binary' cannot use these labels: values [2.0] are neither 0 nor 1. "
        "A binary label is 0 or 1, a regression label a finite number; correct the label or the task.",
    ),
    (
        errors.ColumnTypeError("landed_at", "datetime64"),
        "Feature 'landed_at' holds datetime64, and a model takes text or numbers. "
        "Derive a number from it, such as an hour, an age or a count, or leave it out.",
    ),
    (
        errors.LengthMismatchError({"X": 3, "y": 2}),
        "Rows do not match: {'X': 3, 'y': 2}. "
        "Give arrays of one length, in which the same place means the same question.",
    ),
    (
        errors.FitFunctionError("fit", "it does not take X and y"),
        "fit cannot be fitted: it does not take X and y. "
        "Give a scikit-learn estimator, or a function fit(X, y, ...) that returns one.",
    ),
    (
        errors.SearchRangeError(0.5, 0.0, 0.3, "the default does not lie between low and high"),
        "tune(0.5, 0.0, 0.3): the default does not lie between low and high. "
        "Write tune(default, low, high) with low <= default <= high, and log=True only above zero.",
    ),
    (
        errors.PredictionError("brier", "3 of 9 rows have a null"),
        "These predictions cannot be judged by brier: 3 of 9 rows have a null. "
        "A binary model answers probabilities from 0 to 1, any model finite numbers; correct the model.",
    ),
    (
        errors.TooFewRowsError(12, 50, "train on", "asked up to 2013-03-01"),
        "12 rows to train on (asked up to 2013-03-01), and at least 50 are needed. "
        "Wait for more labels, or shorten the evaluation or the gap.",
    ),
    (
        errors.TooFewBlocksError(5, 7, timedelta(days=1)),
        "5 independent blocks of 1 day, 0:00:00, and an interval needs at least 7. "
        "Evaluate on a longer time, or declare shorter blocks if those are independent.",
    ),
    (
        errors.UndefinedMetricError("auc", "9 yes and 0 no"),
        "auc is not defined on these rows: 9 yes and 0 no. "
        "Use more rows, or a metric that needs no contrast, such as brier or mae.",
    ),
    (
        errors.UntrustedTypeError(Path("model.skops"), ["os.system"]),
        "model.skops holds ['os.system'], which are not on the list of types that may be loaded; nothing was loaded. "
        "If you trust them, name them in the setting trusted_types of incumbent.toml; a model cannot do so itself.",
    ),
    (
        errors.UnreadableModelError(Path("model.skops"), "File is not a zip file"),
        "model.skops cannot be read as a model: File is not a zip file. "
        "Restore the file, or train again with the libraries installed here.",
    ),
    (
        errors.UnreadablePlanError("a child before its parent"),
        "The file cannot be used as a compiled plan: a child before its parent. "
        "Restore it, or register the model again; until then its pipeline answers, slower.",
    ),
]


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=lambda value: type(value).__name__)
def test_an_error_says_what_happened_with_values_and_what_to_do(error, message):
    assert str(error) == message


def test_every_error_of_the_package_is_in_the_list_above():
    named = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ModelingError)}

    assert named - {ModelingError} == {type(error) for error, _ in MESSAGES}


def test_too_little_data_is_the_standard_librarys_statistics_error():
    for name in (errors.TooFewRowsError, errors.TooFewBlocksError, errors.UndefinedMetricError):
        assert issubclass(name, StatisticsError)
        assert issubclass(name, ValueError)


def test_the_tree_in_the_docstring_names_every_error():
    assert all(type(error).__name__ in (errors.__doc__ or "") for error, _ in MESSAGES)
