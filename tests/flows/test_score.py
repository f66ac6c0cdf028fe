"""Predictions are stored with what the champion saw, whatever the features are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_data import Shape, ask, week, write_small_model

from flows.by_hand import promote_by_hand
from flows.errors import FeatureGoneError
from flows.evidence import predictions
from flows.frames import stored_input
from flows.ingest import ingest
from flows.model import load_model
from flows.monitor import monitor
from flows.score import score
from flows.train import train
from flows.wiring import running
from lifecycle.moments import Window, iso


def test_a_feature_may_have_the_name_of_a_column_of_predictions(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    text = 'derived(col("noise").alias("version"), (col("noise") * 2).alias("epoch"))'
    path = write_small_model(
        tmp_path,
        features=f"request('signal', 'origin'), {text}",
        estimator="HistGradientBoostingClassifier(max_iter=20)",
    )
    first, later = iso(week(6)), iso(week(7))
    with running(small_loop()) as loop:
        ingest(str(path), first)
        assert train(str(path), first).facts["action"] == "promote"
        ingest(str(path), later)
        score(str(path), later)
        model = load_model(path)
        stored = predictions(loop, model, Window(week(6), week(7)))
        champion = loop.champion(model)

    asked = ask(Shape()).filter(pl.col("asked_at").is_between(week(6), week(7), closed="right"))
    seen = stored_input(stored, model)
    assert seen["origin"].tolist() == asked["origin"].to_list()
    assert seen["version"].tolist() == asked["noise"].to_list()
    assert set(stored["origin"]) == {"batch"}
    assert set(stored["version"]) == {1}
    assert champion.loaded.predict(seen).tolist() == stored["prediction"].to_list()


def test_a_feature_that_is_taken_out_of_the_model_file_ends_with_the_version_that_takes_it(
    tmp_path: Path, small_loop: Callable[..., Any]
) -> None:
    trees = "HistGradientBoostingClassifier(max_iter=20)"
    path = write_small_model(tmp_path, features='request("signal", "origin")', estimator=trees)
    reference, moment = str(path), iso(week(7))
    with running(small_loop()) as loop:
        ingest(reference, moment)
        train(reference, iso(week(6)))
        loop.models.clear()
        write_small_model(tmp_path, features='request("signal")', estimator=trees)
        for verb in (score, monitor):
            with pytest.raises(FeatureGoneError, match=r"Version 1 of 'small' takes the features \['origin'\]"):
                verb(reference, moment)

        refused = train(reference, moment).facts
        promote_by_hand(reference, moment, 2, "nobody asks for the origin any more")
        answered, seen = score(reference, moment).facts, monitor(reference, moment).facts

    assert refused["action"] == "hold"
    assert refused["gate paired test"] == "REFUSED: the champion takes ['origin'], which the model file has no more"
    assert answered["version"] == seen["version"] == 2
    assert answered["rows"] > 0


def test_a_model_file_that_grows_a_feature_goes_on_scoring(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    path = write_small_model(tmp_path, features='request("signal")')
    with running(small_loop()) as loop:
        ingest(str(path), iso(week(6)))
        train(str(path), iso(week(6)))
        ingest(str(path), iso(week(7)))
        score(str(path), iso(week(7)))
        loop.models.clear()
        write_small_model(tmp_path, features='request("signal", "noise")')
        ingest(str(path), iso(week(8)))

        answered = score(str(path), iso(week(8)))

        stored = loop.lake.read("predictions/small")
        assert answered.facts["rows"] > 0
        assert stored.filter(pl.col("as_of") <= week(7))["feature.noise"].null_count() > 0
        assert stored.filter(pl.col("as_of") > week(7))["feature.noise"].null_count() == 0
