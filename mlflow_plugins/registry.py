"""Registered model versions and aliases in MLflow; the ledger decides, this follows."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from lifecycle.errors import AliasNotSetError, IntegrityError, VersionNotFoundError
from lifecycle.ports import Alias, RegisteredVersion
from mlflow_plugins.answers import answers
from mlflow_plugins.connection import Connection
from mlflow_plugins.models import CONTENTS_TAG, MODEL_SCHEME

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

KEY_TAG, DIGEST_TAG = "incumbent.key", "incumbent.digest"

# When two clients create the same alias or tag at once, MLflow answers one of them 400 IntegrityError.
_TRIES, _PAUSE = 6, 0.05


class MlflowRegistry:
    """Versions and aliases of one MLflow. Fits `lifecycle.ports.Registry`.

    Args:
        cache: folder for artifacts that lie on another machine.
    """

    def __init__(self, connection: Connection, cache: Path) -> None:
        self.connection = connection
        self._cache = cache

    def register(self, model: str, *, source: str, run_id: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """Make a version of a logged model, with its tags in the same call.

        A version with the same `incumbent.key` is returned instead: a killed training can be run again.

        Raises:
            UnreachableError: MLflow does not answer.
        """
        key = tags.get(KEY_TAG)
        known = self.by_key(model, key) if key else None
        if known is not None:
            return known
        self.connection.use()
        model_id = source.removeprefix(MODEL_SCHEME) if source.startswith(f"{MODEL_SCHEME}m-") else None
        with self._answers():
            self._ensure_registered(model)
            listed = {} if model_id is None else self._contents(model_id)
            # Nothing to wait for: a version that is made is ready.
            made = self.connection.client.create_model_version(
                model, source, run_id, tags={**tags, **listed}, await_creation_for=0, model_id=model_id
            )
            if model_id is not None:
                self._link(model_id, made)
        return _registered(made)

    def by_key(self, model: str, key: str) -> RegisteredVersion | None:
        """The version that an earlier try at the same training registered, or none."""
        condition = f"name = '{_quoted(model)}' and tags.`{KEY_TAG}` = '{_quoted(key)}'"
        with self._answers():
            found = self.connection.client.search_model_versions(condition)
        return min(map(_registered, found), key=lambda known: known.version, default=None)

    def version(self, model: str, version: int) -> RegisteredVersion:
        """One version.

        Raises:
            VersionNotFoundError: there is none of this number.
            UnreachableError: MLflow does not answer.
        """
        return _registered(self._version(model, version))

    def versions(self, model: str) -> list[RegisteredVersion]:
        """Every version of a model, oldest first; none when the model is not registered."""
        with self._answers():
            found = self.connection.client.search_model_versions(f"name = '{_quoted(model)}'")
        return sorted(map(_registered, found), key=lambda known: known.version)

    def pointed(self, model: str, alias: Alias) -> int:
        """The version an alias points at.

        Raises:
            AliasNotSetError: MLflow answered, and there is no such alias or no such model.
            UnreachableError: MLflow does not answer; this never reads as "no champion yet".
        """
        from mlflow.exceptions import MlflowException

        with self._answers():
            try:
                found = self.connection.client.get_model_version_by_alias(model, alias.value)
            except MlflowException as error:
                if not _says_no_alias(error):
                    raise
                raise AliasNotSetError(model, alias.value) from error
        return int(found.version)

    def point(self, model: str, alias: Alias, *, at: int, tags: Mapping[str, str]) -> None:
        """Move an alias, tag the version, and read both back.

        Raises:
            VersionNotFoundError: there is no version of this number.
            IntegrityError: what is read back differs: somebody else moved the alias meanwhile.
            UnreachableError: MLflow does not answer.
        """
        self._version(model, at)
        with self._answers():
            _insisted(self.connection.client.set_registered_model_alias, model, alias.value, str(at))
            for key, value in tags.items():
                _insisted(self.connection.client.set_model_version_tag, model, str(at), key, value)
        self._check_pointed(model, alias, at, tags)

    def describe(self, model: str, version: int | None, text: str) -> None:
        """Write the description of a version, or of the model itself (Markdown)."""
        with self._answers():
            if version is None:
                self._ensure_registered(model)
                self.connection.client.update_registered_model(model, text)
            else:
                self.connection.client.update_model_version(model, str(version), text)

    def artifact(self, model: str, version: int) -> Path:
        """Folder with the version's artifact on this machine, downloaded once where it lies elsewhere.

        Raises:
            VersionNotFoundError: there is none of this number.
            IntegrityError: the folder it was stored in is gone.
            UnreachableError: MLflow does not answer.
        """
        self._version(model, version)
        with self._answers():
            location = self.connection.client.get_model_version_download_uri(model, str(version))
        folder = _folder_of(location)
        if folder is None:
            return self._downloaded(location)
        if not folder.is_dir():
            what = f"Artifact of {model!r} version {version}"
            raise IntegrityError(what, str(folder), "no such folder on this machine")
        return folder

    def url(self, model: str, version: int) -> str:
        """Page of a version in the MLflow UI."""
        return f"{self.connection.ui_url}/#/models/{model}/versions/{version}"

    @contextmanager
    def _answers(self) -> Iterator[None]:
        with answers(self.connection.tracking_uri):
            yield

    def _version(self, model: str, version: int) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        with self._answers():
            try:
                return self.connection.client.get_model_version(model, str(version))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                known = [each.version for each in self.versions(model)]
                raise VersionNotFoundError(model, version, known) from error

    def _ensure_registered(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.connection.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def contents(self, model: str, version: int) -> str:
        """Digest of the list of files of a version, as it was recorded when the version was made.

        Raises:
            VersionNotFoundError: there is none of this number.
            IntegrityError: nothing was recorded, or the record was taken away.
            UnreachableError: MLflow does not answer.
        """
        recorded = self.version(model, version).tags.get(CONTENTS_TAG)
        if recorded is None:
            what = f"Tag {CONTENTS_TAG!r} of {model!r} version {version}"
            raise IntegrityError(what, "the digest of its list of files", "none")
        return recorded

    def _contents(self, model_id: str) -> dict[str, str]:
        """What the logged model says about its list of files; it was written before the files were."""
        tags = self.connection.client.get_logged_model(model_id).tags
        return {CONTENTS_TAG: tags[CONTENTS_TAG]} if CONTENTS_TAG in tags else {}

    def _link(self, model_id: str, made: ModelVersion) -> None:
        """Let the page of the logged model show its version, as MLflow's own `register_model` does."""
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        logged = self.connection.client.get_logged_model(model_id)
        versions = json.loads(logged.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        versions.append({"name": made.name, "version": int(made.version)})
        self.connection.client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(versions)})

    def _check_pointed(self, model: str, alias: Alias, at: int, tags: Mapping[str, str]) -> None:
        pointed = self.pointed(model, alias)
        if pointed != at:
            what = f"Alias {alias.value!r} of {model!r}"
            raise IntegrityError(what, str(at), str(pointed))
        found = self.version(model, at).tags
        for key, value in tags.items():
            if found.get(key) != value:
                what = f"Tag {key!r} of {model!r} version {at}"
                raise IntegrityError(what, repr(value), repr(found.get(key)))

    def _downloaded(self, location: str) -> Path:
        """The address holds MLflow's id of the model and never gets other content, so a copy stays good."""
        from mlflow.artifacts import download_artifacts

        folder = self._cache / hashlib.sha256(location.encode()).hexdigest()[:20]
        if folder.is_dir():
            return folder
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache) as scratch, self._answers():
            copy = download_artifacts(
                artifact_uri=location, dst_path=scratch, tracking_uri=self.connection.tracking_uri
            )
            _move_into_place(Path(copy), folder)
        return folder


