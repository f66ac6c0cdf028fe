"""Expectations beside the model file: inferred, shown, written, and kept to by every ingest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from small_data import START, WEEK, Shape, ask, week, write_small_model

from flows.checking import check
from flows.errors import BatchRefusedError, EmptyWindowError
from flows.expecting import expect
from flows.ingest import ingest
from flows.model import load_model
from flows.train import train
from flows.watch import watch
from flows.wiring import Loop, running
from lifecycle.moments import iso

Small = Callable[..., Any]
TREES = "HistGradientBoostingClassifier()"


def poison(folder: Path, since: float, *changes: pl.Expr) -> None:
    """From a week on, the source answers otherwise."""
    late = pl.col("asked_at") > START + since * WEEK
    changed = [pl.when(late).then(one).otherwise(pl.col(one.meta.output_name())) for one in changes]
    named = [one.alias(given.meta.output_name()) for one, given in zip(changed, changes, strict=True)]
    ask(Shape()).with_columns(named).write_parquet(folder / "questions.parquet")


def expected(loop: Loop, reference: str, at: float) -> Any:
    loop.models.clear()
    return expect(loop, loop.model(reference), week(at), write=True)


def test_expectations_are_shown_first_and_written_when_asked_to(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop:
        ingest(model, iso(week(6)))

        shown = expect(loop, loop.model(model), week(6))
        nothing_yet = not (tmp_path / "expectations").exists()
        expected(loop, model, 6)
        again = expect(loop, loop.model(model), week(6))

    assert nothing_yet
    assert shown.facts["questions"].endswith("there is no file yet")
    columns = {row["column"] for row in shown.facts["changes_of_questions"]}
    assert columns == {"all columns", "event_time", "id", "signal", "noise", "origin", "won"}
    assert all(row["why"] for row in shown.facts["changes_of_questions"])
    assert again.facts["changes_of_questions"] == "none"
    suite = json.loads((tmp_path / "expectations" / "questions.json").read_text())
    assert suite["meta"]["reference"].startswith("2,960 rows of sources/questions up to 2021-04-12")


def test_what_changed_since_the_file_was_reviewed_is_shown(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path))
    poison(tmp_path, 6, pl.col("signal") * 1.2)
    with running(small_loop()) as loop:
        ingest(model, iso(week(6)))
        expected(loop, model, 6)
        ingest(model, iso(week(8)))

        later = expect(loop, loop.model(model), week(8))

    changed = {row["column"]: row for row in later.facts["changes_of_questions"]}
    assert changed["signal"]["was"] != changed["signal"]["now"]


def test_without_a_batch_there_is_nothing_to_infer_from(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop, pytest.raises(EmptyWindowError, match="No batch was taken in"):
        expect(loop, loop.model(model), week(6))


def test_check_tells_whether_there_is_a_suite(tmp_path: Path, small_loop: Small) -> None:
    path = write_small_model(tmp_path)
    before = check(load_model(path)).facts["expectations of questions"]
    with running(small_loop()) as loop:
        ingest(str(path), iso(week(6)))
        expected(loop, str(path), 6)

    after = check(load_model(path)).facts["expectations of questions"]

    assert before == f"no suite beside the model file; infer one once data is taken in: incumbent expect {path}"
    assert "in the suite, version " in after


def test_a_poisoned_batch_is_refused_before_it_reaches_a_model(tmp_path: Path, small_loop: Small) -> None:
    """The unit of one column changed: nothing of the batch is stored, nothing is scored, and the page says why."""
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop:
        ingest(model, iso(week(6)))
        train(model, iso(week(6)))
        expected(loop, model, 6)
        poison(tmp_path, 6, pl.col("signal") * 1000 + 32)
        stored = loop.lake.height("sources/questions")

        with pytest.raises(BatchRefusedError, match=r"signal: .*expected a median within") as refused:
            watch(model, iso(week(7)))

        assert loop.lake.height("sources/questions") == stored
        assert not loop.lake.exists("predictions/small")
        assert [d.stage for d in loop.ledger.decisions("small")] == ["challenger:1"]
        (failed,) = failed_runs(loop, "small loop")
        (page,) = loop.tracker.connection.client.list_artifacts(failed, "reports")
        assert page.path == "reports/validation-2021-04-19.html"
        assert newest_link("small-refused").endswith(f"{failed}/artifacts/{page.path})")

        poison(tmp_path, 8)
        watch(model, iso(week(7)))  # the source was corrected, and the same command goes on
        assert loop.lake.height("sources/questions") > stored

    assert str(refused.value).endswith("Correct the source, then run the same command again.")


def test_a_category_called_otherwise_is_evidence_that_names_it(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path, features='request("signal", "noise", "origin")', estimator=TREES))
    with running(small_loop()) as loop:
        ingest(model, iso(week(6)))
        train(model, iso(week(6)))
        expected(loop, model, 6)
        poison(tmp_path, 6, pl.col("origin").replace("north", "NORTH"))

        watch(model, iso(week(7)))
        evidence = loop.ledger.decisions("small")[-1].evidence

    (facts,) = evidence.ingested
    (anomaly,) = facts.anomalies
    assert anomaly.column == "origin"
    assert "NORTH (" in anomaly.told
    assert len(facts.suite) == 12
    assert evidence.drifted[0].column == "origin"


def test_a_new_column_is_evidence(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()):
        ingest(model, iso(week(6)))
        ask(Shape()).with_columns(extra=pl.lit(1)).write_parquet(tmp_path / "questions.parquet")

        told = ingest(model, iso(week(7))).facts

    (facts,) = told["_facts"]
    assert [one["told"] for one in facts["anomalies"]] == ["a new column, which is not stored"]
    assert told["questions"].endswith("0 quarantined; extra: a new column, which is not stored")


def failed_runs(loop: Loop, experiment: str) -> list[str]:
    client = loop.tracker.connection.client
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], "attributes.status = 'FAILED'")
    return [run.info.run_id for run in runs if run.data.tags["incumbent.step"] == "ingest"]


def newest_link(key: str) -> str:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda one: one.created).data)
