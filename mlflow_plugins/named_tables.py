"""The table versions that something in MLflow names: what a vacuum of the lake must keep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlflow_plugins.answers import answers
from mlflow_plugins.connection import Connection
from mlflow_plugins.dataset_source import SOURCE_TYPE, LakeDatasetSource
from mlflow_plugins.models import MANIFEST
from mlflow_plugins.registry import KEY_TAG, MlflowRegistry

if TYPE_CHECKING:
    from mlflow.entities import Run

_PAGE = 1000


def named_versions(connection: Connection, registry: MlflowRegistry, lake: str) -> dict[str, set[int]]:
    """For each table of a lake the versions that a logged dataset or a registered version was made of.

    Runs that were deleted in MLflow count, since MLflow can bring them back. Where a version's run is gone for good,
    its manifest is asked; that tells no lake, so its tables are kept here.

    Args:
        lake: root of the lake; datasets of another one are left out.

    Raises:
        UnreachableError: MLflow does not answer.
        IntegrityError: a registered version has lost its artifact, so that nobody can say what it names.
    """
    found: dict[str, set[int]] = {}
    seen = set()
    for run in _runs(connection):
        seen.add(run.info.run_id)
        for source in _sources(run):
            if source.lake.rstrip("/") == lake.rstrip("/"):
                _add(found, source.table_versions)
    with answers(connection.tracking_uri):
        models = [model.name for model in connection.client.search_registered_models(max_results=_PAGE)]
    for name in models:
        for version in registry.versions(name):
            if KEY_TAG in version.tags and version.run_id not in seen:
                manifest = json.loads((registry.artifact(name, version.version) / MANIFEST).read_text())
                _add(found, manifest["data"]["tables"])
    return found


def _add(found: dict[str, set[int]], tables: Mapping[str, int]) -> None:
    for table, version in tables.items():
        found.setdefault(table, set()).add(int(version))


def _sources(run: Run) -> Iterator[LakeDatasetSource]:
    for logged in run.inputs.dataset_inputs if run.inputs else ():
        if logged.dataset.source_type == SOURCE_TYPE:
            yield LakeDatasetSource.from_json(logged.dataset.source)


def _runs(connection: Connection) -> Iterator[Run]:
    """Every run of every experiment, deleted ones too."""
    from mlflow.entities import ViewType

    client = connection.client
    with answers(connection.tracking_uri):
        experiments = [one.experiment_id for one in client.search_experiments(ViewType.ALL, max_results=_PAGE)]
        token: str | None = None
        while experiments:
            page = client.search_runs(experiments, "", ViewType.ALL, _PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return
