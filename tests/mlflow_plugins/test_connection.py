from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlflow_plugins.connection import connect, connect_embedded
from mlflow_plugins.errors import TrackingUriError
from mlflow_plugins.tracking import MlflowTracker


def test_everything_lies_in_the_given_folder_and_nothing_in_mlruns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    connection = connect_embedded(tmp_path / "state")
    with MlflowTracker(connection).run("late / flights", "first") as run:
        run.text("hello", "notes/hello.txt")

    assert "_MLFLOW_SERVER_ARTIFACT_ROOT" not in os.environ
    default = connection.client.get_experiment("0")
    assert default.artifact_location.startswith((tmp_path / "state/artifacts").as_uri())
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in (tmp_path / "state/artifacts").iterdir()] == ["late-flights"]


def test_telemetry_is_off_and_requests_are_bounded(tmp_path: Path) -> None:
    connect_embedded(tmp_path)

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "1"
    seconds = int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    assert seconds * (1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])) < 15


def test_what_the_operator_has_set_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")

    connect_embedded(tmp_path)

    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "60"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "postgresql://ops:hunter2@db/mlflow", ""])
def test_an_address_that_cannot_be_used_is_refused_without_its_password(uri: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingUriError) as refused:
        connect(uri, artifacts=tmp_path)

    assert "hunter2" not in str(refused.value)


def test_sqlite_needs_a_folder_for_artifacts(tmp_path: Path) -> None:
    with pytest.raises(TrackingUriError):
        connect(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_the_pages_are_those_of_the_server_unless_told_otherwise(tmp_path: Path) -> None:
    assert connect("http://127.0.0.1:1").ui_url == "http://127.0.0.1:1"
    assert connect("http://127.0.0.1:1", ui_url="https://mlflow.example.com/").ui_url == "https://mlflow.example.com"
    assert connect_embedded(tmp_path).ui_url == "http://127.0.0.1:5000"
