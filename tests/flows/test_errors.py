"""Every error says what happened, with which values, and what to do."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import errors
from flows.errors import FlowsError

MODEL = Path("/shop/model.py")
HERE = Path(__file__)
MESSAGES = [
    (
        errors.SpecError("Model.task", "rank", "Choose one of ['binary']."),
        "Model.task is 'rank'. Choose one of ['binary'].",
    ),
    (
        errors.ModelFileError(MODEL, "line 2: NameError: name 'x' is not defined. Correct it there"),
        "/shop/model.py cannot be used as a model file: line 2: NameError: name 'x' is not defined. Correct it there",
    ),
    (
        errors.ModelNotFoundError(HERE, "late", ["small"]),
        f"{HERE} cannot be used as a model file: it has no Model 'late'; it holds ['small']. Name one: {HERE}:NAME",
    ),
    (
        errors.NotFittedError("late"),
        "Model 'late' has nothing to fit. Give it an estimator, model.fit(SomeClassifier()), "
        "or decorate a function with @model.fit.",
    ),
    (
        errors.AsOfError(7),
        "as_of is 7. Give a moment with a zone as text, for example 2013-03-01T00:00:00Z, "
        "or nothing in a scheduled run, which then is about its scheduled start.",
    ),
    (
        errors.UnknownPolicyError("weekly", ["never", "drift"]),
        "No policy is called 'weekly'. Choose from ['drift', 'never'], several with a comma between.",
    ),
    (
        errors.AlertBlockNotFoundError("slack-webhook/ops", "ops@example.com"),
        "Alerts for 'ops@example.com' go to the block 'slack-webhook/ops', which Prefect does not have. "
        "Make it in Prefect's UI under Blocks, or correct [alerts] blocks, which names it TYPE/NAME.",
    ),
    (
        errors.UnknownDeploymentError("late", "score", ["train", "watch"]),
        "Model 'late' has no deployment of 'score'. Run incumbent deploy first; it makes ['train', 'watch'].",
    ),
    (
        errors.BatchRefusedError("flights", "arr_delay is -900"),
        "The batch of 'flights' was refused and nothing of it was stored: arr_delay is -900. "
        "Correct the source, then run the same command again.",
    ),
    (
        errors.GateRefusedError("late", "challenger 2 refused: paired test", "shop/model.py"),
        "Model 'late': challenger 2 refused: paired test. The champion stays. "
        "See the whole record with: incumbent why shop/model.py",
    ),
    (
        errors.FeatureGoneError("late", 3, ["wind", "frost"]),
        "Version 3 of 'late' takes the features ['frost', 'wind'], which the model file has no more, so it cannot "
        "answer. Put them back, or train and promote the new version by hand: no gate can compare the two.",
    ),
    (
        errors.SkewFoundError("late", ["visib", "hour"], 1204),
        "Model 'late': 1,204 cells of 2 features were served otherwise than they are computed, most of 'visib'. "
        "Compute it where it is served as the model file does, or correct what the callers send.",
    ),
    (
        errors.EmptyWindowError("question", "asked", "a .. b", datetime(2013, 1, 2, tzinfo=UTC)),
        "No question was asked in a .. b; the newest before its end is of 2013-01-02T00:00:00+00:00. "
        "Ingest and score first, or name another window with --from and --to.",
    ),
    (
        errors.NothingScoredError("late", 3, "a .. b"),
        "Version 3 of 'late' has scored nothing in a .. b. "
        "Run incumbent score first, or name a later moment with --as-of.",
    ),
    (
        errors.TopError("origin", 0, ["user", "item"]),
        "--top 0 --by 'origin' cannot be computed. Give a count of at least 1 and some, not all, of the columns by "
        "which questions are told apart: ['user', 'item'].",
    ),
    (
        errors.GridError("grid.json", "it is empty"),
        "The grid grid.json cannot be computed: it is empty. Write JSON with the values of each column, such as "
        '{"carrier": ["UA", "B6"], "hour": [6, 7, 8]}.',
    ),
    (
        errors.EmptyWindowError("answer", "logged", "a .. b", None),
        "No answer was logged in a .. b; there is none before its end. "
        "Ingest and score first, or name another window with --from and --to.",
    ),
    (
        errors.UnknownViewError("late", "age", ["latest(weather)"], ["visib", "hour"]),
        "Model 'late' has no feature view or feature 'age'. Its views are ['latest(weather)'], "
        "its features ['hour', 'visib'].",
    ),
    (
        errors.UnknownSourceError("late", "rain", ["weather", "planes"]),
        "Model 'late' reads no source 'rain'. Its sources are ['planes', 'weather'].",
    ),
    (
        errors.SettingsError("incumbent.toml", "lake.rot: Extra inputs are not permitted"),
        "Settings from incumbent.toml: lake.rot: Extra inputs are not permitted. "
        "Every setting is in docs/reference/settings.md",
    ),
    (
        errors.ServerError("prefect", "ended at once with exit code 1", Path("/s/prefect.log")),
        "prefect ended at once with exit code 1. Its log is /s/prefect.log; "
        "what is wrong is usually told by: incumbent doctor",
    ),
    (
        errors.GuessError("a label", ["b", "a"], "Name it: incumbent init DATA --label COLUMN"),
        "No column of ['a', 'b'] looks like a label. Name it: incumbent init DATA --label COLUMN.",
    ),
]


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=lambda given: type(given).__name__)
def test_the_message_has_three_parts(error: FlowsError, message: str) -> None:
    assert str(error) == message
    assert isinstance(error, (ValueError, LookupError, RuntimeError))


def test_no_error_class_is_without_a_message_test() -> None:
    classes = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, FlowsError) and kind is not FlowsError
    }

    assert classes == {type(error) for error, _ in MESSAGES}


def test_an_absent_model_file_says_how_to_make_one() -> None:
    told = str(errors.ModelNotFoundError(MODEL, None, ()))

    assert told.startswith("/shop/model.py cannot be used as a model file: there is no such file. Name a .py file")
    assert "incumbent init DATA" in told
