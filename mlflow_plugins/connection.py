"""Where MLflow is: one tracking server or SQLite file, set once and before MLflow is first imported."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_plugins.answers import without_secret
from mlflow_plugins.errors import TrackingUriError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A server that is down or hangs is reported within 15 seconds: two tries of 7 seconds and a pause.
# MLflow's own defaults would take many minutes. What the operator has set is left alone.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
_DEFAULT_UI = "http://127.0.0.1:5000"  # where `mlflow ui` listens unless told otherwise
_TALKATIVE = ("mlflow.store.db.utils", "alembic.runtime.migration", "alembic.runtime.plugins.setup")


@dataclass(frozen=True, slots=True)
class Connection:
    """An MLflow to log to and register with.

    Attributes:
        artifacts: folder that new experiments store under; none lets the server choose.
        ui_url: address of its pages, without a slash at the end.
    """

    tracking_uri: str
    artifacts: Path | None
    ui_url: str
    client: MlflowClient

    def use(self) -> None:
        """Make this MLflow the process's own; MLflow reads the global address where a client should do."""
        import mlflow

        if mlflow.get_tracking_uri() != self.tracking_uri:
            mlflow.set_tracking_uri(self.tracking_uri)
        if mlflow.get_registry_uri() != self.tracking_uri:
            mlflow.set_registry_uri(self.tracking_uri)


def connect(tracking_uri: str, *, artifacts: Path | None = None, ui_url: str | None = None) -> Connection:
    """Point this process at an MLflow server, or at a SQLite file with a folder for artifacts.

    Nothing is asked of a server yet, so this does not tell whether it answers.

    Raises:
        TrackingUriError: the address is neither, or a SQLite file comes without a folder for artifacts.
    """
    remote = tracking_uri.startswith(("http://", "https://"))
    if not remote and (artifacts is None or not tracking_uri.startswith("sqlite:///")):
        raise TrackingUriError(without_secret(tracking_uri))
    prepare_environment()
    if artifacts is not None:
        artifacts = artifacts.resolve()
        artifacts.mkdir(parents=True, exist_ok=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    shown = ui_url or (tracking_uri if remote else _DEFAULT_UI)
    stored_under = None if remote else artifacts
    connection = Connection(tracking_uri, stored_under, shown.rstrip("/"), _client(tracking_uri, stored_under))
    connection.use()
    return connection


def connect_embedded(folder: Path, *, ui_url: str | None = None) -> Connection:
    """Point this process at `mlflow.db` and `artifacts/` in a folder, made at first use."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return connect(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts", ui_url=ui_url)


def _client(tracking_uri: str, artifacts: Path | None) -> MlflowClient:
    """Make a client, and with it the database of an embedded MLflow."""
    from mlflow import MlflowClient

    if artifacts is None:
        return MlflowClient(tracking_uri, tracking_uri)
    # A new database gives the experiment "Default" ./mlruns of the current folder, unless MLflow finds this.
    os.environ[_ARTIFACT_ROOT] = artifacts.as_uri()
    try:
        return MlflowClient(tracking_uri, tracking_uri)
    finally:
        del os.environ[_ARTIFACT_ROOT]


def prepare_environment() -> None:
    """Switch telemetry off and bound the time of a request, unless the operator has set these."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
