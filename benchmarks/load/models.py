"""The models that are served: the described one, a forest, and one with a transformer of the user's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlflow_plugins.deployment.encoding import encode
from mlflow_plugins.deployment.options import StoredModel
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.models import GOLDEN, MANIFEST, Golden, ModelPackage, golden_of, save_model
from modeling.export import ALLOWED_TYPES
from modeling.tasks import Task

ROWS = 4000
NUMBERS = [f"x{place}" for place in range(20)]
TEXTS = ["c0", "c1"]
MODELS = ("described", "forest", "custom")


@dataclass(frozen=True, slots=True)
class Stored:
    """A model on disk; by number of rows the bodies of its requests, and how many bytes their answers have."""

    folder: Path
    digest: str
    bodies: dict[int, bytes]
    answers: dict[int, int]

    def at(self, tier: Tier) -> StoredModel:
        """As it is served at a tier."""
        return StoredModel(
            model="bench",
            version=1,
            folder=str(self.folder),
            digest=self.digest,
            tier=tier,
            trusted_types=OWN_TYPES,
        )


class Winsorized(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers cut off at quantiles: a step that no plan knows, as users write them."""

    def __init__(self, tail: float = 0.01) -> None:
        self.tail = tail

    def fit(self, X: Any, y: Any = None) -> Winsorized:
        """Learn the quantiles."""
        self.low_, self.high_ = np.nanquantile(X, [self.tail, 1 - self.tail], axis=0)
        return self

    def transform(self, X: Any) -> Any:
        """Cut off."""
        return np.clip(X, self.low_, self.high_)


OWN_TYPES = ("benchmarks.load.models.Winsorized",)


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
    rows = questions()[0].dropna()
    answers = {count: len(encode(package.pipeline.predict_proba(rows.head(count)))) for count in (1, 100)}
    return Stored(folder, golden.digest, bodies(), answers)


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
    return ModelPackage(pipeline, X, Task.BINARY, files, ("scikit-learn",), {*ALLOWED_TYPES, *OWN_TYPES}), golden


def _prepared(name: str) -> ColumnTransformer:
    numbers: list[Any] = [SimpleImputer(), StandardScaler()]
    if name == "custom":
        numbers.append(Winsorized())
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
