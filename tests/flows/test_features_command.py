"""`incumbent features` and `incumbent lineage`: what they print, and what they exit with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_data import week, write_small_model

from flows.exit_codes import DATA_SAID_NO, DONE, GATE_SAID_NO, USAGE
from incumbent.model import load_model
from lifecycle.moments import iso

NOW, LATER = iso(week(6)), iso(week(7))
FEATURES = 'request("signal", "noise", "origin"), window(questions, busy=col("signal").mean(), over="24h", by="origin")'
TREES = "HistGradientBoostingClassifier(max_iter=20)"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(home: Path) -> Path:
    """The folder with a model that looks back."""
    write_small_model(home, features=FEATURES, estimator=TREES)
    return home


def facts(run: Run, *arguments: str) -> dict[str, Any]:
    code, told, error = run(*arguments, "--json")
    assert (code, error) == (DONE, "")
    found: dict[str, Any] = json.loads(told)["facts"]
    return found


def test_a_model_without_history_tells_its_definitions(run: Run) -> None:
    told = facts(run, "features", "list", ".")

    assert (told["features"], told["champion"]) == (4, "none yet")
    views = told["views"]
    assert [(row["view"], row["source"], row["reach"]) for row in views] == [
        ("request(signal, noise, origin)", "the question", None),
        ("window(questions)", "questions", "24h"),
    ]
    assert all(len(row["version"]) == 12 for row in views)
    shown = facts(run, "features", "show", ".", "busy_24h")
    assert (shown["view"], shown["version"]) == ("window(questions)", views[1]["version"])
    assert (shown["over"], shown["by"], shown["key"]) == (["24h"], ["origin"], ["id"])
    assert "mean" in shown["aggregate busy"]
    assert shown["trained_on_it"] == "no registered version"
    fresh = facts(run, "features", "freshness", ".", "--as-of", NOW)
    assert fresh["views"] == [{"view": "window(questions)", "rows": 0, "stale": True, "note": "never ingested"}]
    assert fresh["online"] == [{"view": "window(questions)", "state": "not materialized"}]
    assert facts(run, "lineage", ".")["versions"] == "none registered yet"


def test_the_life_of_features_from_the_shell(run: Run, home: Path) -> None:
    """From ingest to a changed definition: freshness, stats, parity with its exit codes, lineage there and back."""
    assert run("ingest", ".", "--as-of", NOW)[0] == DONE
    assert run("train", ".", "--as-of", NOW)[0] == DONE
    assert run("ingest", ".", "--as-of", LATER)[0] == DONE
    assert run("score", ".", "--as-of", LATER)[0] == DONE

    tell_freshness(run)
    tell_stats(run)
    tell_parity(run, home)
    tell_lineage(run, home)


def tell_freshness(run: Run) -> None:
    (row,) = facts(run, "features", "freshness", ".", "--as-of", LATER)["views"]
    assert (row["rows"], row["stale"], row["limit"]) == (3473, False, "1d")
    assert row["newest_event_time"] == row["newest_available_at"] <= LATER
    (row,) = facts(run, "features", "freshness", ".", "--as-of", iso(week(9)))["views"]
    assert row["stale"] is True
    (row,) = facts(run, "features", "freshness", ".", "--as-of", NOW)["views"]
    assert row["rows"] == 2960
    code, told, _ = run("features", "freshness", ".", "--as-of", LATER)
    assert (code, "window(questions)" in told, "3,473" in told) == (DONE, True, True)


def tell_stats(run: Run) -> None:
    told = facts(run, "features", "stats", ".", "--from", NOW, "--to", LATER)
    rows = {row["feature"]: row for row in told["statistics"]}
    asked = pl.read_parquet("questions.parquet").filter(pl.col("asked_at").is_between(week(6), week(7), closed="right"))
    assert told["questions"] == asked.height
    assert rows["signal"]["mean"] == pytest.approx(asked["signal"].mean())
    assert rows["signal"]["max"] == asked["signal"].max()
    assert (rows["origin"]["count"], rows["origin"]["distinct"]) == (asked.height, 3)
    assert rows["origin"]["most_frequent"].startswith(asked["origin"].value_counts(sort=True)["origin"][0])
    code, told, error = run("features", "stats", ".", "--to", "2020-01-01T00:00Z")
    assert (code, told) == (DATA_SAID_NO, "")
    assert (
        "No question was asked in 2019-12-25T00:00:00Z .. 2020-01-01T00:00:00Z; there is none before its end" in error
    )


def tell_parity(run: Run, home: Path) -> None:
    told = facts(run, "features", "parity", ".", "--from", NOW, "--to", LATER)
    assert told["skewed"] == []
    code, told, error = run("features", "parity", ".", "--from", LATER, "--to", iso(week(8)))
    assert (code, "nothing is known" in told) == (DATA_SAID_NO, True)
    assert f"No answer was logged in {LATER} .. {iso(week(8))}; the newest before its end is of 2021-04-1" in error
    plant_skew(home)
    code, told, error = run("features", "parity", ".", "--to", LATER)
    assert code == GATE_SAID_NO
    assert "9 cells of 1 features were served otherwise than they are computed, most of 'busy_24h'" in error
    assert "busy_24h" in told
    assert load_model(home).parity(week(6), week(7)).facts["skewed"] == ["busy_24h"]


def plant_skew(home: Path) -> None:
    from feature_store.storage.lake import Lake

    lake = Lake(home / ".incumbent" / "lake")
    wrong = lake.read("predictions/small").head(9)
    wrong = wrong.with_columns(pl.col("feature.busy_24h") * 2, prediction_id=pl.col("prediction_id") + "x")
    lake.append("predictions/small", wrong, batch="the server's log")


def tell_lineage(run: Run, home: Path) -> None:
    version = facts(run, "lineage", ".", "1")
    views = {row["view"]: row["version"] for row in version["views"]}
    assert version["trained_as_of"] == NOW
    assert version["epochs"] == [f"1 from {NOW}"]
    assert {row["table"] for row in version["tables"]} == {"sources/questions", "sources/questions.answered_at"}
    (row,) = facts(run, "lineage", ".", "busy_24h")["trained_on_it"]
    assert (row["version"], row["view_version"], row["run"]) == (1, views["window(questions)"], version["run"])
    (row,) = facts(run, "lineage", ".")["versions"]
    assert (row["version"], row["run"], row["rows"]) == (1, version["run"], version["rows"])
    code, told, _ = run("lineage", ".", "1")
    assert code == DONE
    assert f"/runs/{version['run']}" in told
    assert "/runs/flow-run/" in told

    write_small_model(home, features=FEATURES.replace("mean", "max"), estimator=TREES)
    told = facts(run, "features", "list", ".")
    assert told["changed"].startswith("window(questions) since version 1 was trained")
    states = {row["view"]: row["champion"] for row in told["views"]}
    assert states["request(signal, noise, origin)"] == "the same"
    assert states["window(questions)"] == f"CHANGED, trained on {views['window(questions)']}"
    (row,) = facts(run, "features", "show", ".", "window(questions)")["trained_on_it"]
    assert row == {"version": 1, "view_version": views["window(questions)"], "as_in_the_file": False}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["features"], USAGE, "the following arguments are required: WHAT"),
        (["features", "count", "."], USAGE, "invalid choice: 'count'"),
        (["features", "show", "."], USAGE, "the following arguments are required: VIEW"),
        (["features", "show", ".", "age"], USAGE, "Model 'small' has no feature view or feature 'age'. Its views are"),
        (["features", "freshness", ".", "--as-of", "2021"], USAGE, "'2021' is not a moment with a time zone"),
        (["features", "stats", ".", "--from", LATER, "--to", NOW], USAGE, "which ends before it starts"),
        (["features", "stats", "."], 1, "Ingest the source first"),
        (["lineage", ".", "7"], USAGE, "has no version 7; it has []"),
        (["lineage", ".", "age"], USAGE, "has no feature view or feature 'age'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_by_the_exit_code(
    run: Run, arguments: list[str], code: int, message: str
) -> None:
    found, told, error = run(*arguments)

    assert (found, told) == (code, "")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("about", ["list", "show", "stats", "freshness", "parity"])
def test_each_has_help(run: Run, about: str) -> None:
    code, told, _ = run("features", about, "--help")

    assert code == DONE
    assert f"incumbent features {about}" in told
