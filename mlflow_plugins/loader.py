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
import pyarrow.parquet
import yaml  # type: ignore[import-untyped]  # stubs are not among our requirements

from lifecycle.errors import IntegrityError
from mlflow_plugins.contents import check_files, read, read_json
from mlflow_plugins.models import GOLDEN, MANIFEST, PREDICT_FUNCTIONS, PREDICTION, SKOPS_FILE
from modeling import export
from modeling.errors import UnreadableModelError
from modeling.tasks import Task, predict

MAX_GOLDEN = 10_000
"""Rows of `golden.parquet`; Parquet packs a million equal ones into a few bytes."""


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


def load(
    folder: Path, *, expected_digest: str, expected_contents: str | None = None, extra_types: Sequence[str] = ()
) -> LoadedModel:
    """Check a model's folder and load it.

    In order: the list of files, `MLmodel` as data, the types in the file, the digest, the golden rows.

    Args:
        expected_digest: content digest that the ledger or the registry recorded.
        expected_contents: digest of `contents.json` that the registry recorded; none where the folder has no
            registered version, as in a test.
        extra_types: types the operator allows beyond our own list; a model cannot add to them.

    Raises:
        IntegrityError: something is not what was recorded; the message says what.
        UntrustedTypeError: the file holds a type that neither we nor the operator allow.
    """
    check_files(folder, expected_contents)
    described = _described(folder)
    manifest = read_json(folder / MANIFEST)
    inputs = _inputs(described)
    task = _task(described)
    golden = _golden(folder / GOLDEN, list(inputs))
    pipeline = _pipeline(folder / SKOPS_FILE, extra_types)
    questions = golden[list(inputs)]
    digest = export.model_digest(pipeline, questions)
    if digest != expected_digest:
        what = f"Digest of the model in {folder}"
        raise IntegrityError(what, expected_digest, digest)
    _check_golden(folder, predict(task, pipeline, questions), golden[PREDICTION].to_numpy(np.float64))
    return LoadedModel(pipeline, task, tuple(inputs), tuple(inputs.values()), digest, manifest)


def _pipeline(path: Path, extra_types: Sequence[str]) -> Any:
    try:
        return export.load(path, extra_types=extra_types)
    except UnreadableModelError as error:
        raise IntegrityError(str(path), "a model that can be read", str(error)) from error


def _described(folder: Path) -> dict[str, Any]:
    """Read `MLmodel` as plain YAML, and refuse anything but skops loaded by MLflow's scikit-learn flavour."""
    path = folder / "MLmodel"
    try:
        described = yaml.safe_load(read(path))
    except yaml.YAMLError as error:
        raise IntegrityError(str(path), "plain YAML", str(error).splitlines()[0]) from error
    flavors = _mapping(_mapping(described).get("flavors"))
    pyfunc, sklearn = _mapping(flavors.get("python_function")), _mapping(flavors.get("sklearn"))
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
            what = f"{name!r} in {path}"
            raise IntegrityError(what, str(expected), str(found))
    return dict(described)


def _task(described: Mapping[str, Any]) -> Task:
    found = described["flavors"]["python_function"].get("predict_fn")
    for task, function in PREDICT_FUNCTIONS.items():
        if function == found:
            return task
    raise IntegrityError("predict_fn", f"one of {sorted(PREDICT_FUNCTIONS.values())}", str(found))


def _inputs(described: Mapping[str, Any]) -> dict[str, str]:
    """Types of the input columns by name, in the order of the signature."""
    try:
        columns = json.loads(described["signature"]["inputs"])
        return {column["name"]: column["type"] for column in columns}
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("signature", "named columns", repr(described.get("signature"))) from error


def _golden(path: Path, columns: list[str]) -> pd.DataFrame:
    content = read(path)
    try:
        rows = pyarrow.parquet.read_metadata(io.BytesIO(content)).num_rows
        if rows > MAX_GOLDEN:
            raise IntegrityError(str(path), f"at most {MAX_GOLDEN:,} rows", f"{rows:,}")
        golden = pd.read_parquet(io.BytesIO(content))
    except (ValueError, OSError) as error:
        raise IntegrityError(str(path), "a Parquet file", str(error)) from error
    wanted = [*columns, PREDICTION]
    if golden.empty or list(golden.columns) != wanted:
        raise IntegrityError(str(path), f"rows of {wanted}", f"{len(golden)} rows of {list(golden.columns)}")
    return golden


def _check_golden(folder: Path, found: np.ndarray, recorded: np.ndarray) -> None:
    """Compare the bits: a model that answers almost the same is another model."""
    different = np.flatnonzero(found.view(np.int64) != recorded.view(np.int64))
    if not different.size:
        return
    row = int(different[0])
    what = f"Golden row {row} in {folder}"
    raise IntegrityError(what, float(recorded[row]).hex(), float(found[row]).hex())


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
