"""The training set that a run names is made again from MLflow alone, bit for bit, whatever has arrived since."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_data import Shape, ask, week, write_small_model

from feature_store.digest import content_digest, row_digests
from feature_store.errors import SpecNotReadableError
from flows.ingest import ingest
from flows.train import build_training_set, train
from flows.wiring import running
from lifecycle.moments import iso

FEATURES = (
    'request("signal", "noise", "origin"), derived((col("signal") * 2).alias("twice")),'
    'window(questions, busy=col("signal").mean(), asked=pl.len(), over=["24h", "7d"], by="origin")'
)
TREES = "HistGradientBoostingClassifier(max_iter=20)"
SOURCE = 'entity="origin"'

LOAD = """
import json, sys, mlflow
from mlflow import MlflowClient
(logged,) = MlflowClient().get_run(sys.argv[1]).inputs.dataset_inputs
frame = mlflow.data.get_source(logged).load()
frame.write_parquet(sys.argv[2])
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in {"flows", "prefect"}]))
"""


def correct_and_add(folder: Path) -> None:
    """Later questions, corrections that became available after the training, and rows that were forgotten."""
    asked = ask(Shape())
    early = asked.filter(pl.col("asked_at") < week(5)).head(300)
    corrected = early.with_columns(pl.col("signal") + 1, known_at=pl.lit(week(6.5)))
    forgotten = early.with_columns(pl.col("id") + 100_000, known_at=pl.col("asked_at"))
    known = asked.with_columns(known_at=pl.col("asked_at"))
    pl.concat([known, corrected, forgotten]).write_parquet(folder / "questions.parquet")


def test_a_logged_training_set_is_loaded_by_mlflow_bit_for_bit(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    """Loaded in a process that knows MLflow's address and the run, and neither the model file nor its flows."""
    path = write_small_model(tmp_path, features=FEATURES, estimator=TREES, source=SOURCE)
    text = path.read_text().replace('available_at="asked_at"', 'available_at="known_at"')
    path.write_text(text)
    ask(Shape()).with_columns(known_at=pl.col("asked_at")).write_parquet(tmp_path / "questions.parquet")
    with running(small_loop()) as loop:
        ingest(str(path), iso(week(6)))
        trained = train(str(path), iso(week(6)))
        run = trained.ids["mlflow_run_id"]
        manifest = json.loads((loop.registry.artifact("small", 1) / "manifest.json").read_text())
        kept = training_set_of(loop, str(path))
        correct_and_add(tmp_path)
        taken = ingest(str(path), iso(week(8))).facts["questions"]
        assert taken != "0 new rows, 0 quarantined"
        assert not training_set_of(loop, str(path)).equals(kept), "what was forgotten counts now"

        made = tmp_path / "made.parquet"
        uri = loop.settings.tracking_uri
        done = subprocess.run(
            [sys.executable, "-c", LOAD, run, str(made)],
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},
            capture_output=True,
            text=True,
            check=True,
        )
        model_tag = loop.registry.version("small", 1).tags["incumbent.views"]
        run_tag = loop.tracker.run_tags(run)["incumbent.views"]

    again = pl.read_parquet(made)
    assert again.equals(kept)
    assert again.schema == kept.schema
    assert content_digest(row_digests(again)) == manifest["data"]["content_digest"]
    assert json.loads(done.stdout) == []
    assert model_tag == run_tag == ", ".join(f"{name}@{version}" for name, version in manifest["views"].items())


def training_set_of(loop: Any, path: str) -> pl.DataFrame:
    """What a training at week 6 learns from, as the lake stands."""
    from flows.steps import Step

    step = Step(loop, loop.model(path), path, week(6), run=None)  # type: ignore[arg-type]  # not logged
    frame: pl.DataFrame = build_training_set.__wrapped__(step).frame
    return frame


def test_a_function_among_the_features_must_be_loaded_first(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    path = write_small_model(tmp_path, features='request("signal"), derived(loudness)')
    function = "\n\ndef loudness(frame):\n    return frame['signal'].abs().alias('loudness')\n\n\nmodel = Model("
    path.write_text(path.read_text().replace("\nmodel = Model(", function))
    with running(small_loop()) as loop:
        ingest(str(path), iso(week(6)))
        run = train(str(path), iso(week(6))).ids["mlflow_run_id"]
        import mlflow

        (logged,) = loop.tracker.connection.client.get_run(run).inputs.dataset_inputs
        source = mlflow.data.get_source(logged)
        assert source.load().equals(training_set_of(loop, str(path)))
        modules = [name for name in sys.modules if name.startswith("incumbent_model_")]
        for name in modules:
            del sys.modules[name]

        with pytest.raises(SpecNotReadableError, match="function 'loudness' is not loaded"):
            source.load()