def _insisted(write: Callable[..., None], *given: str) -> None:
    """Write an alias or a tag, again when somebody else created the same one in the same instant."""
    from mlflow.exceptions import MlflowException

    for tried in range(1, _TRIES + 1):
        try:
            write(*given)
            return
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST" or tried == _TRIES:
                raise
            time.sleep(_PAUSE * tried)


def _registered(found: ModelVersion) -> RegisteredVersion:
    tags = dict(found.tags)
    return RegisteredVersion(
        model=found.name,
        version=int(found.version),  # an int on SQLite, text over HTTP
        key=tags.get(KEY_TAG, ""),
        digest=tags.get(DIGEST_TAG, ""),
        run_id=found.run_id or "",
        tags=tags,
    )


def _folder_of(location: str) -> Path | None:
    """The folder that a local address names; none when it is not on this machine."""
    parts = urlparse(location)
    if parts.scheme not in ("", "file"):
        return None
    return Path(url2pathname(parts.path) if parts.scheme else location)


def _says_no_alias(error: Exception) -> bool:
    code = getattr(error, "error_code", "")
    missing_alias = code == "INVALID_PARAMETER_VALUE" and "alias" in str(error) and "not found" in str(error)
    return missing_alias or code == "RESOURCE_DOES_NOT_EXIST"


def _quoted(text: str) -> str:
    return text.replace("'", "\\'")


def _move_into_place(copy: Path, folder: Path) -> None:
    try:
        copy.rename(folder)
    except OSError:
        # Somebody else downloaded the same meanwhile.
        if not folder.is_dir():
            raise
        shutil.rmtree(copy, ignore_errors=True)
