"""Answers by key that were computed before: over HTTP, with who answered and as of when; and in one's own process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest
from served_world import NOW, answer, offline, questions, records, serve
from small_data import week

import flows.embedded
import incumbent
from feature_store.online.keyed_table import replace_table
from flows.errors import GridError, NothingScoredError, TopError
from flows.online import opened
from flows.precompute import Best, best_few, best_rows, precompute_grid, precompute_scores
from flows.score import score
from lifecycle.moments import iso
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import ColumnsNotGivenError
from mlflow_plugins.precomputed_names import TOP, table_name


@pytest.fixture(scope="module")
def scored(trained: Any) -> pl.DataFrame:
    """The batch scores of week 7, which can be asked by key by now."""
    loop, path, _ = trained
    score(path, NOW)
    told = precompute_scores(loop, loop.model(path), week(7), None)
    table = loop.lake.read("predictions/small").filter(pl.col("origin") == "batch")
    assert told.facts == {"version": 1, "keys": ["id"], "rows": table.height}
    return table


def test_a_batch_score_is_answered_by_its_key_with_who_scored_it_and_as_of_when(trained: Any, scored: Any) -> None:
    application = serve(trained[2])
    some = scored.head(3)
    asked = [{"id": number} for number in [*some["id"], -1]]

    found = answer(application, records(asked), path="/models/small/precomputed")
    told = answer(application, b"", path="/models/small/precomputed", method="GET")

    assert found.json()["predictions"] == [*some["prediction"], None]
    assert {name: found.ours[f"x-incumbent-{name}"] for name in ("model", "version", "epoch", "as-of")} == {
        "model": "small", "version": "1", "epoch": "1", "as-of": NOW,
    }  # fmt: skip
    assert told.json() == {
        "model": "small", "keys": {"id": "Int64"}, "rows": scored.height, "version": 1, "epoch": 1, "as_of": NOW,
    }  # fmt: skip
    assert application.counts.lookups == {("small", "precomputed"): 3, ("small", "not precomputed"): 1}


@pytest.mark.parametrize("body", [b"{", records([{"id": "text"}]), records([{"other": 1}]), b"[]"])
def test_a_body_without_the_key_is_told_what_to_bring(trained: Any, scored: Any, body: bytes) -> None:
    found = answer(serve(trained[2]), body, path="/models/small/precomputed")

    assert (found.status, "['id']" in found.json()["message"]) == (400, True)


def test_what_was_never_computed_is_404_and_a_store_that_is_away_503(trained: Any, tmp_path: Path) -> None:
    nothing = answer(serve(trained[2]), b"", path="/models/small/precomputed/grid", method="GET")
    away = answer(
        serve(trained[2], store=str(tmp_path / "nowhere")), b"", path="/models/small/precomputed", method="GET"
    )
    stranger = answer(serve(trained[2]), b"", path="/models/other/precomputed", method="GET")

    assert (nothing.status, "incumbent precompute" in nothing.json()["message"]) == (404, True)
    assert away.status == 503
    assert stranger.status == 404


def test_the_best_few_of_an_entity_are_answered_best_first(trained: Any) -> None:
    loop, _, stored = trained
    scored = pl.DataFrame({
        "user": ["ada"] * 4 + ["bob"], "item": [4, 3, 2, 1, 1], "prediction": [0.5, 0.75, 0.5, 0.1, 0.25],
    })  # fmt: skip
    keys, values = best_rows(scored, ["user", "item"], Best(("user",), 3))
    with opened(loop.settings) as store:
        facts = {"version": 2, "epoch": 5, "as_of": NOW, "top": 3}
        replace_table(store, table_name("small", TOP), [(keys, values)], {"user": pl.String()}, facts)

    asked = records([{"user": name} for name in ("bob", "eve", "ada")])
    found = answer(serve(stored), asked, path="/models/small/precomputed/top")

    assert found.json()["predictions"] == [
        [{"item": 1, "prediction": 0.25}],
        None,
        [{"item": 3, "prediction": 0.75}, {"item": 2, "prediction": 0.5}, {"item": 4, "prediction": 0.5}],
    ]
    assert found.ours["x-incumbent-version"] == "2"


def test_a_table_of_another_key_is_asked_by_that_key_from_then_on(trained: Any) -> None:
    loop, _, stored = trained
    application, path = serve(stored), "/models/small/precomputed/top"
    facts = {"version": 2, "epoch": 5, "as_of": NOW, "top": 3}
    found = []
    for keys, asked in (({"user": "ada"}, {"user": "ada"}), ({"day": 5}, {"day": 5}), ({"day": "5"}, {"day": "5"})):
        frame = pl.DataFrame({name: [value] for name, value in keys.items()})
        with opened(loop.settings) as store:
            replace_table(store, table_name("small", TOP), [(frame, [b"[1]"])], frame.schema, facts)
        found.append(answer(application, records([asked]), path=path).json())

    assert found == [{"predictions": [[1]]}] * 3


def test_every_combination_of_a_grid_is_answered_as_the_model_answers_it(trained: Any, tmp_path: Path) -> None:
    loop, path, stored = trained
    values = {"origin": ["east", "north"], "signal": [-1, 0.5], "noise": [0.25], "loud": [1.0, 2.0],
              "busy_24h": [0.1, 0.2], "asked_24h": [3]}  # fmt: skip
    (tmp_path / "grid.json").write_text(json.dumps(values))
    application = serve(stored)
    row = {"signal": -1.0, "noise": 0.25, "origin": "north", "loud": 2.0, "busy_24h": 0.2, "asked_24h": 3.0}

    told = precompute_grid(loop, loop.model(path), week(7), tmp_path / "grid.json")
    found = answer(application, records([row, {**row, "signal": 5}]), path="/models/small/precomputed/grid")
    live = answer(application, records([row]))

    assert told.facts["rows"] == 2 * 2 * 2 * 2
    assert found.json()["predictions"] == [live.json()["predictions"][0][1], None]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "Expecting"),
        ('{"signal": [1]}', "it has to give values for"),
        ('{"signal": ["x"]}', "have to be some numbers"),
        ('{"signal": []}', "have to be some numbers"),
        ('{"origin": [1]}', "have to be some texts"),
        (json.dumps({"signal": list(range(10_001)), "noise": list(range(1_000))}), "10,001,000 combinations"),
    ],
)
def test_a_file_that_is_no_grid_is_refused(trained: Any, tmp_path: Path, content: str, problem: str) -> None:
    loop, path, _ = trained
    plain = {"signal": [1], "noise": [1], "origin": ["east"], "loud": [1], "busy_24h": [1], "asked_24h": [1]}
    if problem.startswith(("have", "10")):
        content = json.dumps(plain | json.loads(content))
    (tmp_path / "grid.json").write_text(content)

    with pytest.raises(GridError, match=problem):
        precompute_grid(loop, loop.model(path), week(7), tmp_path / "grid.json")


def test_a_window_in_which_nothing_was_scored_leaves_what_was_there(trained: Any, scored: Any) -> None:
    loop, path, stored = trained

    with pytest.raises(NothingScoredError):
        precompute_scores(loop, loop.model(path), week(30), None)

    assert answer(serve(stored), records([{"id": scored["id"][0]}]), path="/models/small/precomputed").status == 200


@pytest.mark.parametrize(("by", "top"), [("id", 3), ("origin", 3), ("", 3), ("id", 0)])
def test_the_best_are_asked_for_by_a_part_of_the_key(trained: Any, by: str, top: int) -> None:
    loop, path, _ = trained

    with pytest.raises(TopError):
        best_few(loop.model(path), by, top)


@pytest.fixture
def embedded(trained: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    loop, _, _ = trained
    monkeypatch.setattr(flows.embedded, "_embedded", {})
    monkeypatch.setenv("INCUMBENT_STATE__FOLDER", str(loop.settings.folder))
    monkeypatch.chdir(loop.settings.folder)
    return trained


def test_predict_in_ones_own_process_gives_the_bits_of_the_server(embedded: Any) -> None:
    loop, path, stored = embedded
    rows = offline(loop, path, questions(5), week(7))
    served = np.array(answer(serve(stored), records(rows)).json()["predictions"])

    found = [incumbent.predict("small", given) for given in (rows, pl.DataFrame(rows), pd.DataFrame(rows))]

    for one in found:
        assert one.tobytes() == served.tobytes()
    assert incumbent.predict("small", rows[:1]).tobytes() == served[:1].tobytes()
    assert incumbent.predict("small", []).shape == (0, 2)


def test_rows_that_do_not_fit_are_told_what_is_missing(embedded: Any) -> None:
    loop, path, _ = embedded
    rows = offline(loop, path, questions(2), week(7))

    with pytest.raises(ColumnsNotGivenError, match="they lack \\['noise'\\]"):
        incumbent.predict("small", [{name: one[name] for name in one if name != "noise"} for one in rows])
    with pytest.raises(ColumnsNotGivenError, match="column 'noise' takes double"):
        incumbent.predict("small", [{**one, "noise": "loud"} for one in rows])


def test_a_champion_is_followed_after_a_few_seconds(embedded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, path, _ = embedded
    rows = offline(loop, path, questions(1), week(7))
    incumbent.predict("small", rows)
    first = flows.embedded._embedded["small"]

    monkeypatch.setattr(flows.embedded, "FRESH_SECONDS", 0.0)
    incumbent.predict("small", rows)
    same = flows.embedded._embedded["small"]
    first.stored = msgspec.structs.replace(first.stored, epoch=7)
    incumbent.predict("small", rows)

    assert same is first
    assert flows.embedded._embedded["small"] is not first


def test_a_value_that_a_plan_leaves_to_the_model_is_answered_by_the_model(embedded: Any) -> None:
    loop, path, stored = embedded
    rows = offline(loop, path, questions(3), week(7))
    incumbent.predict("small", rows)
    found = flows.embedded._embedded["small"]

    def unusual(values: Any) -> Any:
        raise flows.embedded.UnusualValueError("signal")

    found.answer = unusual

    served = np.array(answer(serve(stored, Tier.TYPED), records(rows)).json()["predictions"])
    assert incumbent.predict("small", rows).tobytes() == served.tobytes()
    assert iso(week(7)) == NOW
