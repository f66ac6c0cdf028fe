"""Flows run for real: one Prefect API for the session, MLflow on a copy of one empty SQLite file, a small loop."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import running as verbs
from flows.servers import start_prefect
from flows.settings import Prefect, Servers, Settings, State

_HOME = tempfile.mkdtemp(prefix="incumbent-flows-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
# Read when Prefect, MLflow, Evidently and Great Expectations are imported, which nothing above does.
os.environ.update(
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    GX_ANALYTICS_ENABLED="false",
    PREFECT_HOME=_HOME,
    PREFECT_LOGGING_LEVEL="CRITICAL",
)
_HERE = Path(__file__).parent
sys.path.append(str(_HERE))  # for small_data, served_world
sys.path.append(str(_HERE.parent / "mlflow_plugins" / "deployment"))  # for asking, server_process


@pytest.fixture(autouse=True)
def environment_is_put_back() -> Iterator[None]:
    """Verbs set variables for the process and keep a connection; no test sees those of another."""
    before = dict(os.environ)
    yield
    verbs.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Prefect API without scheduler, made the session's own; flows send no heartbeats."""
    folder = tmp_path_factory.mktemp("prefect")
    server = start_prefect(Settings(state=State(folder=folder), servers=Servers(prefect_port=0)), services=False)
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    try:
        api = f"{server.wait().url}/api"
        with temporary_settings({PREFECT_API_URL: api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield api
    finally:
        server.stop()


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database after its migrations, which take longer than any test: copy it, do not use it."""
    from mlflow_plugins.connection import connect_embedded

    folder = tmp_path_factory.mktemp("mlflow")
    connect_embedded(folder)
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, prefect_api: str, empty_mlflow: Path) -> Iterator[Any]:
    """A loop with a champion whose features are online; its model file, and the champion as stored."""
    from served_world import champion_online

    with champion_online(tmp_path_factory.mktemp("trained"), prefect_api, empty_mlflow) as found:
        yield found


@pytest.fixture(scope="session")
def small_settings(prefect_api: str, empty_mlflow: Path) -> Callable[[Path], Settings]:
    """Settings of a state folder that is ready for use: `small_settings(folder)`."""

    def make(folder: Path) -> Settings:
        database = folder / "mlflow" / "mlflow.db"
        if not database.exists():
            database.parent.mkdir(parents=True)
            shutil.copy(empty_mlflow, database)
        return Settings(state=State(folder=folder), prefect=Prefect(api_url=prefect_api))

    return make


@pytest.fixture
def small_loop(tmp_path: Path, small_settings: Callable[[Path], Settings]) -> Callable[..., Any]:
    """A loop on a state folder of its own: `with running(small_loop()):`. A `Retrain` trains at once, in here."""

    def make(folder: Path | None = None, **parts: Any) -> Any:
        from flows.retraining import train_here
        from flows.wiring import build

        loop = build(small_settings(folder or tmp_path / "state"), start_training=train_here)
        for name, value in parts.items():
            setattr(loop, name, value)
        return loop

    return make


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_settings: Callable[[Path], Settings], prefect_api: str
) -> Path:
    """A folder as a user has it: `incumbent.toml`, the model beside it, and the current folder."""
    from small_data import write_small_model

    small_settings(tmp_path / ".incumbent")
    (tmp_path / "incumbent.toml").write_text(f'[prefect]\napi_url = "{prefect_api}"\n')
    write_small_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`incumbent ...` in that folder: its exit code, and what it printed as an answer and as an error."""
    from incumbent.command import main

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call
