from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlflow_plugins.connection import Connection
from mlflow_plugins.errors import ModelNotStorableError
from mlflow_plugins.models import (
    CONTENTS,
    GOLDEN,
    MANIFEST,
    PLAN,
    PREDICT_FUNCTIONS,
    SERVING,
    ModelPackage,
    digests_in,
    golden_of,
    save_model,
)
from mlflow_plugins.tracking import MlflowTracker
from modeling.export import model_digest
from modeling.plan.registration import prove
from modeling.tasks import Task


def test_a_model_is_stored_under_its_run(mlflow_at: Connection, name: str, package: ModelPackage) -> None:
    with MlflowTracker(mlflow_at).run(name, "train") as run:
        source = run.model(package)

    logged = mlflow_at.client.get_logged_model(source.removeprefix("models:/"))
    assert logged.source_run_id == run.run_id
    assert logged.status == "READY"
    (output,) = mlflow_at.client.get_run(run.run_id).outputs.model_outputs
    assert output.model_id == logged.model_id


def test_metrics_logged_after_the_model_are_the_models_too(
    mlflow_at: Connection, name: str, package: ModelPackage
) -> None:
    with MlflowTracker(mlflow_at).run(name, "train") as run:
        run.metrics({"rows": 400})
        source = run.model(package)
        run.metrics({"brier": 0.2})

    logged = mlflow_at.client.get_logged_model(source.removeprefix("models:/"))
    assert {metric.key: metric.value for metric in logged.metrics} == {"brier": 0.2}
    assert mlflow_at.client.get_run(run.run_id).data.metrics == {"rows": 400, "brier": 0.2}


def test_the_folder_holds_the_files_of_the_caller_and_the_hash_of_each(package: ModelPackage, tmp_path: Path) -> None:
    extra = tmp_path / "profile.json"
    extra.write_text("{}")
    with_extra = replace(package, files={**package.files, "profile.json": extra})

    save_model(with_extra, tmp_path / "model")

    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {MANIFEST, GOLDEN, "profile.json", "MLmodel", "model.skops", CONTENTS} <= names
    contents = json.loads((tmp_path / "model" / CONTENTS).read_text())
    assert contents == digests_in(tmp_path / "model")
    assert contents.keys() == names - {CONTENTS}


def test_the_signature_says_doubles_and_strings_and_nothing_is_inferred(package: ModelPackage, tmp_path: Path) -> None:
    from mlflow.models import Model

    save_model(package, tmp_path / "model")

    signature = Model.load(str(tmp_path / "model")).signature
    assert [(column.name, column.type.name) for column in signature.inputs] == [
        ("distance", "double"),
        ("carrier", "string"),
    ]
    assert (tmp_path / "model/requirements.txt").read_text().split() == ["mlflow==3.17.2", "scikit-learn"]


@pytest.mark.parametrize("kind", ["package", "delay_package"])
def test_a_version_predicts_the_same_where_this_project_is_not_installed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, flights: pd.DataFrame
) -> None:
    package: ModelPackage = request.getfixturevalue(kind)
    served = prove(package.pipeline, package.example, package.task)
    plan = served.plan_file()
    assert plan is not None
    files = {**package.files, SERVING: served.verdict_file(), PLAN: plan}
    save_model(replace(package, files=files), tmp_path / "model")
    X = flights.head(50) if package.task is Task.BINARY else flights.dropna().head(50)
    X.to_parquet(tmp_path / "questions.parquet")

    _predict_elsewhere(tmp_path)

    answers = np.load(tmp_path / "answers.npy")
    read_back = pd.read_parquet(tmp_path / "questions.parquet")
    expected = package.pipeline.predict_proba(read_back) if kind == "package" else package.pipeline.predict(read_back)
    assert answers.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_a_pipeline_with_a_type_nobody_allowed_is_not_stored(
    flights: pd.DataFrame, pipeline: Pipeline, tmp_path: Path
) -> None:
    package = ModelPackage(pipeline, flights, Task.BINARY, {}, (), ("numpy.dtype",))

    with pytest.raises(ModelNotStorableError, match="TreePredictor"):
        save_model(package, tmp_path / "model")


def test_a_pipeline_with_a_lambda_is_not_stored(flights: pd.DataFrame, pipeline: Pipeline, tmp_path: Path) -> None:
    with_lambda = make_pipeline(FunctionTransformer(lambda X: X), pipeline)

    with pytest.raises(ModelNotStorableError, match="cannot be stored without pickle"):
        save_model(ModelPackage(with_lambda, flights, Task.BINARY), tmp_path / "model")


def test_golden_rows_are_answered_as_a_reader_will_get_them(flights: pd.DataFrame, pipeline: Pipeline) -> None:
    golden = golden_of(pipeline, flights, Task.BINARY)

    read_back = pd.read_parquet(io.BytesIO(golden.file))
    questions = read_back[["distance", "carrier"]]
    again = np.ascontiguousarray(pipeline.predict_proba(questions)[:, 1])
    assert questions.isna().any(axis=None)
    assert read_back["prediction"].to_numpy().tobytes() == again.tobytes()
    assert golden.digest == model_digest(pipeline, questions)
    assert golden == golden_of(pipeline, flights, Task.BINARY)


def _predict_elsewhere(folder: Path) -> None:
    """In a Python that finds installed packages, but neither this repository nor its plug-ins."""
    code = f"""
import importlib.metadata, sys
repository = {str(Path(__file__).parents[2])!r}
sys.path = [entry for entry in sys.path if entry and entry != repository]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
rooms = {{"lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent"}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in rooms:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import mlflow, numpy, pandas
model = mlflow.pyfunc.load_model({str(folder / "model")!r})
answers = model.predict(pandas.read_parquet({str(folder / "questions.parquet")!r}))
assert not rooms & {{name.split(".")[0] for name in sys.modules}}
numpy.save({str(folder / "answers.npy")!r}, answers)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr


WITHOUT_INCUMBENT = """
import sys
from importlib.abc import MetaPathFinder

OURS = {"lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent"}

class Elsewhere(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Elsewhere())
import mlflow.pyfunc, numpy, pandas
answer = mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.read_parquet(sys.argv[2]))
numpy.save(sys.argv[3], numpy.asarray(answer))
print(sorted(OURS & {name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("kind", ["package", "delay_package"])
def test_a_model_predicts_the_same_bytes_where_incumbent_cannot_be_imported(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The same site-packages, in which our packages are not found: another machine may differ in its libraries."""
    package: ModelPackage = request.getfixturevalue(kind)
    save_model(package, tmp_path / "model")
    package.example.to_parquet(tmp_path / "rows.parquet")

    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_INCUMBENT, "model", "rows.parquet", "answer.npy"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
    asked = getattr(package.pipeline, PREDICT_FUNCTIONS[package.task])
    assert np.load(tmp_path / "answer.npy").tobytes() == asked(package.example).tobytes()
