"""Small models with signatures of many kinds, stored as users store them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, OrdinalEncoder

from mlflow_plugins.deployment.options import StoredModel
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.models import GOLDEN, MANIFEST, PLAN, ModelPackage, golden_of, save_model
from modeling.plan.registration import prove
from modeling.tasks import Task

ODDLY_NAMED = 'the "m" \\ m\n'


@dataclass(frozen=True)
class Small:
    """A stored model, and rows that fit its signature."""

    stored: StoredModel
    frame: pd.DataFrame


def flights(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    found = pd.DataFrame({
        "distance": rng.uniform(90, 5000, rows).round(3),
        "carrier": rng.choice(["UA", "B6", "Å\"\\é"], rows),
        "dep hour": rng.integers(0, 24, rows).astype(float),
    })  # fmt: skip
    found.loc[3, "distance"] = np.nan
    found.loc[5, "carrier"] = None
    return found


def late(folder: Path, version: int = 3, tier: Tier | None = None) -> Small:
    """Yes or no, by trees; doubles and a text, both with gaps."""
    frame = flights()
    known = (frame["distance"].fillna(0) + 900 * (frame["carrier"] == "B6") > 2500 - version).astype(float)
    trees = HistGradientBoostingClassifier(max_iter=3 + version, max_leaf_nodes=6, random_state=0)
    return _packaged(folder, make_pipeline(encoded(["carrier"], ["distance", "dep hour"]), trees), (frame, known), {
        "model": "late-flights", "version": version, "task": Task.BINARY, "tier": tier,
    })  # fmt: skip


def delay(folder: Path) -> Small:
    """A number, linear; a moment among the columns."""
    frame = flights().dropna().reset_index(drop=True)
    frame["scheduled"] = pd.Timestamp("2013-01-01T05:00:00") + pd.to_timedelta(frame.index % 5, unit="h")
    model = make_pipeline(encoded(["carrier", "scheduled"], ["distance"]), Ridge())
    return _packaged(folder, model, (frame, frame["distance"] / 100), {
        "model": "delay", "version": 1, "task": Task.REGRESSION, "tier": None,
    })  # fmt: skip


def distance(folder: Path) -> Small:
    """A number, linear, of doubles and a text: the last bits of an answer depend on how many rows are asked."""
    frame = flights().dropna().reset_index(drop=True)
    known = np.sqrt(frame["distance"])
    model = make_pipeline(encoded(["carrier"], ["distance", "dep hour"]), Ridge()).fit(frame, known)
    plan = prove(model, frame, Task.REGRESSION).plan_file()
    return _packaged(folder, model, (frame, known), {
        "model": "distance", "version": 1, "task": Task.REGRESSION, "tier": None, "files": {PLAN: plan},
    })  # fmt: skip


def squashed(folder: Path) -> Small:
    """Yes or no, linear and not to be compiled: rows decide about each other's last bits, which a sigmoid hides."""
    frame = flights().dropna()[["distance", "dep hour"]].reset_index(drop=True)
    known = (np.random.default_rng(0).random(len(frame)) < frame["distance"] / 5000).astype(float)
    return _packaged(folder, make_pipeline(Normalizer(), LogisticRegression()), (frame, known), {
        "model": "squashed", "version": 1, "task": Task.BINARY, "tier": None,
    })  # fmt: skip


def encoded(texts: list[str], numbers: list[str]) -> ColumnTransformer:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    return ColumnTransformer([("texts", encoder, texts), ("numbers", "passthrough", numbers)])


def _packaged(folder: Path, model: Any, data: tuple[pd.DataFrame, pd.Series], told: dict[str, Any]) -> Small:
    X, y = data
    task, files = told.pop("task"), told.pop("files", {})
    model.fit(X, y)
    golden = golden_of(model, X, task)
    save_model(ModelPackage(model, X, task, {MANIFEST: b"{}", GOLDEN: golden.file, **files}, ("scikit-learn",)), folder)
    return Small(StoredModel(**told, folder=str(folder), digest=golden.digest), X)


