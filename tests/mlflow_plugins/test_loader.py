"""A model that is not what was recorded is never used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lifecycle.errors import IntegrityError
from mlflow_plugins.connection import Connection
from mlflow_plugins.loader import load
from mlflow_plugins.models import CONTENTS, GOLDEN, MANIFEST, ModelPackage, digests_in, golden_of, save_model
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker
from modeling.errors import UntrustedTypeError
from modeling.tasks import Task


@pytest.fixture(scope="session")
def stored(package: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "model"
    save_model(package, folder)
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A copy of a stored model, to be tampered with."""
    return Path(shutil.copytree(stored, tmp_path / "model"))


@pytest.fixture(scope="session")
def digest(pipeline: Pipeline, flights: pd.DataFrame) -> str:
    return golden_of(pipeline, flights, Task.BINARY).digest


def test_a_model_answers_with_the_probability_of_yes(
    folder: Path, digest: str, pipeline: Pipeline, flights: pd.DataFrame
) -> None:
    model = load(folder, expected_digest=digest)

    shuffled = flights[["carrier", "distance"]]
    assert model.predict(shuffled).tobytes() == np.ascontiguousarray(pipeline.predict_proba(flights)[:, 1]).tobytes()
    assert (model.columns, model.kinds) == (("distance", "carrier"), ("double", "string"))
    assert model.manifest == {"model": "late-flights"}
    assert (model.task, model.digest) == (Task.BINARY, digest)


def test_a_regression_answers_with_the_value(delay_package: ModelPackage, tmp_path: Path) -> None:
    save_model(delay_package, tmp_path / "model")
    expected = golden_of(delay_package.pipeline, delay_package.example, Task.REGRESSION).digest

    model = load(tmp_path / "model", expected_digest=expected)

    answers = model.predict(delay_package.example)
    assert answers.tobytes() == delay_package.pipeline.predict(delay_package.example).tobytes()


def test_a_registered_version_is_loaded_wherever_it_lies(
    mlflow_at: Connection, name: str, package: ModelPackage, digest: str, tmp_path: Path
) -> None:
    registry = MlflowRegistry(mlflow_at, tmp_path / "cache")
    with MlflowTracker(mlflow_at).run(name, "train") as run:
        made = registry.register(
            name, source=run.model(package), run_id=run.run_id, tags={"incumbent.key": "k", "incumbent.digest": digest}
        )

    model = load(registry.artifact(name, made.version), expected_digest=made.digest)

    assert model.digest == digest


def test_what_mlflow_adds_on_downloading_by_name_does_no_harm(folder: Path, digest: str) -> None:
    (folder / "registered_model_meta").write_text("model_name: late-flights\n")

    assert load(folder, expected_digest=digest).digest == digest


def test_another_model_than_the_ledger_names_is_refused(folder: Path, digest: str) -> None:
    with pytest.raises(IntegrityError, match=rf"Digest of the model in .*: expected {'0' * 64}, found {digest}"):
        load(folder, expected_digest="0" * 64)


@pytest.mark.parametrize("name", ["model.skops", "MLmodel", GOLDEN, MANIFEST, "requirements.txt"])
def test_a_flipped_bit_is_noticed(folder: Path, digest: str, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(IntegrityError, match=f"File '{name}' in"):
        load(folder, expected_digest=digest)


def test_a_truncated_model_is_noticed(folder: Path, digest: str) -> None:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:-1])
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match="a model that can be read"):
        load(folder, expected_digest=digest)


