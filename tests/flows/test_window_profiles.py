"""What a monitor run keeps of its window: a profile that adds up, findings in their order, features taken together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from small_data import Shape, week, write_small_model

from flows.evidence import noted_evidence
from flows.ingest import ingest
from flows.monitor import current_frame, current_predictions, monitor
from flows.profiles import PROFILE, statistics
from flows.train import train
from flows.watch import watch
from flows.wiring import running
from lifecycle.moments import iso
from monitoring.profile import Profile, profile_of_reference

pytestmark = pytest.mark.timeout(900)  # a walk of the whole loop, which waits long on a busy machine

PARTS = {
    "features": 'request("signal", "noise", "origin")',
    "estimator": "HistGradientBoostingClassifier(max_iter=30)",
    "policy": 'Policy(every="7d")',
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, small_settings: Callable[..., Any]) -> SimpleNamespace:
    """Two windows asked in, of which the second has drifted, and one that nobody asked in."""
    from flows.retraining import train_here
    from flows.wiring import build

    folder: Path = tmp_path_factory.mktemp("profiles")
    path = str(write_small_model(folder, Shape(weeks=9, rows=5400, drift_from=8), **PARTS))
    loop = build(small_settings(folder / "state"), start_training=train_here)
    with running(loop):
        ingest(path, iso(week(6)))
        train(path, iso(week(6)))
        told = {number: watch(path, iso(week(number))).facts for number in (8, 9, 12)}
        told["monitor"] = monitor(path, iso(week(9))).facts
        model = loop.model(path)
        step: Any = SimpleNamespace(loop=loop, model=model)
        champion = loop.champion(model)
        frames = {}
        for number in (8, 9):
            step.as_of = week(number)
            frames[number] = current_frame(step, champion, current_predictions(step, champion))
        evidence = {number: noted_evidence(loop, model, week(number)) for number in (8, 9, 12)}
    client = loop.tracker.connection.client
    ids = [client.get_experiment_by_name("small loop").experiment_id]
    runs = {
        number: client.search_runs(
            ids, f"tags.`incumbent.step` = 'monitor' AND tags.`incumbent.as_of` = '{iso(week(number))}'"
        )[0].info.run_id
        for number in (8, 9, 12)
    }
    texts = {number: Path(client.download_artifacts(run, PROFILE)).read_text() for number, run in runs.items()}
    (series,) = client.search_runs([client.get_experiment_by_name("small monitoring").experiment_id])
    return SimpleNamespace(
        champion=champion, frames=frames, evidence=evidence, texts=texts, told=told, series=series, client=client
    )


def test_two_weeks_profiles_added_are_the_profile_of_both_weeks_rows(seen: SimpleNamespace) -> None:
    first, second = (Profile.from_json(seen.texts[number]) for number in (8, 9))

    both = pd.concat([seen.frames[8], seen.frames[9]])
    assert (first + second).to_json() == Profile.of(both, seen.champion.reference.profile.layout).to_json()
    assert first.rows + second.rows == len(both) > 1000
    assert {name for name, _ in first.columns} == {"signal", "noise", "origin", "prediction", "outlier_score"}


def test_a_stored_profile_is_small(seen: SimpleNamespace) -> None:
    assert max(map(len, seen.texts.values())) < 20_000 * len(seen.evidence[9].drift)


def test_a_window_nobody_asked_in_has_a_profile_of_no_rows_and_no_statistics(seen: SimpleNamespace) -> None:
    empty = Profile.from_json(seen.texts[12])

    assert empty.rows == 0
    assert statistics(empty) == {}
    assert empty + Profile.from_json(seen.texts[8]) == Profile.from_json(seen.texts[8])


def test_the_series_shows_how_a_columns_mean_moved(seen: SimpleNamespace) -> None:
    history = seen.client.get_metric_history(seen.series.info.run_id, "mean.signal")

    before, after = (point.value for point in sorted(history, key=lambda point: point.step))
    assert after - before == pytest.approx(3, abs=0.3)
    assert seen.series.data.metrics["null_share.origin"] == 0


def test_nulls_are_a_share_and_a_column_of_nulls_has_no_mean() -> None:
    layout = profile_of_reference(pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]})).layout

    seen = Profile.of(pd.DataFrame({"x": [None, None], "name": ["a", None]}), layout)

    assert statistics(seen) == {"null_share.x": 1.0, "null_share.name": 0.5}


def test_features_are_compared_together_where_a_page_is_due_and_only_there(seen: SimpleNamespace) -> None:
    classifier, reconstruction = seen.evidence[9].joint

    assert classifier.value > 0.8
    assert max(classifier.p, reconstruction.p) < 1e-6
    assert seen.evidence[8].joint == seen.evidence[12].joint == ()
    assert seen.told["monitor"]["taken together"] == f"{classifier.told}; {reconstruction.told}"


def test_findings_have_the_importance_that_the_registration_stored_and_are_told_by_it(seen: SimpleNamespace) -> None:
    findings = {finding.column: finding for finding in seen.evidence[9].drift}

    assert findings["signal"].importance > 0.9
    assert sum(finding.importance or 0.0 for finding in findings.values()) == pytest.approx(1)
    assert findings["prediction"].importance is None
    assert seen.evidence[9].drifted[0].column == "signal"
    assert ": signal (importance " in seen.told["monitor"]["drifted"]
