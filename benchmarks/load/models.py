"""The models that are served: the described one, and two that no plan can be made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlflow_plugins.deployment.options import StoredModel
from mlflow_plugins.deployment.served import Tier
from mlflow_plugins.models import GOLDEN, MANIFEST, Golden, ModelPackage, golden_of, save_model
from modeling.tasks import Task

ROWS = 4000
NUMBERS = [f"x{place}" for place in range(20)]
TEXTS = ["c0", "c1"]
MODELS = ("described", "forest", "binned")


@dataclass(frozen=True, slots=True)
class Stored:
    """A model on disk, and the bodies of its requests by number of rows."""

    folder: Path
    digest: str
    bodies: dict[int, bytes]

    def at(self, tier: Tier) -> StoredModel:
        """As it is served at a tier."""
        return StoredModel(model="bench", version=1, folder=str(self.folder), digest=self.digest, tier=tier)


def questions() -> tuple[pd.DataFrame, np.ndarray]:
    """20 numeric columns, a few values of them missing, and 2 categorical ones."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(ROWS, len(NUMBERS))), columns=NUMBERS)
    X = X.mask(rng.random(X.shape) < 0.02)
    X["c0"], X["c1"] = rng.choice(list("abcdefgh"), ROWS), rng.choice(["north", "south", "east", "west"], ROWS)
    score = X[NUMBERS[:6]].fillna(0).sum(axis=1) + (X["c0"] == "a") * 2 - (X["c1"] == "east") + rng.normal(size=ROWS)
    return X, (score > 0).to_numpy(dtype=float)


def store(name: str, folder: Path) -> Stored:
    """Fit and store one of the models."""
    package, golden = packaged(name)
    save_model(package, folder)
    return Stored(folder, golden.digest, bodies())


def bodies() -> dict[int, bytes]:
    """Requests by number of rows."""
    rows = questions()[0].dropna()
    return {count: _body(rows.head(count)) for count in (1, 100)}


def packaged(name: str, iterations: int = 200) -> tuple[ModelPackage, Golden]:
    """Fit one of the models."""
    X, y = questions()
    with threadpool_limits(1):  # two threads that wait for each other on busy cores take many times as long
        pipeline = make_pipeline(_prepared(name), _estimator(name, iterations)).fit(X, y)
    golden = golden_of(pipeline, X, Task.BINARY)
    files: dict[str, bytes | Path] = {MANIFEST: b"{}", GOLDEN: golden.file}
    return ModelPackage(pipeline, X, Task.BINARY, files, ("scikit-learn",)), golden


def _prepared(name: str) -> ColumnTransformer:
    numbers: list[Any] = [SimpleImputer(), StandardScaler()]
    if name == "binned":
        numbers.append(KBinsDiscretizer(8, encode="ordinal", quantile_method="averaged_inverted_cdf"))
    return ColumnTransformer([
        ("numbers", make_pipeline(*numbers), NUMBERS),
        ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS),
    ])  # fmt: skip


def _estimator(name: str, iterations: int) -> Any:
    if name == "forest":
        return RandomForestClassifier(100, min_samples_leaf=5, random_state=0, n_jobs=1)
    return HistGradientBoostingClassifier(max_iter=iterations, random_state=0)


def _body(rows: pd.DataFrame) -> bytes:
    return json.dumps({"dataframe_split": {"columns": list(rows.columns), "data": rows.to_numpy().tolist()}}).encode()