def every_kind(folder: Path) -> Small:
    """A model of another origin, with a column of each scalar type; it fails on some of its inputs."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    frame = pd.DataFrame({
        "d": [0.5, 1e-7, 3.25, 4.0, 5.5, 6.0, 7.0, 8.0], "f": np.arange(8, dtype=np.float32) / 3,
        "l": np.arange(8), "i": np.arange(8, dtype=np.int32), "b": [True, False] * 4,
        "s": list("abcdefgh"), "t": pd.date_range("2013-01-01", periods=8, freq="h"),
    })  # fmt: skip
    kinds = {"d": "double", "f": "float", "l": "long", "i": "integer", "b": "boolean", "s": "string", "t": "datetime"}
    mlflow.pyfunc.save_model(
        str(folder), python_model=Digest(), input_example=frame.head(3), pip_requirements=[],
        signature=ModelSignature(Schema([ColSpec(kind, name) for name, kind in kinds.items()])),
    )  # fmt: skip
    return Small(StoredModel(model="every-kind", version=1, folder=str(folder), digest=None, tier=Tier.TYPED), frame)


def frames_out(folder: Path) -> Small:
    """A model of another origin that answers a frame with text and numbers, for integers, one of them oddly named."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    frame = pd.DataFrame({"l": np.arange(9), ODDLY_NAMED: np.arange(9) * 3})
    mlflow.pyfunc.save_model(
        str(folder), python_model=Frames(), input_example=frame.head(3), pip_requirements=[],
        signature=ModelSignature(Schema([ColSpec("long", "l"), ColSpec("long", ODDLY_NAMED)])),
    )  # fmt: skip
    return Small(StoredModel(model="frames-out", version=1, folder=str(folder), digest=None, tier=Tier.TYPED), frame)


def centred(folder: Path) -> Small:
    """A model of another origin in which every row of a request decides about every answer."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    frame = pd.DataFrame({"d": [0.5, 1.25, 3.0, 7.5]})
    mlflow.pyfunc.save_model(
        str(folder), python_model=Centred(), input_example=frame, pip_requirements=[],
        signature=ModelSignature(Schema([ColSpec("double", "d")])),
    )  # fmt: skip
    return Small(StoredModel(model="centred", version=1, folder=str(folder), digest=None), frame)


def fickle(folder: Path) -> Small:
    """A model of another origin that fails where the third of its own rows comes first."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    frame = pd.DataFrame({"d": [0.5, 1.25, 3.0, 7.5]})
    mlflow.pyfunc.save_model(
        str(folder), python_model=Fickle(), input_example=frame, pip_requirements=[],
        signature=ModelSignature(Schema([ColSpec("double", "d")])),
    )  # fmt: skip
    return Small(StoredModel(model="fickle", version=1, folder=str(folder), digest=None), frame)


def filled(folder: Path) -> Small:
    """A model of another origin in which the other rows decide about a row that lacks a value, and no others."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    frame = pd.DataFrame({"d": [0.5, 1.25, 3.0, 7.5], "e": [1.0, 2.0, 3.0, 4.0]})
    mlflow.pyfunc.save_model(
        str(folder), python_model=Filled(), input_example=frame, pip_requirements=[],
        signature=ModelSignature(Schema([ColSpec("double", name) for name in frame.columns])),
    )  # fmt: skip
    return Small(StoredModel(model="filled", version=1, folder=str(folder), digest=None), frame)


def unusual(folder: Path) -> Small:
    """A model of another origin whose signature is a tensor: MLflow's code answers everything."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    mlflow.pyfunc.save_model(
        str(folder), python_model=Sums(), pip_requirements=[],
        signature=ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, 2))])),
    )  # fmt: skip
    return Small(StoredModel(model="unusual", version=1, folder=str(folder), digest=None), frame)


def _python_model() -> Any:
    from mlflow.pyfunc import PythonModel

    return PythonModel


class Digest(_python_model()):  # type: ignore[misc]
    """Answers numbers in which every cell counts; refuses a negative `l`."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        if (model_input["l"] < 0).any():
            raise ValueError(f"{model_input['l'].min()} is negative")
        numbers = model_input[["d", "f", "l", "i", "b"]].astype(float).sum(axis=1)
        texts = model_input["s"].map(lambda text: sum(map(ord, str(text))) / 7)
        moments = model_input["t"].map(lambda moment: moment.value % 1e6 if moment == moment else -1.0)
        return (numbers + texts + moments).to_numpy(dtype=float)


class Frames(_python_model()):  # type: ignore[misc]
    """Answers a frame."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        total = model_input["l"] + model_input[ODDLY_NAMED]
        return pd.DataFrame({"total": total, "half": total / 2, "told": total.map("{:d} minutes".format)})


class Centred(_python_model()):  # type: ignore[misc]
    """Answers how far each row is from the mean of the request."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        return (model_input["d"] - model_input["d"].mean()).to_numpy(dtype=float)


class Fickle(_python_model()):  # type: ignore[misc]
    """Answers what it is asked."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        if model_input["d"].iloc[0] == 3.0:
            raise ValueError("three comes third")
        return model_input["d"].to_numpy(dtype=float)


class Filled(_python_model()):  # type: ignore[misc]
    """Answers the sum of each row, with the mean of the request where it lacks a value."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        return model_input.fillna(model_input.mean()).sum(axis=1).to_numpy(dtype=float)


class Sums(_python_model()):  # type: ignore[misc]
    """Answers sums of rows."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return np.asarray(model_input).sum(axis=1)
