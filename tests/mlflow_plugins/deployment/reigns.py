"""A registered model with several versions, and a ledger that makes one of them champion after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from small_models import encoded, flights

from lifecycle.decisions import Epoch
from lifecycle.ports import Alias
from mlflow_plugins.connection import Connection
from mlflow_plugins.deployment.options import Following, ServerOptions, StoredModel
from mlflow_plugins.ledger import SqlLedger
from mlflow_plugins.models import GOLDEN, MANIFEST, ModelPackage, golden_of
from mlflow_plugins.registry import DIGEST_TAG, KEY_TAG, MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker
from modeling.tasks import Task

NOON = datetime(2013, 1, 8, 12, tzinfo=UTC)


@dataclass
class Reigns:
    """Versions of one model, by number, and what each of them answers."""

    connection: Connection
    folder: Path
    model: str = "late-flights"
    pipelines: dict[int, Pipeline] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.registry = MlflowRegistry(self.connection, self.folder / "downloads")
        self.ledger = SqlLedger(self.ledger_url)

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"

    def register(self, trees: int, frame: pd.DataFrame | None = None) -> int:
        """Make a version of so many trees; its answers differ from those of others."""
        X = flights() if frame is None else frame
        late = (X["distance"].fillna(0) > 2500).astype(float)
        model = HistGradientBoostingClassifier(max_iter=trees, max_leaf_nodes=6, random_state=0)
        texts = [name for name in X.columns if X[name].dtype == object]
        pipeline = make_pipeline(encoded(texts, [name for name in X.columns if name not in texts]), model).fit(X, late)
        golden = golden_of(pipeline, X, Task.BINARY)
        package = ModelPackage(pipeline, X, Task.BINARY, {MANIFEST: b"{}", GOLDEN: golden.file}, ("scikit-learn",))
        with MlflowTracker(self.connection).run(self.model, "train") as run:
            tags = {KEY_TAG: f"{trees} trees of {list(X.columns)}", DIGEST_TAG: golden.digest}
            made = self.registry.register(self.model, source=run.model(package), run_id=run.run_id, tags=tags)
        self.pipelines[made.version], self.digests[made.version] = pipeline, golden.digest
        return made.version

    def promote(self, version: int) -> int:
        """Let the ledger say that this version reigns; the number of the epoch."""
        epochs = self.ledger.epochs(self.model)
        number = len(epochs) + 1
        return self.ledger.advance(
            Epoch(self.model, number, version, self.digests[version], f"decision {number}", NOON)
        ).epoch

    def challenge(self, version: int) -> None:
        """Point the alias at this version."""
        self.registry.point(self.model, Alias.CHALLENGER, at=version, tags={})

    def corrupt(self, version: int) -> None:
        """Alter a byte of the stored model, as a bad disk would."""
        path = self.registry.artifact(self.model, version) / "model.skops"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    def options(self, version: int, epoch: int, **more: object) -> ServerOptions:
        """A server that begins with this version and follows the ledger."""
        following = Following(
            ledger_url=self.ledger_url,
            tracking_uri=self.connection.tracking_uri,
            artifacts=str(self.connection.artifacts),
            downloads=str(self.folder / "downloads"),
            poll=0.1,
        )
        stored = StoredModel(
            model=self.model,
            version=version,
            folder=str(self.registry.artifact(self.model, version)),
            digest=self.digests[version],
            epoch=epoch,
            follows=True,
            contents=self.registry.contents(self.model, version),
        )
        return ServerOptions(models=(stored,), following=following, **more)  # type: ignore[arg-type]  # as the test says

    def predictions(self, version: int, rows: pd.DataFrame) -> list[list[float]]:
        """What the pipeline of a version answers."""
        found: np.ndarray = self.pipelines[version].predict_proba(rows)
        return found.tolist()
