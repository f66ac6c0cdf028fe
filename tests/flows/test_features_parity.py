"""Logged serving features are computed again: what was served otherwise is found, named first, and told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_data import Shape, ask, week, write_small_model

from flows.evidence import noted_evidence
from flows.features.parity import parity
from flows.ingest import ingest
from flows.model import load_model
from flows.monitor import monitor
from flows.places import places_of
from flows.score import score
from flows.train import train
from flows.wiring import running
from lifecycle.alerts import SKEW, symptoms_of
from lifecycle.moments import iso

FEATURES = (
    'request("signal", "noise", "origin"),'
    'window(questions, busy=col("signal").mean(), asked=pl.len(), over="24h", by="origin")'
)
TREES = "HistGradientBoostingClassifier(max_iter=20)"
NOW, LATER = iso(week(6)), iso(week(7))
TABLE = "predictions/small"


@pytest.fixture
def scored(tmp_path: Path, small_loop: Callable[..., Any]) -> Any:
    """A loop that trained at week 6 and answered the questions of week 7; and the path of its model file."""
    path = write_small_model(tmp_path, features=FEATURES, estimator=TREES)
    with running(small_loop()) as loop:
        ingest(str(path), NOW)
        assert train(str(path), NOW).facts["action"] == "promote"
        ingest(str(path), LATER)
        assert score(str(path), LATER).facts["rows"] == 513
        yield loop, str(path)


def test_what_was_served_as_it_is_computed_shows_no_difference(scored: Any) -> None:
    _, path = scored

    found = parity(path, LATER)

    assert found.facts["verdict"] == "0 of 5 features were served otherwise than they are computed"
    assert found.facts["rows"] == 513
    assert {row["feature"] for row in found.facts["features"]} == {"signal", "noise", "origin", "busy_24h", "asked_24h"}
    assert {(row["differing"], row["late"], row["unchecked"]) for row in found.facts["features"]} == {(0, 0, 0)}
    assert [row["checked"] for row in found.facts["features"]] == [513] * 5


def test_a_planted_skew_is_named_first_with_its_size_and_an_example(scored: Any) -> None:
    loop, path = scored
    stored = loop.lake.read(TABLE).sort("as_of")
    wrong = stored.head(100).with_columns(
        pl.col("feature.busy_24h") + 0.25,
        pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise("feature.noise").alias("feature.noise"),
        prediction_id=pl.col("prediction_id") + "x",
        origin=pl.lit("server"),
    )
    loop.lake.append(TABLE, wrong, batch="the server's log")

    found = parity(path, LATER)

    first, second, *rest = found.facts["features"]
    assert (first["feature"], first["differing"], first["checked"]) == ("busy_24h", 100, 613)
    assert first["share"] == pytest.approx(100 / 613)
    assert first["largest"] == pytest.approx(0.25)
    offline = loop.lake.read(TABLE).filter(pl.col("origin") == "batch")["feature.busy_24h"]
    assert first["deviations"] == pytest.approx(0.25 / offline.std(), rel=0.1)
    assert (second["feature"], second["differing"], second["largest"]) == ("noise", 1, None)
    assert "served None, offline" in second["first"]
    assert f"id {stored['id'][7]}," in second["first"]
    assert {row["differing"] for row in rest} == {0}
    assert found.facts["skewed"] == ["busy_24h", "noise"]


def test_skew_of_what_a_server_answered_is_evidence_and_a_symptom_of_the_column_it_is_made_of(scored: Any) -> None:
    loop, path = scored
    stored = loop.lake.read(TABLE).sort("as_of")
    wrong = stored.head(100).with_columns(
        pl.col("feature.busy_24h") + 0.25, prediction_id=pl.col("prediction_id") + "x", origin=pl.lit("server")
    )
    loop.lake.append(TABLE, wrong, batch="the server's log")

    told = monitor(path, LATER).facts

    evidence = noted_evidence(loop, loop.model(path), week(7))
    first, *rest = evidence.skew
    assert told["skewed"] == ["busy_24h"]
    assert (first.feature, first.differing, first.checked) == ("busy_24h", 100, 613)
    assert {one.differing for one in rest} == {0}
    (symptom,) = [s for s in symptoms_of(evidence, places_of(loop.model(path))) if s.detector == SKEW]
    assert symptom.place == "questions.signal"
    assert symptom.told == "busy_24h was served otherwise than it is computed in 100 of 613 answers"


def test_where_only_batches_answered_there_is_no_skew_to_look_for(scored: Any) -> None:
    loop, path = scored

    told = monitor(path, LATER).facts

    assert "skewed" not in told
    assert noted_evidence(loop, loop.model(path), week(7)).skew == ()


def test_rows_that_arrived_after_the_answer_are_late_data_and_no_skew(scored: Any, tmp_path: Path) -> None:
    """The rows say that they were available long before; that they were taken in afterwards is told by their batch."""
    loop, path = scored
    stored = loop.lake.read(TABLE).sort("as_of")
    wrong = stored.tail(3).with_columns(
        pl.col("feature.asked_24h") + 1, prediction_id=pl.col("prediction_id") + "x", origin=pl.lit("server")
    )
    loop.lake.append(TABLE, wrong, batch="the server's log")
    asked = ask(Shape())
    forgotten = asked.filter(pl.col("asked_at") > week(6.5)).head(20).with_columns(pl.col("id") + 100_000)
    pl.concat([asked, forgotten]).write_parquet(tmp_path / "questions.parquet")
    ingest(path, iso(week(8)))

    found = parity(path, LATER)

    rows = {row["feature"]: row for row in found.facts["features"]}
    assert found.facts["features"][0]["feature"] == "asked_24h"
    assert rows["asked_24h"]["differing"] == 3
    assert rows["asked_24h"]["late"] > 20
    assert rows["busy_24h"]["differing"] == 0
    assert rows["busy_24h"]["late"] > 20
    assert found.facts["late"] == {name: rows[name]["late"] for name in ("asked_24h", "busy_24h")}


def test_a_question_that_only_the_log_knows_is_computed_from_what_was_logged(scored: Any) -> None:
    loop, path = scored
    stored = loop.lake.read(TABLE).sort("as_of")
    live = stored.head(10).with_columns(
        pl.col("as_of") + timedelta(seconds=1), prediction_id=pl.col("prediction_id") + "x", origin=pl.lit("server")
    )
    loop.lake.append(TABLE, live, batch="the server's log")

    rows = {row["feature"]: row for row in parity(path, LATER).facts["features"]}

    assert (rows["signal"]["checked"], rows["signal"]["unchecked"]) == (513, 10)
    assert (rows["asked_24h"]["checked"], rows["asked_24h"]["unchecked"]) == (523, 0)


def test_the_report_is_an_artifact_of_a_run_that_leads_to_its_flow_run(scored: Any) -> None:
    loop, path = scored

    found = parity(path, LATER)

    run = loop.tracker.connection.client.get_run(found.ids["mlflow_run_id"])
    assert run.data.tags["prefect.flow_run_id"] == found.ids["flow_run_id"]
    assert run.data.metrics["skewed_features"] == 0
    assert run.data.metrics["skew.busy_24h"] == 0
    report = Path(run.info.artifact_uri.removeprefix("file://")) / "parity.json"
    assert {one["feature"] for one in json.loads(report.read_text())} == {
        "signal", "noise", "origin", "busy_24h", "asked_24h",
    }  # fmt: skip
    assert parity(path, LATER).ids["mlflow_run_id"] == found.ids["mlflow_run_id"]


def test_a_feature_that_the_model_file_grew_is_not_held_against_an_older_version(scored: Any, tmp_path: Path) -> None:
    loop, path = scored
    loop.models.clear()
    write_small_model(tmp_path, features=FEATURES + ', derived((col("noise") * 2).alias("twice"))', estimator=TREES)
    ingest(path, iso(week(8)))
    score(path, iso(week(8)))

    rows = {row["feature"]: row for row in parity(path, iso(week(8)), LATER).facts["features"]}

    assert "twice" not in rows
    assert rows["noise"]["checked"] > 0
    assert {row["differing"] for row in rows.values()} == {0}


def test_a_champion_that_is_served_by_another_definition_than_it_learned_by_is_skewed(
    scored: Any, tmp_path: Path
) -> None:
    """The file was changed under the champion: batch scoring follows the file, parity follows the manifest."""
    loop, path = scored
    loop.models.clear()
    write_small_model(tmp_path, features=FEATURES.replace(".mean()", ".max()"), estimator=TREES)
    ingest(path, iso(week(8)))
    score(path, iso(week(8)))

    found = parity(path, iso(week(8)), NOW)

    first = found.facts["features"][0]
    assert found.facts["skewed"] == ["busy_24h"]
    assert (first["checked"], first["differing"] > 400) == (found.facts["rows"], True)


def test_a_feature_made_by_a_function_that_has_changed_is_told_as_unchecked(
    tmp_path: Path, small_loop: Callable[..., Any]
) -> None:
    path = write_small_model(tmp_path, features='request("signal"), derived(loudness)')
    function = "\n\ndef loudness(frame):\n    return frame['signal'].abs().alias('loudness')\n\n\nmodel = Model("
    path.write_text(path.read_text().replace("\nmodel = Model(", function))
    with running(small_loop()) as loop:
        ingest(str(path), NOW)
        train(str(path), NOW)
        ingest(str(path), LATER)
        score(str(path), LATER)
        same = {row["feature"]: row for row in parity(str(path), LATER).facts["features"]}
        loop.models.clear()
        path.write_text(path.read_text().replace(".abs()", ".abs().sqrt()"))

        changed = {row["feature"]: row for row in parity(str(path), LATER, iso(week(6.5))).facts["features"]}

    assert (same["loudness"]["checked"], same["loudness"]["differing"]) == (513, 0)
    assert changed["loudness"]["checked"] == 0
    assert changed["loudness"]["unchecked"] == changed["signal"]["checked"] > 0


def test_nothing_logged_is_told_as_nothing_known(scored: Any) -> None:
    _, path = scored

    found = parity(path, iso(week(3)))

    assert (found.facts["rows"], found.facts["features"]) == (0, [])
    assert "nothing is known" in found.facts["verdict"]
    assert load_model(path).name == found.model
