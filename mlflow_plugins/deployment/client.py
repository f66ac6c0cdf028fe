"""`mlflow deployments ... -t incumbent`: the scoring server, started, found again and ended by MLflow's own command.

MLflow asks for one module with exactly one client class, `run_local` and `target_help`.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import requests
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException

from mlflow_plugins.deployment.processes import NAME, Deployment, Deployments, Wanted
from mlflow_plugins.deployment.state_folder import state_folder
from mlflow_plugins.errors import (
    DeploymentExistsError,
    DeploymentFailedError,
    DeploymentNotFoundError,
    DeploymentRequestError,
    MlflowPluginsError,
)

FLAVOR = "python_function"
TARGET = "incumbent"
TOKEN = "INCUMBENT_SERVING__TOKEN"  # the name of the variable
KEYS = {
    "host": "address to listen on; 127.0.0.1 by default",
    "port": "port to listen on; any free one by default, and then the address changes with an update",
    "workers": "processes; one for each core by default",
    "tier": "mlflow, typed, microbatch or compiled: the highest tier to use",
    "patience": "seconds until the server must be ready; 300 by default",
}
_PASSED_ON = ("host", "workers", "tier")
_REGISTERED = re.compile(r"models:/[^/@]+(/[0-9]+|@[^/@]+)?")
_CODES: dict[type[Exception], str] = {
    DeploymentExistsError: "RESOURCE_ALREADY_EXISTS",
    DeploymentNotFoundError: "RESOURCE_DOES_NOT_EXIST",
    DeploymentRequestError: "INVALID_PARAMETER_VALUE",
    DeploymentFailedError: "INTERNAL_ERROR",
}
P = ParamSpec("P")
R = TypeVar("R")


def _as_mlflow(method: Callable[P, R]) -> Callable[P, R]:
    """What MLflow's callers expect is an `MlflowException` with its code."""

    @functools.wraps(method)
    def translated(*args: P.args, **named: P.kwargs) -> R:
        try:
            return method(*args, **named)
        except MlflowPluginsError as error:
            from mlflow.protos import databricks_pb2

            code = getattr(databricks_pb2, _CODES.get(type(error), "INTERNAL_ERROR"))
            raise MlflowException(str(error), error_code=code) from error

    return translated


class IncumbentDeploymentClient(BaseDeploymentClient):
    """Scoring servers of one project on this machine, as `incumbent serve` starts them.

    Args:
        target_uri: `incumbent` for the project of the current folder, `incumbent:/path/to/project` for another.
    """

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)  # type: ignore[no-untyped-call]  # MLflow does not annotate it
        given = target_uri.partition(":")[2]
        self.project = Path(given) if given else Path.cwd()
        self._deployments = Deployments(state_folder(self.project, os.environ))

    @_as_mlflow
    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: Any = None, endpoint: Any = None
    ) -> dict[str, Any]:
        """Start a server on a registered version, and wait until it is ready.

        Raises:
            MlflowException: one of this name runs, the address or the config is not understood, or it did not start;
                the message says what the server said.
        """
        _check(name, flavor, endpoint)
        wanted = self._wanted(model_uri, config or {})
        with self._deployments.locked(name):
            return _facts(self._deployments.start(name, model_uri, wanted, config or {}))

    @_as_mlflow
    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Any = None,
        endpoint: Any = None,
    ) -> dict[str, Any]:
        """Put another version or config in a deployment's place.

        The new server is started beside the old one, which ends only when the new one is ready: a version that cannot
        be served changes nothing. Where the config names a port, the new server is tried at a free one, and the port
        is closed between the end of the old one and the start of the new one.

        Raises:
            MlflowException: there is none of this name, or the new server did not start.
        """
        _check(name, flavor, endpoint)
        with self._deployments.locked(name):
            old = self._deployments.find(name)
            model_uri, config = model_uri or old.model_uri, {**old.config, **(config or {})}
            wanted = self._wanted(model_uri, config)
            anywhere = Wanted(wanted.reference, wanted.project, 0, wanted.flags, wanted.patience)
            new = self._deployments.launch(name, model_uri, anywhere, config)
            old.stop()
            if wanted.port:
                new.stop()
                new = self._deployments.launch(name, model_uri, wanted, config)
            self._deployments.record(new)
        return _facts(new)

    @_as_mlflow
    def delete_deployment(self, name: str, config: Any = None, endpoint: Any = None) -> None:
        """End a deployment's server after it has answered what it accepted; nothing where there is none."""
        _check(name, None, endpoint)
        with self._deployments.locked(name):
            for found in self._deployments.all():
                if found.name == name:
                    found.stop()
                    self._deployments.forget(name)

    @_as_mlflow
    def list_deployments(self, endpoint: Any = None) -> list[dict[str, Any]]:
        """All deployments of the project, and whether each still runs."""
        _check("all", None, endpoint)
        return [_facts(found) for found in self._deployments.all()]

    @_as_mlflow
    def get_deployment(self, name: str, endpoint: Any = None) -> dict[str, Any]:
        """One deployment, with what its server says of its models.

        Raises:
            MlflowException: there is none of this name.
        """
        _check(name, None, endpoint)
        found = self._deployments.find(name)
        return {**_facts(found), **(_said(found) if found.alive() else {})}

    @_as_mlflow
    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: Any = None
    ) -> PredictionsResponse:
        """Ask a deployment over HTTP, as any client would.

        Raises:
            MlflowException: there is none of this name, it does not answer, or it answers an error.
        """
        from mlflow.utils.proto_json_utils import dump_input_data

        _check(deployment_name or "", None, endpoint)
        found = self._deployments.find(deployment_name or "")
        headers = {"Content-Type": "application/json", **_token()}
        try:
            answer = requests.post(f"{found.url}/invocations", dump_input_data(inputs), headers=headers, timeout=70)
        except requests.exceptions.RequestException as error:
            raise DeploymentFailedError(found.name, f"it does not answer: {error}", found.log) from error
        if answer.status_code != 200:
            told = f"it answered {answer.status_code}: {answer.text[:2000]}"
            hint = f"; set {TOKEN} to its token" if answer.status_code == 401 else ""
            raise DeploymentFailedError(found.name, told + hint, found.log)
        found_there: PredictionsResponse = PredictionsResponse.from_json(answer.text)  # type: ignore[no-untyped-call]
        return found_there

    def _wanted(self, model_uri: str, config: Mapping[str, Any]) -> Wanted:
        return _wanted(self.project, model_uri, config)


