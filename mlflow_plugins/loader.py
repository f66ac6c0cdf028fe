"""Loading a version without trusting it: every check comes before the model does anything.

MLflow reads the types it trusts from the model's own `MLmodel`, so whoever can edit that file can run code.
Here the file is read as data, only skops is loaded, and only types that this code (or the operator) allows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml  # type: ignore[import-untyped]  # stubs are not among our requirements

from lifecycle.errors import IntegrityError
from mlflow_plugins.models import (
    CONTENTS,
    GOLDEN,
    MANIFEST,
    PREDICT_FUNCTIONS,
    PREDICTION,
    digests_in,
)
from modeling import export
from modeling.errors import UnreadableModelError
from modeling.tasks import Task, predict

SKOPS_FILE = "model.skops"
_PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill"}
_ADDED_BY_MLFLOW = {"registered_model_meta"}  # written beside a model when it is downloaded by its name


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that passed every check.

    Attributes:
        columns: names of the input columns, in the order of the signature.
        kinds: type of each column in the signature, `double`, `string` or `datetime`.
        manifest: what `manifest.json` holds.
    """

    pipeline: Any
    task: Task
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    digest: str
    manifest: Mapping[str, Any]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """One float64 for each row: the probability of yes, or the predicted value."""
        return predict(self.task, self.pipeline, X[list(self.columns)])


def load(folder: Path, *, expected_digest: str, extra_types: Sequence[str] = ()) -> LoadedModel:
    """Check a model's folder and load it.

    In order: the list of files, `MLmodel` as data, the types in the file, the digest, the golden rows.

    Args:
        expected_digest: content digest that the ledger or the registry recorded.
        extra_types: types the operator allows beyond our own list; a model cannot add to them.

    Raises:
        IntegrityError: something is not what was recorded; the message says what.
        UntrustedTypeError: the file holds a type that neither we nor the operator allow.
    """
    _check_files(folder)
    described = _described(folder)
    manifest = _read_json(folder, MANIFEST)
    task = _task(described)
    pipeline = _pipeline(folder / SKOPS_FILE, extra_types)
    inputs = json.loads(described["signature"]["inputs"])
    golden = _golden(folder)
    columns = tuple(column["name"] for column in inputs)
    questions = golden[list(columns)]
    digest = export.model_digest(pipeline, questions)
    if digest != expected_digest:
        what = f"Digest of the model in {folder}"
        raise IntegrityError(what, expected_digest, digest)
    _check_golden(folder, predict(task, pipeline, questions), golden[PREDICTION].to_numpy())
    kinds = tuple(column["type"] for column in inputs)
    return LoadedModel(pipeline, task, columns, kinds, digest, manifest)


def _pipeline(path: Path, extra_types: Sequence[str]) -> Any:
    try:
        return export.load(path, extra_types=extra_types)
    except UnreadableModelError as error:
        raise IntegrityError(str(path), "a model that can be read", str(error)) from error


def _check_files(folder: Path) -> None:
    """Against `contents.json`: nothing missing, nothing added, nothing changed, and no pickle at all."""
    recorded = _read_json(folder, CONTENTS)
    found = {name: digest for name, digest in digests_in(folder).items() if name not in _ADDED_BY_MLFLOW}
    for name in sorted(recorded.keys() | found.keys()):
        if Path(name).suffix in _PICKLES:
            raise IntegrityError(str(folder), "no pickle", name)
        if recorded.get(name) != found.get(name):
            what = f"File {name!r} in {folder}"
            raise IntegrityError(what, recorded.get(name, "no such file"), found.get(name, "no such file"))


def _described(folder: Path) -> dict[str, Any]:
    """Read `MLmodel` as plain YAML, and refuse anything but skops loaded by MLflow's scikit-learn flavour."""
    described = yaml.safe_load(_read(folder, "MLmodel"))
    flavors = described.get("flavors", {}) if isinstance(described, dict) else {}
    pyfunc, sklearn = flavors.get("python_function", {}), flavors.get("sklearn", {})
    wanted = {
        "flavors": (["python_function", "sklearn"], sorted(flavors)),
        "loader_module": ("mlflow.sklearn", pyfunc.get("loader_module")),
        "model_path": (SKOPS_FILE, pyfunc.get("model_path")),
        "serialization_format": ("skops", sklearn.get("serialization_format")),
        "pickled_model": (SKOPS_FILE, sklearn.get("pickled_model")),
        "code": (None, pyfunc.get("code") or sklearn.get("code")),
    }
    for name, (expected, found) in wanted.items():
        if expected != found:
            what = f"{name!r} in {folder / 'MLmodel'}"
            raise IntegrityError(what, str(expected), str(found))
    return dict(described)


def _task(described: Mapping[str, Any]) -> Task:
    found = described["flavors"]["python_function"].get("predict_fn")
    for task, function in PREDICT_FUNCTIONS.items():
        if function == found:
            return task
    raise IntegrityError("predict_fn", f"one of {sorted(PREDICT_FUNCTIONS.values())}", str(found))


def _golden(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(_read(folder, GOLDEN)))


def _check_golden(folder: Path, found: np.ndarray, recorded: np.ndarray) -> None:
    """Compare the bits: a model that answers almost the same is another model."""
    if len(recorded) == 0:
        what = f"Golden rows in {folder}"
        raise IntegrityError(what, "at least one", "none")
    if found.astype(np.float64).tobytes() == recorded.astype(np.float64).tobytes():
        return
    row = int(np.flatnonzero(found.view(np.int64) != recorded.astype(np.float64).view(np.int64))[0])
    what = f"Golden row {row} in {folder}"
    raise IntegrityError(what, float(recorded[row]).hex(), float(found[row]).hex())


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    content = json.loads(_read(folder, name))
    if not isinstance(content, dict):
        raise IntegrityError(str(folder / name), "a JSON object", type(content).__name__)
    return content


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(str(folder / name), "a file", "none") from error