@pytest.mark.parametrize("name", ["model.skops", "MLmodel", GOLDEN, MANIFEST, CONTENTS])
def test_a_missing_file_is_noticed(folder: Path, digest: str, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(IntegrityError, match=r"expected .*, found (no such file|none)"):
        load(folder, expected_digest=digest)


def test_an_added_file_is_noticed(folder: Path, digest: str) -> None:
    (folder / "extra").mkdir()
    (folder / "extra" / "surprise.py").write_text("raise SystemExit")

    with pytest.raises(IntegrityError, match=r"expected no such file, found extra/surprise.py, which no model has"):
        load(folder, expected_digest=digest)


def test_an_added_file_of_data_is_noticed_too(folder: Path, digest: str) -> None:
    (folder / "surprise.json").write_text("{}")

    with pytest.raises(IntegrityError, match=r"'surprise.json' in .*: expected no such file"):
        load(folder, expected_digest=digest)


@pytest.mark.parametrize("name", ["model.pkl", "python_model.cloudpickle", "old.joblib", "MODEL.PICKLE"])
def test_a_pickle_is_refused_also_where_it_was_recorded(folder: Path, digest: str, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04.")
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match=rf"expected no pickle, found {name}"):
        load(folder, expected_digest=digest)


def flavor(name: str, field: str, value: object) -> Callable[[dict[str, dict[str, dict[str, object]]]], None]:
    def edit(described: dict[str, dict[str, dict[str, object]]]) -> None:
        described["flavors"].setdefault(name, {})[field] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (flavor("python_function", "loader_module", "os"), "'loader_module' in"),
        (flavor("python_function", "model_path", "../../elsewhere"), "'model_path' in"),
        (flavor("python_function", "code", "code"), "'code' in"),
        (flavor("python_function", "predict_fn", "__init__"), "predict_fn: expected one of"),
        (flavor("sklearn", "serialization_format", "cloudpickle"), "'serialization_format' in"),
        (flavor("sklearn", "pickled_model", "model.bin"), "'pickled_model' in"),
        (flavor("sklearn", "code", "code"), "'code' in"),
        (flavor("pytorch", "data", "data"), "'flavors' in"),
    ],
)
def test_an_mlmodel_that_asks_for_anything_else_is_refused(
    folder: Path, digest: str, edit: Callable[[dict[str, object]], None], found: str
) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    edit(described)
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match=found):
        load(folder, expected_digest=digest)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['touch {marker}']", "[1, 2", "just text", ""])
def test_an_mlmodel_that_is_no_description_is_refused_and_runs_nothing(
    folder: Path, digest: str, text: str, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    (folder / "MLmodel").write_text(text.replace("{marker}", str(marker)))
    recorded_anew(folder)

    with pytest.raises(IntegrityError):
        load(folder, expected_digest=digest)

    assert not marker.exists()


def test_a_model_cannot_vouch_for_its_own_types(folder: Path, digest: str, tmp_path: Path) -> None:
    """MLflow would load this: it trusts the types that MLmodel lists."""
    marker = tmp_path / "ran"
    skops.io.dump(make_pipeline(FunctionTransformer(Path.touch)), folder / "model.skops")
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"]["skops_trusted_types"] = ["pathlib.Path.touch"]
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    recorded_anew(folder)

    with pytest.raises(UntrustedTypeError, match="trusted_types"):
        load(folder, expected_digest=digest)

    assert not marker.exists()


def test_the_operator_may_vouch_for_a_type(package: ModelPackage, flights: pd.DataFrame, tmp_path: Path) -> None:
    halved = make_pipeline(FunctionTransformer(np.nan_to_num), HistGradientBoostingClassifier(max_iter=3))
    numbers = flights[["distance"]]
    halved.fit(numbers, flights["distance"].fillna(0) > 2500)
    golden = golden_of(halved, numbers, Task.BINARY)
    files = {MANIFEST: b"{}", GOLDEN: golden.file}
    trusted = [*package.trusted_types, "numpy.nan_to_num"]
    save_model(
        replace(package, pipeline=halved, example=numbers, files=files, trusted_types=trusted), tmp_path / "model"
    )

    with pytest.raises(UntrustedTypeError):
        load(tmp_path / "model", expected_digest=golden.digest)

    model = load(tmp_path / "model", expected_digest=golden.digest, extra_types=["numpy.nan_to_num"])
    assert model.digest == golden.digest


def test_a_golden_row_that_comes_out_otherwise_is_refused(folder: Path, digest: str) -> None:
    golden = pd.read_parquet(folder / GOLDEN)
    golden.loc[4, "prediction"] = np.nextafter(golden.loc[4, "prediction"], 1)
    golden.to_parquet(folder / GOLDEN, index=False)
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match="Golden row 4 in"):
        load(folder, expected_digest=digest)


@pytest.mark.parametrize("content", [b"not Parquet", pd.DataFrame({"a": [1.0]}).to_parquet()])
def test_golden_rows_of_something_else_are_refused(folder: Path, digest: str, content: bytes) -> None:
    (folder / GOLDEN).write_bytes(content)
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match=r"golden.parquet: expected"):
        load(folder, expected_digest=digest)


@pytest.mark.parametrize("signature", [None, {"inputs": "not json"}, {"inputs": '[{"type": "double"}]'}, "text"])
def test_a_model_without_named_columns_is_refused(folder: Path, digest: str, signature: object) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / "MLmodel").write_text(yaml.safe_dump({**described, "signature": signature}))
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match="signature: expected named columns"):
        load(folder, expected_digest=digest)


def test_a_model_without_golden_rows_is_refused(package: ModelPackage, tmp_path: Path) -> None:
    none = package.example.head(0).assign(prediction=0.0)
    save_model(replace(package, files={**package.files, GOLDEN: none.to_parquet(index=False)}), tmp_path / "model")

    with pytest.raises(IntegrityError, match=r"expected rows of .*, found 0 rows"):
        load(tmp_path / "model", expected_digest="whatever")


@pytest.mark.parametrize("content", ["[]", "not json", '"text"'])
def test_a_manifest_that_is_no_object_is_refused(folder: Path, digest: str, content: str) -> None:
    (folder / MANIFEST).write_text(content)
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match="a JSON object"):
        load(folder, expected_digest=digest)


def recorded_anew(folder: Path) -> None:
    """What somebody who may write the folder would do as well."""
    (folder / CONTENTS).write_text(json.dumps(digests_in(folder)))
