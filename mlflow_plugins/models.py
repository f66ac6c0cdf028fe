"""A model as MLflow stores it: skops and no pickle, with everything that later steps read beside it.

The folder holds MLflow's own files, the files the caller adds (`manifest.json`, `golden.parquet`, ...) and
`contents.json` with the sha256 of each. Where the pipeline holds no user code it predicts the same under
plain `mlflow.pyfunc.load_model`, without this project.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_plugins.answers import answers
from mlflow_plugins.connection import Connection
from mlflow_plugins.errors import ModelNotStorableError
from modeling.export import ALLOWED_TYPES, golden_rows, model_digest
from modeling.tasks import Task, predict

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema

MANIFEST, GOLDEN, REFERENCE, CONTENTS = (
    "manifest.json",
    "golden.parquet",
    "reference.parquet",
    "contents.json",
)
INSTRUMENTS = "instruments.npz"  # what monitoring fitted on the reference window
SERVING, PLAN = "serving.json", "plan.npz"  # how it may be served, and the compiled plan where there is one
SKOPS_FILE = "model.skops"
PREDICTION = "prediction"
CONTENTS_TAG = "incumbent.contents"
"""Tag of a logged model and of its version: sha256 of `contents.json`."""
MODEL_SCHEME = "models:/"

# What plain pyfunc calls: for a yes or no, both probabilities.
PREDICT_FUNCTIONS = {Task.BINARY: "predict_proba", Task.REGRESSION: "predict"}


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """Everything that is stored as one model.

    Attributes:
        pipeline: fitted scikit-learn pipeline.
        example: some rows it was fitted on; their columns become the signature.
        files: further files by name, as bytes or as a path to copy.
        requirements: pip requirements, written as they are; inferring them would take 15 seconds.
        trusted_types: types beyond skops' own that the pipeline may hold.
    """

    pipeline: Any
    example: pd.DataFrame
    task: Task
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    requirements: Sequence[str] = ()
    trusted_types: Collection[str] = ALLOWED_TYPES


def log_model(connection: Connection, run_id: str, package: ModelPackage, name: str) -> str:
    """Store a model under a run, and return the `models:/m-...` address to register it from.

    Raises:
        ModelNotStorableError: the pipeline holds a type that is not allowed.
        UnreachableError: MLflow does not answer; what was stored until then is not registered.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    client = connection.client
    with tempfile.TemporaryDirectory(prefix="incumbent-model-") as scratch, answers(connection.tracking_uri):
        experiment = client.get_run(run_id).info.experiment_id
        logged = client.create_logged_model(experiment, name=name, source_run_id=run_id, model_type=package.task)
        described = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        )
        folder = Path(scratch) / "model"
        save_model(package, folder, described)
        listed = hashlib.sha256((folder / CONTENTS).read_bytes()).hexdigest()
        client.set_logged_model_tags(logged.model_id, {CONTENTS_TAG: listed})
        client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    return MODEL_SCHEME + str(logged.model_id)


def save_model(package: ModelPackage, folder: Path, described: Model | None = None) -> None:
    """Write the folder of a model.

    Raises:
        ModelNotStorableError: the pipeline holds a type that is not allowed.
    """
    import mlflow.sklearn
    from mlflow.exceptions import MlflowException

    try:
        mlflow.sklearn.save_model(
            package.pipeline,
            str(folder),
            mlflow_model=described,
            serialization_format="skops",
            signature=signature_of(package),
            input_example=package.example.head(3),
            pip_requirements=list(package.requirements),
            pyfunc_predict_fn=PREDICT_FUNCTIONS[package.task],
            skops_trusted_types=sorted(package.trusted_types),
        )
    except MlflowException as error:
        if "sklearn model" not in str(error):
            raise
        raise ModelNotStorableError(str(error).splitlines()[0], package.trusted_types) from error
    for file_name, content in package.files.items():
        _write(folder / file_name, content)
    (folder / CONTENTS).write_text(json.dumps(digests_in(folder), indent=1, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Golden:
    """What identifies a model: some questions with its answers, and the digest that goes into the ledger.

    Attributes:
        file: content of `golden.parquet`, the questions and a column `prediction`.
        digest: hash of the model's arrays and golden answers.
    """

    file: bytes
    digest: str


def golden_of(pipeline: Any, X: pd.DataFrame, task: Task) -> Golden:
    """Choose golden rows among these, and let the model answer them.

    It answers what a reader will get, not what was chosen: Parquet knows one kind of missing text only.
    """
    questions = pd.read_parquet(io.BytesIO(golden_rows(X).to_parquet(index=False)))
    answered = questions.assign(**{PREDICTION: predict(task, pipeline, questions)})
    return Golden(answered.to_parquet(index=False), model_digest(pipeline, questions))


def signature_of(package: ModelPackage) -> ModelSignature:
    """Columns as doubles and strings, all required; a long column would refuse a gap, so there is none."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    shape = (-1, 2) if package.task is Task.BINARY else (-1,)
    return ModelSignature(column_schema(package.example), Schema([TensorSpec(np.dtype("float64"), shape)]))


def column_schema(frame: pd.DataFrame) -> Schema:
    """Names and types of the columns: numbers as doubles, moments as moments, the rest as strings."""
    from mlflow.types import ColSpec, Schema
    from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

    def kind(column: str) -> str:
        if is_numeric_dtype(frame[column]):
            return "double"
        return "datetime" if is_datetime64_any_dtype(frame[column]) else "string"

    return Schema([ColSpec(kind(column), name=str(column)) for column in frame.columns])


def digests_in(folder: Path) -> dict[str, str]:
    """The sha256 of each file under a folder, by its path within; `contents.json` itself is left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items() if name != CONTENTS}


def _write(path: Path, content: bytes | Path) -> None:
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
