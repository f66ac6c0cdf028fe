"""A tampered model is refused before anything of it runs: each payload here would leave a file behind."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lifecycle.errors import IntegrityError
from mlflow_plugins import contents
from mlflow_plugins.connection import Connection
from mlflow_plugins.contents import contents_digest
from mlflow_plugins.loader import load
from mlflow_plugins.models import (
    CONTENTS,
    CONTENTS_TAG,
    GOLDEN,
    MANIFEST,
    SKOPS_FILE,
    ModelPackage,
    digests_in,
    golden_of,
    save_model,
)
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker
from mlflow_plugins.trial import Trial, try_in_clean_process
from modeling.errors import UntrustedTypeError
from modeling.tasks import Task


@pytest.fixture(scope="module")
def stored(package: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "model"
    save_model(package, folder)
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "model"))


@pytest.fixture(scope="module")
def digest(pipeline: Pipeline, flights: pd.DataFrame) -> str:
    return golden_of(pipeline, flights, Task.BINARY).digest


class Payload:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return (Path.touch, (self.marker,))


def recorded_anew(folder: Path) -> None:
    """What somebody who may write the folder would do as well."""
    (folder / CONTENTS).write_text(json.dumps(digests_in(folder)))


def members(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / SKOPS_FILE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(folder: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / SKOPS_FILE, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def pickle_as_model(folder: Path, marker: Path) -> None:
    (folder / SKOPS_FILE).write_bytes(pickle.dumps(Payload(marker)))


def old_pickle_as_model(folder: Path, marker: Path) -> None:
    """The first protocol has no mark at its beginning."""
    (folder / SKOPS_FILE).write_bytes(pickle.dumps(Payload(marker), protocol=0))


def pickle_as_golden_rows(folder: Path, marker: Path) -> None:
    (folder / GOLDEN).write_bytes(pickle.dumps(Payload(marker)))


def pickle_as_data(folder: Path, marker: Path) -> None:
    (folder / "notes.json").write_bytes(pickle.dumps(Payload(marker)))


def pickle_inside_the_model(folder: Path, marker: Path) -> None:
    packed(folder, members(folder) | {"weights.npy": pickle.dumps(Payload(marker))})


def array_of_objects_inside_the_model(folder: Path, marker: Path) -> None:
    inside = members(folder)
    array = io.BytesIO()
    np.save(array, np.array([Payload(marker)], dtype=object), allow_pickle=True)
    name = next(name for name in inside if name.endswith(".npy"))
    packed(folder, inside | {name: array.getvalue()})


def mlmodel_that_vouches_for_its_own_types(folder: Path, marker: Path) -> None:
    skops.io.dump(make_pipeline(FunctionTransformer(os.system)), folder / SKOPS_FILE)
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"]["skops_trusted_types"] = ["posix.system"]
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


def mlmodel_that_brings_code(folder: Path, marker: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w')")


def mlmodel_that_leads_outside(folder: Path, marker: Path) -> None:
    outside = folder.parent / "outside.skops"
    skops.io.dump(make_pipeline(FunctionTransformer(os.system)), outside)
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"]["pickled_model"] = "../outside.skops"
    described["flavors"]["python_function"]["model_path"] = "../outside.skops"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


def link_to_the_outside(folder: Path, marker: Path) -> None:
    outside = folder.parent / "outside.json"
    outside.write_text("{}")
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).symlink_to(outside)


def member_that_leads_outside(folder: Path, marker: Path) -> None:
    packed(folder, members(folder) | {f"../../{marker.name}": b"here"})


def member_with_a_path_of_its_own(folder: Path, marker: Path) -> None:
    packed(folder, members(folder) | {str(marker): b"here"})


def schema_that_reads_another_member(folder: Path, marker: Path) -> None:
    packed(folder, members(folder) | {"model.pkl": pickle.dumps(Payload(marker), protocol=0)})


TAMPERINGS = [
    (pickle_as_model, "no pickle"),
    (old_pickle_as_model, "a model that can be read"),
    (pickle_as_golden_rows, "no pickle"),
    (pickle_as_data, "no pickle"),
    (pickle_inside_the_model, "no pickle, found weights.npy"),
    (array_of_objects_inside_the_model, "a model that can be read"),
    (mlmodel_that_vouches_for_its_own_types, "posix.system"),
    (mlmodel_that_brings_code, "which no model has"),
    (mlmodel_that_leads_outside, "'model_path' in"),
    (link_to_the_outside, "manifest.json, a link"),
    (member_that_leads_outside, "members inside of the archive"),
    (member_with_a_path_of_its_own, "members inside of the archive"),
    (schema_that_reads_another_member, "no pickle, found model.pkl"),
]


@pytest.mark.parametrize(("tamper", "said"), TAMPERINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_tampered_model_is_refused_before_anything_of_it_runs(
    tamper: Callable[[Path, Path], None], said: str, folder: Path, digest: str, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    tamper(folder, marker)
    recorded_anew(folder)

    with pytest.raises((IntegrityError, UntrustedTypeError), match=said):
        load(folder, expected_digest=digest)

    assert not marker.exists()


def test_the_payload_would_have_left_a_file(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    pickle.loads(pickle.dumps(Payload(marker)))

    assert marker.exists()


def test_a_model_that_unpacks_to_more_than_the_limit_is_refused(
    folder: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(folder / SKOPS_FILE, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", b"\0" * 50_000_000)
    recorded_anew(folder)
    monkeypatch.setattr(contents, "MAX_UNPACKED", 10_000_000)

    with pytest.raises(IntegrityError, match=r"at most 10,000,000 bytes when unpacked, found 5\d,"):
        load(folder, expected_digest=digest)


def test_golden_rows_without_end_are_refused(folder: Path, digest: str) -> None:
    golden = pd.read_parquet(folder / GOLDEN)
    pd.concat([golden] * 1000).to_parquet(folder / GOLDEN, index=False)
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match=r"expected at most 10,000 rows, found 3\d,000"):
        load(folder, expected_digest=digest)


def test_a_manifest_altered_together_with_the_list_of_files_is_noticed(folder: Path, digest: str) -> None:
    recorded = contents_digest(folder)
    (folder / MANIFEST).write_text('{"model": "another"}')
    recorded_anew(folder)

    with pytest.raises(IntegrityError, match=f"Digest of contents.json in .*: expected {recorded}"):
        load(folder, expected_digest=digest, expected_contents=recorded)


def test_a_registered_version_knows_the_digest_of_its_list_of_files(
    embedded: Connection, name: str, package: ModelPackage, digest: str, tmp_path: Path
) -> None:
    embedded.use()
    registry = MlflowRegistry(embedded, tmp_path / "cache")
    with MlflowTracker(embedded).run(name, "train") as run:
        made = registry.register(
            name, source=run.model(package), run_id=run.run_id, tags={"incumbent.key": "k", "incumbent.digest": digest}
        )

    folder, recorded = registry.artifact(name, made.version), registry.contents(name, made.version)

    assert recorded == contents_digest(folder)
    assert load(folder, expected_digest=digest, expected_contents=recorded).digest == digest
    embedded.client.delete_model_version_tag(name, str(made.version), CONTENTS_TAG)
    with pytest.raises(IntegrityError, match=r"Tag 'incumbent\.contents' of .*: expected the digest of its"):
        registry.contents(name, made.version)


def test_a_good_model_passes_its_trial_once_and_is_remembered(folder: Path, digest: str, tmp_path: Path) -> None:
    trial = Trial(str(folder), digest, contents_digest(folder))

    try_in_clean_process(trial, tmp_path / "passed")
    try_in_clean_process(trial, tmp_path / "passed", seconds=0)

    assert len([mark for mark in (tmp_path / "passed").iterdir() if mark.suffix != ".lock"]) == 1


def test_a_model_that_takes_too_long_to_load_is_refused(folder: Path, digest: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"Trial of the model in .*: expected an answer within 0.01 s, found none"):
        try_in_clean_process(Trial(str(folder), digest), tmp_path / "passed", seconds=0.01)

    assert [mark.suffix for mark in (tmp_path / "passed").iterdir()] == [".lock"]


def test_a_model_that_does_not_load_elsewhere_is_refused_with_what_was_said_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"loads in a clean process, found .*IntegrityError: Digest of the model"):
        try_in_clean_process(Trial(str(folder), "0" * 64), tmp_path / "passed")


def test_the_process_of_a_trial_has_no_network_where_the_kernel_can_take_it_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code = f"""
import socket
from mlflow_plugins.clean_process import leave_network
left = leave_network()
try:
    socket.create_connection(("127.0.0.1", {listening.getsockname()[1]}), timeout=5)
    reached = True
except OSError:
    reached = False
print(left, reached)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() in (["True", "False"], ["False", "True"])
