"""One MLflow run that is being logged: parameters, metrics, files, data and the model."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_plugins.answers import answers
from mlflow_plugins.connection import Connection
from mlflow_plugins.dataset_source import SOURCE_TYPE, LakeDatasetSource
from mlflow_plugins.models import MODEL_SCHEME, ModelPackage, column_schema, log_model

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Metric

_OTHERS = re.compile(r"[^\w.\-: ]")  # what MLflow refuses in the name of a metric, and the slash it takes for a folder
_LONGEST_NAME = 200

T = TypeVar("T")
_BATCH = 100  # parameters or tags that MLflow takes in one call; of metrics it takes 1000
_DIGEST_LENGTH = 36  # of the column MLflow keeps a dataset's digest in


def metric_name(text: str) -> str:
    """A name that MLflow takes, for a metric of a column called as people call columns; others stay different.

    >>> metric_name("drift.wind_speed"), metric_name("drift.price (€)")
    ('drift.wind_speed', 'drift.price ___ 09cd')
    """
    name = _OTHERS.sub("_", text)[:_LONGEST_NAME]
    return name if name == text else f"{name} {hashlib.sha256(text.encode()).hexdigest()[:4]}"


class MlflowRun:
    """A run that is being logged. Fits `lifecycle.ports.TrackedRun`.

    Args:
        once_per_step: leave out a metric whose step is logged already.
    """

    def __init__(self, connection: Connection, run_id: str, *, once_per_step: bool = False) -> None:
        self._connection = connection
        self._run_id = run_id
        self._once_per_step = once_per_step
        self._model_id: str | None = None

    @property
    def run_id(self) -> str:
        """MLflow's id of this run."""
        return self._run_id

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters, as text."""
        from mlflow.entities import Param

        for batch in _batches([Param(key, str(value)) for key, value in values.items()], _BATCH):
            self._log(params=batch)

    def metrics(self, values: Mapping[str, float], *, step: int = 0, at: datetime | None = None) -> None:
        """Log metrics at a step; `at` is the logical time they belong to, the wall clock when left out.

        Once a model is logged, they are the model's as well and show on its page.
        """
        from mlflow.entities import Metric

        millis = int((time.time() if at is None else at.timestamp()) * 1000)
        found = [
            Metric(metric_name(key), float(value), millis, step, model_id=self._model_id)
            for key, value in values.items()
        ]
        new = self._not_logged_at(step, found) if self._once_per_step else found
        for batch in _batches(new, _BATCH):
            self._log(metrics=batch)

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        for batch in _batches([RunTag(key, str(value)) for key, value in values.items()], _BATCH):
            self._log(tags=batch)

    def text(self, content: str, path: str) -> None:
        """Store text as an artifact."""
        with answers(self._connection.tracking_uri):
            self._connection.client.log_text(self._run_id, content, path)

    def figure(self, figure: Any, path: str) -> None:
        """Store a Matplotlib or Plotly figure as an artifact; the ending of the path chooses the format."""
        with answers(self._connection.tracking_uri):
            self._connection.client.log_figure(self._run_id, figure, path)

    def file(self, local: Path, folder: str = "") -> None:
        """Store a file as an artifact."""
        with answers(self._connection.tracking_uri):
            self._connection.client.log_artifact(self._run_id, str(local), folder or None)

    def dataset(self, name: str, frame: pd.DataFrame, source: LakeDatasetSource, context: str) -> None:
        """Link the rows this run is about, by recipe and content hash; the rows themselves are not stored.

        Args:
            frame: any rows of it; only the names and types of its columns are kept.
            context: what they are for, `training`, `evaluation` or `scoring`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        columns = json.dumps({"mlflow_colspec": column_schema(frame).to_dict()})
        profile = json.dumps({"num_rows": source.rows, "num_elements": source.rows * len(frame.columns)})
        digest = source.content_hash[:_DIGEST_LENGTH]
        dataset = Dataset(name, digest, SOURCE_TYPE, source.to_json(), schema=columns, profile=profile)
        linked = DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])
        with answers(self._connection.tracking_uri):
            self._connection.client.log_inputs(self._run_id, datasets=[linked])

    def model(self, package: ModelPackage, name: str = "model") -> str:
        """Log a model, and return the `models:/m-...` address to register it from.

        Raises:
            ModelNotStorableError: the pipeline holds a type that is not allowed.
        """
        source = log_model(self._connection, self._run_id, package, name)
        self._model_id = source.removeprefix(MODEL_SCHEME)
        return source

    def _log(self, **batch: Any) -> None:
        with answers(self._connection.tracking_uri):
            self._connection.client.log_batch(self._run_id, **batch)

    def _not_logged_at(self, step: int, metrics: list[Metric]) -> list[Metric]:
        """Windows come in order, so the newest step of each metric answers nearly always."""
        client = self._connection.client
        with answers(self._connection.tracking_uri):
            newest = {metric.key: metric.step for metric in client.get_run(self._run_id).data._metric_objs}
            return [
                metric
                for metric in metrics
                if newest.get(metric.key, step - 1) < step
                or all(old.step != step for old in client.get_metric_history(self._run_id, metric.key))
            ]


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
