"""What can go wrong between the loop and MLflow, beyond the loop's own errors.

MlflowPluginsError
├── TrackingUriError (ValueError)        an address that is neither SQLite nor an MLflow server
├── LedgerUrlError (ValueError)          an address that is neither a SQLite file nor Postgres
├── ModelNotStorableError (TypeError)    a pipeline that the safe format cannot hold
├── AmbiguousDecisionError (LookupError) the beginning of more than one decision id
├── DatasetNotStoredError (LookupError)  a logged dataset keeps the recipe, not the rows
├── NotServableError (LookupError)       a version that somebody else registered
├── UnusualValueError (ValueError)       a value that is left to MLflow's own code
├── ClientGoneError (ConnectionError)    nobody waits for the answer any more
├── OlderEpochError (RuntimeError)       the ledger is behind what is served
├── SignatureChangedError (ValueError)   a version that clients of the served one cannot use
├── NoQuestionsError (LookupError)       a version that does not say by which keys it is asked
├── QuestionError (ValueError)           a question that cannot be completed as the operator wants it
├── FeaturesUnavailableError (ConnectionError) features that the online store does not give at this moment
├── NotEmbeddableError (TypeError)       a version whose columns no frame brings as they are
├── ColumnsNotGivenError (ValueError)    rows that do not fit the model's columns
├── RequestNotLoggedError (OSError)      a record that is not on disk, so that its answer is not given
├── TensorError (ValueError)             tensors that do not fit the model's columns
├── DeploymentExistsError (ValueError)   a deployment of this name is running
├── DeploymentNotFoundError (LookupError) no deployment of this name in this project
├── DeploymentRequestError (ValueError)  a deployment was asked for in a way that this target does not know
└── DeploymentFailedError (RuntimeError) a deployment's server did not do what was asked of it

What the ports promise (`AliasNotSetError`, `UnreachableError`, ...) is in `lifecycle.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable


class MlflowPluginsError(Exception):
    """Base of the errors of this package."""


class TrackingUriError(MlflowPluginsError, ValueError):
    """An address that is neither SQLite nor an MLflow server."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"Tracking URI {given!r} cannot be used. Give the http(s) address of an MLflow server, "
            f"or sqlite:////absolute/path/mlflow.db with a folder for artifacts."
        )


class LedgerUrlError(MlflowPluginsError, ValueError):
    """An address that is neither a SQLite file nor Postgres."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"Ledger URL {given!r} cannot be used. Give sqlite:////absolute/path/ledger.db, "
            f"or postgresql://user@host/database."
        )


class ModelNotStorableError(MlflowPluginsError, TypeError):
    """A pipeline that the safe format cannot hold."""

    def __init__(self, problem: str, allowed: Iterable[str]) -> None:
        super().__init__(
            f"The pipeline cannot be stored without pickle: {problem} "
            f"Allowed beyond skops' own types: {sorted(allowed)}. "
            f"Use scikit-learn's own steps, or add a type you trust to the settings."
        )


class AmbiguousDecisionError(MlflowPluginsError, LookupError):
    """The beginning of more than one decision id."""

    def __init__(self, given: str, matching: Iterable[str]) -> None:
        super().__init__(f"{given!r} is the beginning of several decisions: {sorted(matching)}. Write more of the id.")


class DatasetNotStoredError(MlflowPluginsError, LookupError):
    """A logged dataset keeps the recipe, not the rows."""

    def __init__(self, lake: str, as_of: str, rows: int) -> None:
        super().__init__(
            f"The {rows} rows asked as of {as_of} are not stored with the run, and the definition that would make "
            f"them again from the lake at {lake!r} was not logged, or was longer than MLflow keeps. "
            f"Train again: newer runs keep it."
        )


class NotServableError(MlflowPluginsError, LookupError):
    """A version that somebody else registered."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"Version {version} of {model!r} carries no digest: Incumbent did not register it and cannot check it. "
            f"MLflow's own loader runs whatever a model brings; to serve it so, set [serving] foreign_models = true."
        )


