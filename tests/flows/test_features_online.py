"""Features online, from the shell and from Python: brought up, aged, pushed, and kept for the versions that answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_data import week, write_small_model

from feature_store.definitions.feature_view import Feature, Windowed
from feature_store.offline.features import features
from feature_store.online.opening import open_store
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.storage.lake import Lake
from flows.exit_codes import DONE, FAILED, USAGE
from incumbent.model import load_model
from lifecycle.moments import iso

NOW, LATER = iso(week(6)), iso(week(7))
FEATURES = 'request("signal", "noise", "origin"), window(questions, busy=col("signal").mean(), over="24h", by="origin")'
TREES = "HistGradientBoostingClassifier(max_iter=20)"
KEY = {"origin": pl.String(), "id": pl.Int64()}
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


def busy(home: Path, origin: str, as_of: datetime, view: Feature | None = None) -> tuple[Any, Any]:
    """The window as it is served to a new question, and as it is computed."""
    model = load_model(home)
    looked = [view] if view is not None else [one for one in model.features if isinstance(one, Windowed)]
    store = open_store(str(home / ".incumbent" / "online"), readonly=True)
    reader = OnlineReader(OnlineViews(looked, model.spine), store, types=KEY)
    served = reader.read([{"origin": origin, "id": -1}], as_of).rows[0][0]
    store.close()
    asked = pl.DataFrame({"id": [-1], "origin": [origin], "as_of": [as_of]}).cast({"as_of": pl.Datetime("us", "UTC")})
    offline = features(looked, asked, Lake(home / ".incumbent" / "lake"), spine=model.spine)
    return served, offline.to_series(3)[0]


def test_the_life_of_online_features_from_the_shell(run: Run, home: Path) -> None:
    assert run("ingest", ".", "--as-of", NOW)[0] == DONE
    assert run("train", ".", "--as-of", NOW)[0] == DONE

    they_are_materialized_once(run)
    they_age_without_a_write(home)
    they_fall_behind_and_come_up(run)
    a_changed_definition_lies_beside_the_champions(run, home)
    rows_are_pushed(run, home)
    a_schedule_takes_in_what_is_new_and_brings_it_online(home)


def they_are_materialized_once(run: Run) -> None:
    (row,) = facts(run, "features", "freshness", ".", "--as-of", NOW)["online"]
    assert row == {"view": "window(questions)", "state": "not materialized"}
    told = facts(run, "features", "materialize", ".", "--as-of", NOW)
    assert told["views"] == [{"view": "window(questions)", "rows": 2960, "records": 3, "removed": 0}]
    again = facts(run, "features", "materialize", ".", "--as-of", NOW)
    assert (again["records"], again["views"]) == (0, "all of them stood there already")
    state = {"state": "can be read", "as_of": NOW, "rows_behind": 0}
    (row,) = facts(run, "features", "freshness", ".", "--as-of", NOW)["online"]
    assert row == {"view": "window(questions)", **state}
    assert facts(run, "features", "show", ".", "busy_24h")["online"] == state


def they_age_without_a_write(home: Path) -> None:
    served = {}
    for after in (timedelta(0), timedelta(minutes=10), timedelta(hours=12), timedelta(days=3)):
        served[after], offline = busy(home, "east", week(6) + after)
        assert served[after] == offline
    assert len(set(served.values())) >= 3
    assert served[timedelta(days=3)] is None


def they_fall_behind_and_come_up(run: Run) -> None:
    read = ("features", "read", ".", "origin=east", "--as-of", LATER)
    told = facts(run, *read)
    assert (told["entity"], told["rows_behind"], told["differing"]) == ({"origin": "east"}, 0, [])
    assert told["values"] == [{"feature": "busy_24h", "online": None, "status": "stale", "lake": None, "same": True}]
    assert run("ingest", ".", "--as-of", LATER)[0] == DONE
    told = facts(run, *read)
    assert (told["rows_behind"] > 0, told["differing"]) == (True, ["busy_24h"])
    (row,) = facts(run, "features", "freshness", ".", "--as-of", LATER)["online"]
    assert row["as_of"] == NOW
    assert row["rows_behind"] > 0
    told = facts(run, "features", "materialize", ".", "--as-of", LATER)
    assert told["records"] == 3
    told = facts(run, *read)
    assert (told["rows_behind"], told["differing"], told["values"][0]["status"]) == (0, [], "found")
    code, _, error = run("features", "materialize", ".", "--as-of", NOW)
    assert (code, "Materialize as of a later moment" in error) == (FAILED, True)


def a_changed_definition_lies_beside_the_champions(run: Run, home: Path) -> None:
    (trained,) = [view for view in load_model(home).features if isinstance(view, Windowed)]
    write_small_model(home, features=FEATURES.replace("mean", "max"), estimator=TREES)
    told = facts(run, "features", "materialize", ".", "--as-of", LATER)
    assert [row["records"] for row in told["views"]] == [3]
    assert told["definitions_removed"] == []
    (mean, wanted), (most, largest) = busy(home, "east", week(7), trained), busy(home, "east", week(7))
    assert (mean, most) == (wanted, largest)
    assert most > mean


def rows_are_pushed(run: Run, home: Path) -> None:
    asked = pl.read_parquet(home / "questions.parquet").tail(1)
    moment = week(7) + timedelta(hours=1)
    loud = asked.with_columns(id=pl.lit(10**6), signal=pl.lit(99.0), origin=pl.lit("east"), asked_at=pl.lit(moment))
    loud.cast({"asked_at": pl.Datetime("us", "UTC")}).write_parquet(home / "loud.parquet")
    told = facts(run, "features", "push", ".", "questions", "loud.parquet", "--as-of", iso(moment))
    assert (told["rows"], told["already_known"]) == (1, 0)
    assert busy(home, "east", moment) == (99.0, 99.0)
    pushed = load_model(home).push("questions", pl.read_parquet("loud.parquet"), as_of=moment)
    assert (pushed.facts["rows"], pushed.facts["already_known"], pushed.facts["records"]) == (0, 1, 0)


def a_schedule_takes_in_what_is_new_and_brings_it_online(home: Path) -> None:
    from flows.running import connected

    reference = load_model(home).reference
    with connected():
        from flows.features.materialize import refresh

        done = refresh(reference, iso(week(7.5)))
    definitions, records = 2, 3
    assert (done.as_of, done.facts["records"]) == (iso(week(7.5)), definitions * records)
    served, offline = busy(home, "north", week(7.5))
    assert served == offline is not None


@pytest.mark.parametrize(
    ("features_", "arguments", "code", "message"),
    [
        (FEATURES, ["push", ".", "answers", "x.csv"], USAGE, "reads no source 'answers'. Its sources are"),
        (FEATURES, ["materialize", "."], FAILED, "Ingest the source first"),
        (FEATURES, ["read", ".", "origin"], USAGE, "entity is 'origin'. Write COLUMN=VALUE, for example origin=EWR"),
        (
            FEATURES.replace(".mean()", ".median()"),
            ["materialize", "."],
            USAGE,
            "which cannot be kept up online. Use one of len, count, sum",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_by_the_exit_code(
    run: Run, home: Path, features_: str, arguments: list[str], code: int, message: str
) -> None:
    write_small_model(home, features=features_, estimator=TREES)
    (home / "x.csv").write_text("id\n1\n")

    found, told, error = run("features", *arguments)

    assert (found, told) == (code, "")
    assert message in error
    assert "Traceback" not in error


def test_check_tells_which_features_cannot_be_kept_up_online(run: Run, home: Path) -> None:
    assert "batch scoring only" not in facts(run, "check", ".")
    write_small_model(home, features=FEATURES.replace(".mean()", ".median()"), estimator=TREES)

    assert facts(run, "check", ".")["batch scoring only"] == "window(questions)"


def test_a_model_whose_questions_bring_everything_needs_no_store(run: Run, home: Path) -> None:
    write_small_model(home)

    told = facts(run, "features", "materialize", ".", "--as-of", NOW)

    assert told == {"views": "none is read from the online store: all comes with the question"}
    assert not (home / ".incumbent" / "online").exists()
