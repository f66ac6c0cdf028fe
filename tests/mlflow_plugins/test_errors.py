from __future__ import annotations

import inspect

import pytest

from mlflow_plugins import errors

MESSAGES = {
    errors.TrackingUriError("file:///tmp/mlruns"): (
        "Tracking URI 'file:///tmp/mlruns' cannot be used. Give the http(s) address of an MLflow server, "
        "or sqlite:////absolute/path/mlflow.db with a folder for artifacts."
    ),
    errors.LedgerUrlError("mysql://db/ledger"): (
        "Ledger URL 'mysql://db/ledger' cannot be used. Give sqlite:////absolute/path/ledger.db, "
        "or postgresql://user@host/database."
    ),
    errors.ModelNotStorableError("it holds a lambda.", ["numpy.dtype"]): (
        "The pipeline cannot be stored without pickle: it holds a lambda. Allowed beyond skops' own types: "
        "['numpy.dtype']. Use scikit-learn's own steps, or add a type you trust to the settings."
    ),
    errors.AmbiguousDecisionError("ab", ["abd", "abc"]): (
        "'ab' is the beginning of several decisions: ['abc', 'abd']. Write more of the id."
    ),
    errors.DatasetNotStoredError("s3://lake", "2013-03-01T00:00:00Z", 7): (
        "The 7 rows asked as of 2013-03-01T00:00:00Z are not stored with the run, and the definition that would "
        "make them again from the lake at 's3://lake' was not logged, or was longer than MLflow keeps. Train again: "
        "newer runs keep it."
    ),
    errors.NotServableError("late", 4): (
        "Version 4 of 'late' carries no digest: Incumbent did not register it and cannot check it. MLflow's own loader "
        "runs whatever a model brings; to serve it so, set [serving] foreign_models = true."
    ),
    errors.DeploymentExistsError("late", "http://127.0.0.1:8000"): (
        "Deployment 'late' runs already, at http://127.0.0.1:8000. Update or delete it, or choose another name."
    ),
    errors.DeploymentNotFoundError("late", ["b", "a"]): (
        "There is no deployment 'late' in this project; it has ['a', 'b']. "
        "Create it, or name the project: -t incumbent:/path/to/project."
    ),
    errors.DeploymentRequestError("endpoint 'x' was given", "This target has none: name the deployment."): (
        "The deployment was not touched: endpoint 'x' was given. This target has none: name the deployment."
    ),
    errors.DeploymentFailedError("late", "it was not ready within 300 s", "/logs/late.log"): (
        "Deployment 'late': it was not ready within 300 s. Its log: /logs/late.log"
    ),
    errors.UnusualValueError("seats"): (
        "Column 'seats' holds a value that the fast path does not read; MLflow's code answers."
    ),
    errors.ClientGoneError(): "The client closed the connection before its turn came; the work was dropped.",
    errors.NoQuestionsError("its manifest does not tell 'types'; register it anew"): (
        "The version cannot be asked by its keys: its manifest does not tell 'types'; register it anew. "
        "Requests with every column are answered as ever."
    ),
    errors.QuestionError("['visib'] of flight 5 are missing"): (
        "The question cannot be completed: ['visib'] of flight 5 are missing. Send every column of the model, or "
        "correct the question; [lookup] says what is done about features that are missing or stale."
    ),
    errors.FeaturesUnavailableError("late", "it took longer than 0.05 s."): (
        "The features of the question cannot be read: it took longer than 0.05 s. Try again later, or send every "
        "column of the model; [lookup] unreachable = 'null' answers with gaps."
    ),
    errors.NotEmbeddableError("images", 2): (
        "Version 2 of 'images' is not one of named scalar columns, so that a frame cannot be handed to it here. "
        "Ask it over HTTP, or load it with mlflow.pyfunc.load_model."
    ),
    errors.ColumnsNotGivenError("they lack ['seats']", ["seats", "hour"]): (
        "The rows cannot be predicted: they lack ['seats']. Give the columns ['seats', 'hour'] in their types."
    ),
    errors.RequestNotLoggedError("/var/requests", "no space is left"): (
        "The answer is withheld, because the request log in /var/requests cannot be written: no space is left. "
        "Free space or mend the folder; with [requests] durability = 'async' answers are given regardless."
    ),
    errors.OlderEpochError("late", 3, 5): (
        "The ledger says epoch 3 of 'late', and epoch 5 is served: a ledger never goes back. It was restored from a "
        "copy, or it is another one. Look at [ledger] url, and promote again."
    ),
    errors.SignatureChangedError("late", 4, "it needs a column 'seats', which clients do not send"): (
        "Version 4 of 'late' does not fit the clients of the one that is served: it needs a column 'seats', which "
        "clients do not send. Change the clients first; then start the server anew, or set [serving] "
        "any_signature = true."
    ),
    errors.TensorError("The tensors have [1, 2] rows.", ["a", "b"]): (
        "The tensors have [1, 2] rows. Send one tensor of shape [rows] or [rows, 1] for each of: ['a', 'b']."
    ),
}


@pytest.mark.parametrize(("error", "message"), MESSAGES.items(), ids=lambda given: type(given).__name__)
def test_a_message_says_what_happened_and_what_to_do(error: Exception, message: str) -> None:
    assert str(error) == message


def test_every_error_has_its_message_tested_and_its_place_in_the_tree() -> None:
    classes = {
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.MlflowPluginsError) and each is not errors.MlflowPluginsError
    }

    assert {type(error) for error in MESSAGES} == classes
    assert all(each.__name__ in (errors.__doc__ or "") for each in classes)
