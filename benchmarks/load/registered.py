"""The described model as registered versions, with a ledger that makes one after the other champion."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel

from benchmarks.load.models import packaged, questions
from lifecycle.decisions import Epoch
from lifecycle.ports import Alias
from mlflow_plugins.connection import connect_embedded
from mlflow_plugins.deployment.options import Following, ServerOptions, StoredModel
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.ledger import SqlLedger
from mlflow_plugins.models import PLAN, column_schema
from mlflow_plugins.registry import DIGEST_TAG, KEY_TAG, MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker
from modeling.plan.compile import compile_plan
from modeling.plan.plan import Plan
from modeling.plan.storage import to_bytes
from modeling.tasks import Task

MODEL = "described"
NOON = datetime(2013, 1, 8, 12, tzinfo=UTC)
SLOW_SECONDS = 2.0


class Slow(PythonModel):
    """Computes for two seconds, in Python and without a pause, before it answers."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """A half for each row."""
        until = time.thread_time() + SLOW_SECONDS
        while time.thread_time() < until:
            sum(range(1000))
        return np.full((len(model_input), 2), 0.5)


class Registered:
    """Versions in an MLflow of its own, and their reigns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection = connect_embedded(folder / "mlflow")
        self._registry = MlflowRegistry(self._connection, folder / "downloads")
        self._url = f"sqlite:///{folder / 'ledger.db'}"
        self._ledger = SqlLedger(self._url)
        self._digests: dict[int, str] = {}

    def register(self, iterations: int) -> int:
        """Fit, compile and register a version."""
        package, golden = packaged(MODEL, iterations)
        names = list(package.example.columns)
        kinds = ["text" if package.example[name].dtype == object else "number" for name in names]
        plan = compile_plan(package.pipeline, Task.BINARY, names, kinds)  # type: ignore[arg-type]  # both are kinds
        assert isinstance(plan, Plan), plan
        package = replace(package, files={**package.files, PLAN: to_bytes(plan)})
        with MlflowTracker(self._connection).run(MODEL, "train") as run:
            tags = {KEY_TAG: str(iterations), DIGEST_TAG: golden.digest}
            made = self._registry.register(MODEL, source=run.model(package), run_id=run.run_id, tags=tags)
        self._digests[made.version] = golden.digest
        return made.version

    def register_slow(self) -> int:
        """Register the version that takes two seconds; MLflow's own code stores and loads it."""
        import mlflow

        self._connection.use()
        with MlflowTracker(self._connection).run(MODEL, "slow"):
            logged = mlflow.pyfunc.log_model(
                name="slow", python_model=Slow(), pip_requirements=[],
                signature=ModelSignature(column_schema(questions()[0])), registered_model_name=MODEL,
            )  # fmt: skip
        return int(logged.registered_model_version)

    def corrupt(self, version: int) -> None:
        """Alter a byte of the stored model."""
        path = self._registry.artifact(MODEL, version) / "model.skops"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    def promote(self, version: int) -> tuple[int, float]:
        """The next epoch, and when it was recorded (seconds since 1970)."""
        number = len(self._ledger.epochs(MODEL)) + 1
        self._ledger.advance(Epoch(MODEL, number, version, self._digests[version], f"decision {number}", NOON))
        return number, time.time()

    def challenge(self, version: int) -> None:
        """Point the alias at this version."""
        self._registry.point(MODEL, Alias.CHALLENGER, at=version, tags={})

    def options(self, version: int, *, tier: Tier | None = None, **more: Any) -> ServerOptions:
        """A server that begins with this version, which is made champion, and follows the ledger."""
        epoch, _ = self.promote(version)
        following = Following(
            ledger_url=self._url,
            tracking_uri=self._connection.tracking_uri,
            artifacts=str(self._connection.artifacts),
            downloads=str(self._folder / "downloads"),
            foreign=True,
        )
        stored = StoredModel(
            model=MODEL,
            version=version,
            folder=str(self._registry.artifact(MODEL, version)),
            digest=self._digests[version],
            epoch=epoch,
            tier=tier,
            follows=True,
            contents=self._registry.contents(MODEL, version),
        )
        return ServerOptions(models=(stored,), following=following, **more)
