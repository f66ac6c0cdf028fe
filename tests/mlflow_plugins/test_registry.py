"""One contract for MLflow on SQLite and for MLflow behind a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lifecycle.errors import AliasNotSetError, IntegrityError, VersionNotFoundError
from lifecycle.ports import Alias, RegisteredVersion, Registry
from mlflow_plugins.connection import Connection
from mlflow_plugins.models import CONTENTS, MANIFEST, ModelPackage, digests_in
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker


@pytest.fixture
def registry(mlflow_at: Connection, tmp_path: Path) -> MlflowRegistry:
    return MlflowRegistry(mlflow_at, tmp_path / "cache")


@pytest.fixture(scope="module")
def sources() -> dict[str, tuple[str, str]]:
    return {}


@pytest.fixture
def source(mlflow_at: Connection, package: ModelPackage, sources: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """A logged model to make versions of, with its run; one for each MLflow."""
    if mlflow_at.tracking_uri not in sources:
        with MlflowTracker(mlflow_at).run("registry", "train") as run:
            sources[mlflow_at.tracking_uri] = run.model(package), run.run_id
    return sources[mlflow_at.tracking_uri]


def registered(registry: MlflowRegistry, model: str, source: tuple[str, str], key: str) -> RegisteredVersion:
    tags = {"incumbent.key": key, "incumbent.digest": f"digest of {key}"}
    return registry.register(model, source=source[0], run_id=source[1], tags=tags)


def test_the_registry_fits_its_port(embedded: Connection, tmp_path: Path) -> None:
    registry: Registry = MlflowRegistry(embedded, tmp_path)

    assert registry.by_key("nobody", "k") is None


def test_a_version_carries_its_key_and_digest(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    made = registered(registry, name, source, "week 1")

    assert (made.version, made.key, made.digest, made.run_id) == (1, "week 1", "digest of week 1", source[1])
    assert type(made.version) is int
    assert registry.version(name, 1) == made
    assert registry.by_key(name, "week 1") == made


def test_the_same_training_makes_no_second_version(
    registry: MlflowRegistry, name: str, source: tuple[str, str]
) -> None:
    first = registered(registry, name, source, "week 1")
    second = registered(registry, name, source, "week 2")

    again = registered(registry, name, source, "week 1")

    assert again == first
    assert [each.version for each in registry.versions(name)] == [first.version, second.version] == [1, 2]


def test_a_key_of_another_model_is_not_found(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    registered(registry, name, source, "week 1")

    assert registry.by_key(f"{name}-other", "week 1") is None
    assert registry.by_key(name, "it's week 1") is None


def test_a_version_that_is_not_there_names_those_that_are(
    registry: MlflowRegistry, name: str, source: tuple[str, str]
) -> None:
    registered(registry, name, source, "week 1")

    with pytest.raises(VersionNotFoundError, match=r"no version 7; it has \[1\]"):
        registry.version(name, 7)
    with pytest.raises(VersionNotFoundError, match=r"it has \[\]"):
        registry.version(f"{name}-other", 1)
    with pytest.raises(VersionNotFoundError):
        registry.artifact(name, 7)


def test_there_is_no_champion_before_there_is_a_model_or_an_alias(
    registry: MlflowRegistry, name: str, source: tuple[str, str]
) -> None:
    with pytest.raises(AliasNotSetError, match="has no alias 'champion'"):
        registry.pointed(name, Alias.CHAMPION)
    registered(registry, name, source, "week 1")
    with pytest.raises(AliasNotSetError):
        registry.pointed(name, Alias.CHAMPION)


def test_an_alias_moves_and_the_version_is_tagged(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    for week in (1, 2):
        registered(registry, name, source, f"week {week}")
        registry.point(name, Alias.CHAMPION, at=week, tags={"incumbent.epoch": str(week)})

    registry.point(name, Alias.PREVIOUS, at=1, tags={})

    assert registry.pointed(name, Alias.CHAMPION) == 2
    assert registry.pointed(name, Alias.PREVIOUS) == 1
    assert registry.version(name, 2).tags["incumbent.epoch"] == "2"


def test_an_alias_is_not_pointed_at_nothing(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    registered(registry, name, source, "week 1")

    with pytest.raises(VersionNotFoundError):
        registry.point(name, Alias.CHAMPION, at=9, tags={})
    with pytest.raises(AliasNotSetError):
        registry.pointed(name, Alias.CHAMPION)


def test_an_alias_that_somebody_else_moved_meanwhile_is_noticed(
    registry: MlflowRegistry, name: str, source: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for week in (1, 2):
        registered(registry, name, source, f"week {week}")
    client = registry.connection.client

    def late(model: str, alias: str, version: str) -> None:
        type(client).set_registered_model_alias(client, model, alias, "1")

    monkeypatch.setattr(client, "set_registered_model_alias", late)

    with pytest.raises(IntegrityError, match=r"Alias 'champion' of '.*': expected 2, found 1"):
        registry.point(name, Alias.CHAMPION, at=2, tags={})


def test_an_alias_can_be_made_by_several_at_once(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    registered(registry, name, source, "week 1")
    failed: list[Exception] = []
    together = threading.Barrier(6)

    def point() -> None:
        together.wait()
        try:
            registry.point(name, Alias.CHALLENGER, at=1, tags={"incumbent.epoch": "1"})
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=point) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert registry.pointed(name, Alias.CHALLENGER) == 1


def test_descriptions_are_written(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    registry.describe(name, None, "Will it be late?")
    registered(registry, name, source, "week 1")

    registry.describe(name, 1, "**promoted**: better by 2 %")

    client = registry.connection.client
    assert client.get_registered_model(name).description == "Will it be late?"
    assert client.get_model_version(name, "1").description == "**promoted**: better by 2 %"


def test_the_artifact_is_on_this_machine_and_whole(
    registry: MlflowRegistry, name: str, source: tuple[str, str]
) -> None:
    import json

    registered(registry, name, source, "week 1")

    folder = registry.artifact(name, 1)

    assert (folder / MANIFEST).read_bytes() == b'{"model": "late-flights"}'
    assert json.loads((folder / CONTENTS).read_text()) == digests_in(folder)
    assert registry.artifact(name, 1) == folder


def test_an_artifact_is_downloaded_once(registry: MlflowRegistry, name: str, source: tuple[str, str]) -> None:
    registered(registry, name, source, "week 1")
    folder = registry.artifact(name, 1)
    before = (folder / "MLmodel").stat().st_mtime_ns

    registry.artifact(name, 1)

    assert (folder / "MLmodel").stat().st_mtime_ns == before
    remote = registry.connection.tracking_uri.startswith("http")
    assert [path.is_dir() for path in folder.parent.iterdir() if remote] == ([True] if remote else [])


def test_an_artifact_whose_folder_is_gone_is_told(
    embedded: Connection, name: str, package: ModelPackage, tmp_path: Path
) -> None:
    registry = MlflowRegistry(embedded, tmp_path)
    with MlflowTracker(embedded).run(name, "train") as run:
        registered(registry, name, (run.model(package), run.run_id), "week 1")
    shutil.rmtree(registry.artifact(name, 1))

    with pytest.raises(IntegrityError, match="found no such folder on this machine"):
        registry.artifact(name, 1)


def test_a_kill_after_registering_leaves_a_version_that_the_next_try_finds(
    embedded: Connection, name: str, package: ModelPackage, tmp_path: Path
) -> None:
    with MlflowTracker(embedded).run(name, "train") as run:
        source = run.model(package), run.run_id
    code = f"""
import os, pathlib
from mlflow_plugins.connection import connect
from mlflow_plugins.registry import MlflowRegistry
connection = connect({embedded.tracking_uri!r}, artifacts=pathlib.Path({str(embedded.artifacts)!r}))
registry = MlflowRegistry(connection, pathlib.Path({str(tmp_path)!r}))
registry._link = lambda *_: os.kill(os.getpid(), 9)
tags = {{"incumbent.key": "week 1", "incumbent.digest": "digest of week 1"}}
registry.register({name!r}, source={source[0]!r}, run_id={source[1]!r}, tags=tags)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr

    again = registered(MlflowRegistry(embedded, tmp_path), name, source, "week 1")

    assert (again.version, again.digest) == (1, "digest of week 1")
    assert len(MlflowRegistry(embedded, tmp_path).versions(name)) == 1


def test_the_url_of_a_version_is_its_page(embedded: Connection, tmp_path: Path) -> None:
    url = MlflowRegistry(embedded, tmp_path).url("late-flights", 3)

    assert url == "http://127.0.0.1:5000/#/models/late-flights/versions/3"