class UnusualValueError(MlflowPluginsError, ValueError):
    """A value that is left to MLflow's own code."""

    def __init__(self, column: str) -> None:
        super().__init__(f"Column {column!r} holds a value that the fast path does not read; MLflow's code answers.")


class ClientGoneError(MlflowPluginsError, ConnectionError):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("The client closed the connection before its turn came; the work was dropped.")


class OlderEpochError(MlflowPluginsError, RuntimeError):
    """The ledger is behind what is served."""

    def __init__(self, model: str, found: int, served: int) -> None:
        super().__init__(
            f"The ledger says epoch {found} of {model!r}, and epoch {served} is served: a ledger never goes back. "
            f"It was restored from a copy, or it is another one. Look at [ledger] url, and promote again."
        )


class SignatureChangedError(MlflowPluginsError, ValueError):
    """A version that clients of the served one cannot use."""

    def __init__(self, model: str, version: int, problem: str) -> None:
        super().__init__(
            f"Version {version} of {model!r} does not fit the clients of the one that is served: {problem}. "
            f"Change the clients first; then start the server anew, or set [serving] any_signature = true."
        )


class TensorError(MlflowPluginsError, ValueError):
    """Tensors that do not fit the model's columns."""

    def __init__(self, problem: str, columns: Iterable[str]) -> None:
        super().__init__(f"{problem} Send one tensor of shape [rows] or [rows, 1] for each of: {list(columns)}.")


class RequestNotLoggedError(MlflowPluginsError, OSError):
    """A record that is not on disk, so that its answer is not given."""

    def __init__(self, folder: str, problem: object) -> None:
        super().__init__(
            f"The answer is withheld, because the request log in {folder} cannot be written: {problem}. "
            f"Free space or mend the folder; with [requests] durability = 'async' answers are given regardless."
        )


class NoQuestionsError(MlflowPluginsError, LookupError):
    """A version that does not say by which keys it is asked."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The version cannot be asked by its keys: {problem}. Requests with every column are answered as ever."
        )


class QuestionError(MlflowPluginsError, ValueError):
    """A question that cannot be completed as the operator wants it."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The question cannot be completed: {problem}. Send every column of the model, or correct the question; "
            f"[lookup] says what is done about features that are missing or stale."
        )


class FeaturesUnavailableError(MlflowPluginsError, ConnectionError):
    """Features that the online store does not give at this moment."""

    def __init__(self, outcome: str, problem: object) -> None:
        self.outcome = outcome
        super().__init__(
            f"The features of the question cannot be read: {problem} "
            f"Try again later, or send every column of the model; [lookup] unreachable = 'null' answers with gaps."
        )


class DeploymentExistsError(MlflowPluginsError, ValueError):
    """A deployment of this name is running."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(f"Deployment {name!r} runs already, at {url}. Update or delete it, or choose another name.")


class DeploymentNotFoundError(MlflowPluginsError, LookupError):
    """No deployment of this name in this project."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"There is no deployment {name!r} in this project; it has {sorted(known)}. "
            f"Create it, or name the project: -t incumbent:/path/to/project."
        )


class DeploymentRequestError(MlflowPluginsError, ValueError):
    """A deployment was asked for in a way that this target does not know."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"The deployment was not touched: {problem}. {fix}")


class DeploymentFailedError(MlflowPluginsError, RuntimeError):
    """A deployment's server did not do what was asked of it."""

    def __init__(self, name: str, problem: str, log: str) -> None:
        super().__init__(f"Deployment {name!r}: {problem}. Its log: {log}")


class NotEmbeddableError(MlflowPluginsError, TypeError):
    """A version whose columns no frame brings as they are."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"Version {version} of {model!r} is not one of named scalar columns, so that a frame cannot be handed to "
            f"it here. Ask it over HTTP, or load it with mlflow.pyfunc.load_model."
        )


class ColumnsNotGivenError(MlflowPluginsError, ValueError):
    """Rows that do not fit the model's columns."""

    def __init__(self, problem: str, columns: Iterable[str]) -> None:
        super().__init__(f"The rows cannot be predicted: {problem}. Give the columns {list(columns)} in their types.")
