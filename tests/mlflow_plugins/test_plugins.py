"""The entry points: each loads, does all that its interface asks for, and MLflow has nothing to warn of."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import mlflow
import pandas as pd
import pytest
from mlflow.data.dataset_source import DatasetSource
from mlflow.deployments import BaseDeploymentClient, get_deploy_client
from mlflow.deployments.interface import plugin_store
from mlflow.tracking.context.abstract_context import RunContextProvider
from mlflow.tracking.context.registry import resolve_tags

from lifecycle.run_tags import AS_OF, FLOW_RUN_ID, tagged
from mlflow_plugins.connection import Connection
from mlflow_plugins.dataset_source import LakeDatasetSource, packed, store_options, unpacked
from mlflow_plugins.deployment import client
from mlflow_plugins.errors import DatasetNotStoredError
from mlflow_plugins.run_context import IncumbentRunContext
from mlflow_plugins.tracking import MlflowTracker

SOURCE = LakeDatasetSource(
    lake="s3://team/lake",
    table_versions={"flights": 12, "weather": 3},
    views="sha256:views",
    as_of="2013-03-01T00:00:00Z",
    rows=50_000,
    content_hash="a" * 64,
)


@pytest.mark.parametrize(
    ("group", "interface", "plugin"),
    [
        ("mlflow.run_context_provider", RunContextProvider, IncumbentRunContext),
        ("mlflow.dataset_source", DatasetSource, LakeDatasetSource),
    ],
)
def test_an_entry_point_loads_and_does_all_that_its_interface_asks_for(
    group: str, interface: type, plugin: type
) -> None:
    (declared,) = [each for each in entry_points(group=group) if each.name == "incumbent"]

    assert declared.load() is plugin
    for name, method in public_or_abstract(interface):
        ours = getattr(plugin, name)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(method).parameters), name


def test_the_deployments_plugin_has_what_mlflow_looks_for() -> None:
    (declared,) = [each for each in entry_points(group="mlflow.deployments") if each.name == "incumbent"]

    plugin = plugin_store["incumbent"]

    assert declared.load() is plugin is client
    assert isinstance(get_deploy_client("incumbent"), client.IncumbentDeploymentClient)
    for name, method in inspect.getmembers(BaseDeploymentClient, inspect.isfunction):
        if hasattr(method, "__isabstractmethod__"):
            ours = getattr(client.IncumbentDeploymentClient, name)
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(method).parameters), name
    assert list(inspect.signature(client.run_local).parameters) == ["name", "model_uri", "flavor", "config"]
    assert all(f"-C {key}=" in client.target_help() for key in client.KEYS)


@pytest.mark.parametrize("first", ["mlflow", "mlflow_plugins.run_context", "mlflow_plugins.dataset_source"])
def test_mlflow_has_nothing_to_warn_of_whichever_is_imported_first(first: str) -> None:
    code = f"""
import importlib, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    importlib.import_module({first!r})
    import mlflow
    from mlflow.data.dataset_source_registry import get_registered_sources
    from mlflow.tracking.context.registry import _run_context_provider_registry as providers
print([str(each.message) for each in caught if "incumbent" in str(each.message).lower()])
print(sum(type(each).__name__ == "IncumbentRunContext" for each in providers))
print(sum(each.__name__ == "LakeDatasetSource" for each in get_registered_sources()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["[]", "1", "1"], done.stderr


def test_the_plugins_are_light() -> None:
    code = "import sys; import mlflow_plugins.run_context, mlflow_plugins.dataset_source; print(sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    heavy = {"mlflow", "prefect", "pandas", "polars", "numpy", "sqlalchemy", "sklearn"}
    assert not heavy & set(json.loads(loaded.replace("'", '"')))


def test_outside_of_a_step_there_is_no_context() -> None:
    context = IncumbentRunContext()

    assert (context.in_context(), context.tags()) == (False, {})


def test_inside_a_step_its_tags_reach_every_run(embedded: Connection) -> None:
    with tagged({FLOW_RUN_ID: "flow-7"}), tagged({AS_OF: "2013-03-01T00:00:00Z"}):
        assert IncumbentRunContext().in_context()
        assert resolve_tags({}).items() >= {FLOW_RUN_ID: "flow-7", AS_OF: "2013-03-01T00:00:00Z"}.items()
        # What a person starts by hand carries them too.
        embedded.use()
        mlflow.set_experiment(experiment_id=embedded.client.create_experiment("by hand"))
        with mlflow.start_run() as run:
            pass

    assert embedded.client.get_run(run.info.run_id).data.tags[FLOW_RUN_ID] == "flow-7"


def test_a_logged_dataset_leads_back_to_the_lake(mlflow_at: Connection, name: str, flights: pd.DataFrame) -> None:
    with MlflowTracker(mlflow_at).run(name, "train") as run:
        run.dataset("late-flights training", flights, SOURCE, "training")

    (logged,) = mlflow_at.client.get_run(run.run_id).inputs.dataset_inputs
    assert mlflow.data.get_source(logged) == SOURCE
    assert (logged.dataset.name, logged.dataset.digest) == ("late-flights training", "a" * 36)
    assert json.loads(logged.dataset.profile)["num_rows"] == 50_000
    assert [tag.value for tag in logged.tags] == ["training"]
    columns = json.loads(logged.dataset.schema)["mlflow_colspec"]
    assert [(column["name"], column["type"]) for column in columns] == [("distance", "double"), ("carrier", "string")]


def test_a_person_can_name_the_lake_as_the_source_of_a_frame(flights: pd.DataFrame) -> None:
    dataset = mlflow.data.from_pandas(flights, source=SOURCE, name="mine")

    assert dataset.source == SOURCE


@pytest.mark.parametrize("there_and_back", [lambda s: s.from_dict(s.to_dict()), lambda s: s.from_json(s.to_json())])
def test_a_source_comes_back_as_it_was(there_and_back: Callable[[LakeDatasetSource], LakeDatasetSource]) -> None:
    assert there_and_back(SOURCE) == SOURCE


def test_a_source_without_a_definition_cannot_make_its_rows_again() -> None:
    with pytest.raises(DatasetNotStoredError, match="Train again: newer runs keep it"):
        SOURCE.load()


def test_a_source_that_an_earlier_release_logged_is_still_read() -> None:
    earlier = {name: value for name, value in SOURCE.to_dict().items() if name != "definition"}

    assert LakeDatasetSource.from_dict(earlier) == SOURCE


def test_a_lake_in_a_bucket_is_reached_by_the_variables_of_the_settings() -> None:
    variables = {
        "INCUMBENT_LAKE__OPTIONS": '{"aws_region": "x", "aws_endpoint_url": "http://127.0.0.1:9"}',
        "INCUMBENT_LAKE__OPTIONS__AWS_REGION": "y",
        "HOME": "/home/me",
    }

    assert store_options(variables) == {"aws_region": "y", "aws_endpoint_url": "http://127.0.0.1:9"}
    assert store_options({}) == {}


def test_a_definition_is_packed_short_and_comes_back() -> None:
    definition = {"views": '{"Column":"a"}' * 5000, "start": None}

    assert unpacked(packed(definition)) == definition
    assert len(packed(definition)) < 2000


def public_or_abstract(interface: type) -> list[tuple[str, Callable[..., object]]]:
    methods = inspect.getmembers(interface, callable)
    return [
        (name, method)
        for name, method in methods
        if not name.startswith("__") and (not name.startswith("_") or hasattr(method, "__isabstractmethod__"))
    ]
