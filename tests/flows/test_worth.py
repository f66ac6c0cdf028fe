"""What reaches the evidence of a window: estimates, their reconciliation, parts, outliers, attributions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_data import Shape, week, write_small_model

from flows.evidence import noted_evidence
from flows.ingest import ingest
from flows.judging import calibration
from flows.train import train
from flows.watch import watch
from flows.wiring import running
from lifecycle.moments import iso
from lifecycle.worth import Worth

pytestmark = pytest.mark.timeout(900)  # walks of the whole loop, which wait long on a busy machine

PARTS = {
    "features": 'request("signal", "noise", "origin")',
    "gate": 'Gate("brier", slices=["origin"], groups=["origin"])',
    "policy": 'Policy(every="7d", quarantine="0.5%", client="origin")',
    "estimator": "HistGradientBoostingClassifier(max_iter=30)",
}


@pytest.fixture
def walked(tmp_path: Path, small_loop: Callable[..., Any]) -> Callable[..., Any]:
    """Trains at week 6 and watches the windows that are named; their evidence, oldest first, and the loop."""

    def walk(shape: Shape, *numbers: int, **parts: str) -> tuple[list[Worth], Any, Any]:
        path = str(write_small_model(tmp_path, shape, **PARTS | parts))
        with running(small_loop()) as loop:
            ingest(path, iso(week(6)))
            train(path, iso(week(6)))
            model = loop.model(path)
            found = []
            for number in numbers:
                watch(path, iso(week(number)))
                found.append(noted_evidence(loop, model, week(number)).worth)
        return found, loop, model

    return walk


def test_windows_are_estimated_reconciled_looked_at_in_parts_and_two_models_compared(
    walked: Callable[..., Any],
) -> None:
    worths, loop, model = walked(Shape(weeks=10, rows=6000), 8, 9)

    assert {one.metric for one in worths[0].estimated} >= {"auc", "brier", "f1"}
    assert all(one.estimate is not None and one.blind_to == "concept drift" for one in worths[0].estimated)
    pairs = {pair.metric: pair for pair in worths[1].reconciled}
    assert pairs["brier"].windows == 2
    assert pairs["brier"].within
    assert worths[1].calibration.slope.low < 1.2
    assert {one.segment for one in worths[1].segments if one.declared} >= {"origin=east", "origin=north", "origin=west"}
    assert {gap.rate for gap in worths[1].fairness} >= {"true positive rate", "share of yes answers"}
    assert 0 < worths[1].outliers.rows == worths[1].estimated[0].estimate.rows
    assert [one.final for one in worths[1].revised] == [False]
    runs = loop.tracker.connection.client.search_runs(_experiment(loop, "small monitoring"))
    assert {"estimated.brier", "estimate_error.brier", "calibration_slope", "revised.label_coverage"} <= set(
        runs[0].data.metrics
    )
    assert pages(loop) >= {"worth/segments.csv", "worth/fairness.csv", "worth/calibration.png", "worth/segments.png"}
    assert worths[1].attributions[1].ndcg > 0.9

    with running(loop):
        train(model.reference, iso(week(9)))
    client = loop.tracker.connection.client
    newest, first = client.search_runs(_experiment(loop, "small"), order_by=["attributes.start_time DESC"])
    assert {"attributions.csv", "attributions.png"} <= {file.path for file in client.list_artifacts(newest.info.run_id)}
    assert "attributions.csv" not in {file.path for file in client.list_artifacts(first.info.run_id)}


def _experiment(loop: Any, name: str) -> list[str]:
    return [loop.tracker.connection.client.get_experiment_by_name(name).experiment_id]


def pages(loop: Any) -> set[str]:
    """Files of the newest monitor run; week 9 ends in another month than it starts, so a page is due."""
    client = loop.tracker.connection.client
    runs = client.search_runs(_experiment(loop, "small loop"), "tags.`incumbent.step` = 'monitor'")
    return {file.path for file in client.list_artifacts(runs[0].info.run_id, "worth")}


def test_a_meaning_that_turned_is_named_by_the_labels_while_the_estimate_stays_blind_and_its_interval_learns(
    walked: Callable[..., Any],
) -> None:
    (before, worth), _, _ = walked(Shape(weeks=10, rows=8000, flip_from=7), 8, 9)

    (brier,) = [pair for pair in worth.reconciled if pair.metric == "brier"]
    assert not brier.within
    assert brier.realised > brier.estimated.value + 0.2
    unwarned, warned = (next(one for one in said.estimated if one.metric == "brier") for said in (before, worth))
    assert warned.estimate.value == pytest.approx(unwarned.estimate.value, abs=0.05)
    assert (unwarned.basis.windows, warned.basis.windows) == (1, 2)
    assert warned.estimate.low <= brier.realised <= warned.estimate.high
    changed = worth.attributions[0]
    assert changed.findings[0].column == "signal"
    assert changed.note == "changed: signal"


def test_the_window_that_is_held_against_its_labels_is_as_long_as_the_one_that_is_estimated(
    walked: Callable[..., Any],
) -> None:
    (_, worth), loop, model = walked(Shape(weeks=10, rows=6000), 8, 8 + 2 / 7, policy='Policy(every="2d")')

    (pair,) = [one for one in worth.reconciled if one.metric == "brier"]
    (stated,) = [one for one in worth.estimated if one.metric == "brier"]
    seen = noted_evidence(loop, model, week(8 + 2 / 7)).performance
    assert pair.window.end == seen.window.end
    assert pair.window.end - pair.window.start == stated.window.end - stated.window.start == timedelta(days=2)
    assert 0 < pair.estimated.rows < seen.coverage.labelled
    assert (pair.windows, stated.basis.windows) == (2, 2)


def test_extreme_rows_are_set_aside_with_a_reason_and_none_is_lost(walked: Callable[..., Any]) -> None:
    (worth,), loop, _ = walked(Shape(weeks=10, rows=6000, drift_from=6), 7)

    aside = loop.lake.read("quarantine/predictions/small")
    stored = loop.lake.read("predictions/small")
    assert worth.outliers.columns[0] == "signal"
    assert worth.outliers.share > 5 * worth.outliers.expected
    assert aside.height == worth.outliers.quarantined > 0
    assert aside["reason"].str.contains("signal=").all()
    assert set(aside["prediction_id"]) < set(stored["prediction_id"])
    assert aside.filter(pl.col("score") <= pl.col("limit")).is_empty()


def test_a_window_nobody_asked_in_says_so(walked: Callable[..., Any]) -> None:
    (worth,), _, _ = walked(Shape(weeks=6, rows=4000), 9)

    assert {one.note for one in worth.estimated} == {"no predictions in the window"}
    assert worth.outliers.note == "no predictions in the window"
    assert worth.calibration.note == "no label has arrived"
    assert {gap.note for gap in worth.fairness} == {"no label has arrived"}
    assert worth.segments == ()


def test_labels_of_one_class_are_said_to_tell_no_slope() -> None:
    found = calibration(np.ones(700), np.linspace(0.1, 0.9, 700), np.arange(700) % 10, seed=0)

    assert found.error is not None
    assert (found.slope, found.intercept) == (None, None)
    assert "all labels or all predictions are equal" in found.note
