"""`mlflow deployments ... -t incumbent`, given as a person gives it: by MLflow's own command and client."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from mlflow.deployments import get_deploy_client
from mlflow.deployments.cli import commands
from mlflow.exceptions import MlflowException

from flows.settings import read_settings
from mlflow_plugins.connection import connect_embedded
from mlflow_plugins.deployment.processes import Deployment, Deployments
from mlflow_plugins.deployment.state_folder import state_folder
from mlflow_plugins.models import golden_of
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker

NAME = "late-flights"


@pytest.fixture
def project(tmp_path: Path, package, monkeypatch) -> Path:
    """A project with two versions in its registry, and no other settings than where its state is."""
    (tmp_path / "incumbent.toml").write_text("[serving]\nforeign_models = false\n")
    connection = connect_embedded(tmp_path / ".incumbent" / "mlflow")
    registry = MlflowRegistry(connection, tmp_path / "cache")
    digest = golden_of(package.pipeline, package.example, package.task).digest
    for key in ("first", "second"):
        with MlflowTracker(connection).run(NAME, "train") as run:
            tags = {"incumbent.key": key, "incumbent.digest": digest}
            registry.register(NAME, source=run.model(package), run_id=run.run_id, tags=tags)
    monkeypatch.chdir(tmp_path)
    for name in ("INCUMBENT_STATE__FOLDER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def mlflow_deployments(*arguments: str) -> str:
    done = CliRunner().invoke(commands, [*arguments, "-t", "incumbent"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.services
@pytest.mark.timeout(600)
def test_a_deployment_is_created_asked_updated_and_deleted_by_mlflows_command(project, package, flights, tmp_path):
    rows = flights.dropna().head(5).reset_index(drop=True)
    rows.to_json(tmp_path / "rows.json")
    expected = package.pipeline.predict_proba(rows)
    client, deployments = get_deploy_client("incumbent"), Deployments(project / ".incumbent")
    try:
        mlflow_deployments("create", "--name", "a", "-m", f"models:/{NAME}/1", "-C", "workers=1", "-C", "tier=typed")
        listed = mlflow_deployments("list")
        first, told = deployments.find("a"), client.get_deployment("a")
        asked = mlflow_deployments("predict", "--name", "a", "-I", str(tmp_path / "rows.json"))

        assert "'name': 'a'" in listed
        assert "status: running" in mlflow_deployments("get", "--name", "a")
        assert [(model["version"], model["tier"]) for model in told["models"]] == [("1", "typed")]
        assert np.array(json.loads(asked)["predictions"]).tobytes() == expected.tobytes()
        with pytest.raises(MlflowException, match="Deployment 'a' runs already, at http://127"):
            client.create_deployment("a", f"models:/{NAME}/1")
        with pytest.raises(MlflowException, match=r"it answered 400: .*missing inputs"):
            client.predict("a", rows[["distance"]])

        with pytest.raises(MlflowException, match=r"Deployment 'a': it ended with \d+: .*9"):
            client.update_deployment("a", f"models:/{NAME}/9")
        assert client.get_deployment("a")["process_id"] == told["process_id"]
        mlflow_deployments("update", "--name", "a", "-m", f"models:/{NAME}/2")
        second, updated = deployments.find("a"), client.get_deployment("a")
        answer = client.predict("a", rows).get_predictions("ndarray")

        assert [(model["version"], model["tier"]) for model in updated["models"]] == [("2", "typed")]
        assert answer.tobytes() == expected.tobytes()
        assert not first.alive()
    finally:
        mlflow_deployments("delete", "--name", "a")
    mlflow_deployments("delete", "--name", "a")
    assert client.list_deployments() == []
    assert not second.alive()
    with pytest.raises(MlflowException, match="There is no deployment 'a' in this project; it has \\[\\]"):
        client.predict("a", rows)


@pytest.mark.parametrize(
    ("name", "model", "more", "said"),
    [
        ("../up", "models:/m/1", {}, r"deployment name '\.\./up' cannot be used"),
        ("a", "runs:/abc/model", {}, r"model 'runs:/abc/model' is not a registered version\. Register the model"),
        ("a", "/some/folder", {}, "is not a registered version"),
        ("a", "models:/m/1", {"config": {"prot": "1"}}, r"config \['prot'\] is not known\. Known keys: \['host'"),
        ("a", "models:/m/1", {"config": {"port": "x"}}, "Give port and patience as numbers"),
        ("a", "models:/m/1", {"flavor": "sklearn"}, "Every model is served as python_function"),
        ("a", "models:/m/1", {"endpoint": "e"}, "This target has none: name the deployment"),
    ],
)
def test_what_the_target_does_not_know_is_refused_before_anything_starts(tmp_path, name, model, more, said):
    client = get_deploy_client(f"incumbent:{tmp_path}")

    with pytest.raises(MlflowException, match=said) as caught:
        client.create_deployment(name, model, **more)

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert client.list_deployments() == []


def test_a_process_that_took_the_number_of_an_ended_one_is_left_alone(tmp_path):
    ours = Deployment("a", "models:/m/1", "http://127.0.0.1:1", os.getpid(), 1.0, "log")
    deployments = Deployments(tmp_path)
    with deployments.locked("a"):
        deployments.record(ours)

    ours.stop()

    assert not ours.alive()
    assert get_deploy_client(f"incumbent:{tmp_path}").list_deployments() == []
    assert [found.name for found in deployments.all()] == ["a"]


@pytest.mark.parametrize(
    ("toml", "variables"),
    [
        (None, {}),
        ("", {}),
        ('[state]\nfolder = "elsewhere/state"\n', {}),
        ('[state]\nfolder = "elsewhere/state"\n', {"INCUMBENT_STATE__FOLDER": "here"}),
        (None, {"INCUMBENT_STATE__FOLDER": "/absolute/state"}),
    ],
)
def test_the_state_folder_is_the_one_of_the_settings(tmp_path, monkeypatch, toml, variables):
    if toml is not None:
        (tmp_path / "incumbent.toml").write_text(toml)
    below = tmp_path / "models"
    below.mkdir()
    monkeypatch.chdir(below)
    monkeypatch.delenv("INCUMBENT_STATE__FOLDER", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert state_folder(Path.cwd(), variables) == read_settings().folder