@_as_mlflow
def run_local(name: str, model_uri: str, flavor: str | None = None, config: Any = None) -> None:
    """Serve a registered version in the foreground until Ctrl-C, unrecorded.

    Raises:
        MlflowException: the address or the config is not understood, or the server ended with an error.
    """
    _check(name, flavor, None)
    wanted = _wanted(Path.cwd(), model_uri, config or {})
    try:
        code = subprocess.run(wanted.command(), cwd=wanted.project, check=False).returncode
    except KeyboardInterrupt:
        return
    if code:
        raise DeploymentFailedError(name, f"it ended with {code}", "the output above")


def target_help() -> str:
    """What `mlflow deployments help -t incumbent` prints."""
    keys = "\n".join(f"    -C {key}=...  {told}" for key, told in KEYS.items())
    return f"""\
Scoring servers on this machine, as `incumbent serve` starts them.

Target URI: `incumbent` means the project of the current folder, `incumbent:/path/to/project` another one.
Model URI:  models:/NAME (its champion), models:/NAME/VERSION or models:/NAME@ALIAS of Incumbent's registry.

Config:
{keys}

A deployment goes on when the command has ended; `delete` ends it after it has answered what it accepted.
The token of a server that asks for one is read from {TOKEN}."""


def _wanted(project: Path, model_uri: str, config: Mapping[str, Any]) -> Wanted:
    unknown = sorted(set(config) - KEYS.keys())
    if unknown:
        raise DeploymentRequestError(f"config {unknown} is not known", f"Known keys: {sorted(KEYS)}.")
    if not _REGISTERED.fullmatch(model_uri):
        fix = "Register the model, and name it models:/NAME, models:/NAME/VERSION or models:/NAME@ALIAS."
        raise DeploymentRequestError(f"model {model_uri!r} is not a registered version", fix)
    flags = tuple(part for key in _PASSED_ON if key in config for part in (f"--{key}", str(config[key])))
    try:
        port, patience = int(config.get("port", 0)), float(config.get("patience", 300))
    except ValueError as error:
        raise DeploymentRequestError(
            f"config holds no number: {error}", "Give port and patience as numbers."
        ) from error
    return Wanted(model_uri, str(project), port, flags, patience)


def _check(name: str, flavor: str | None, endpoint: Any) -> None:
    if endpoint is not None:
        raise DeploymentRequestError(f"endpoint {endpoint!r} was given", "This target has none: name the deployment.")
    if flavor not in (None, FLAVOR):
        raise DeploymentRequestError(f"flavor {flavor!r} was asked for", f"Every model is served as {FLAVOR}.")
    if not NAME.fullmatch(name):
        raise DeploymentRequestError(f"deployment name {name!r} cannot be used", f"Use {NAME.pattern}.")


def _facts(found: Deployment) -> dict[str, Any]:
    return {
        "name": found.name,
        "flavor": FLAVOR,
        "model_uri": found.model_uri,
        "url": found.url,
        "status": "running" if found.alive() else "ended",
        "process_id": found.pid,
        "log": found.log,
        "config": dict(found.config),
    }


def _said(found: Deployment) -> dict[str, Any]:
    try:
        answer = requests.get(f"{found.url}/models", headers=_token(), timeout=10)
        return {"models": answer.json()["models"]}
    except (requests.exceptions.RequestException, KeyError) as error:
        return {"models": f"not told: {type(error).__name__}"}


def _token() -> dict[str, str]:
    token = os.environ.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}
