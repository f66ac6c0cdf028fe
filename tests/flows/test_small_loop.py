"""The loop from ingest to promote on a small problem, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_data import Shape, week, write_small_model

from flows.ingest import ingest
from flows.train import train
from flows.watch import watch
from flows.wiring import running
from lifecycle.actions import Promote
from lifecycle.moments import iso
from lifecycle.ports import Alias


def test_the_loop_goes_from_ingest_to_a_champion_and_watches_it(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop:
        assert ingest(model, iso(week(6))).facts["questions"] == "2,960 new rows, 0 quarantined"
        trained = train(model, iso(week(6)))
        assert trained.facts["action"] == "promote", trained.facts["reason"]
        assert loop.registry.pointed("small", Alias.CHAMPION) == 1
        assert watch(model, iso(week(7))).facts["action"] == "hold"  # six labelled days are too few blocks to judge by
        assert "too few labels" in watch(model, iso(week(7))).facts["reason"]
        decided = watch(model, iso(week(8)))
        assert decided.facts["action"] == "hold"
        assert "against" in decided.facts["reason"]
        assert [d.stage for d in loop.ledger.decisions("small")] == ["challenger:1", "window", "window"]


def test_a_meaning_that_turns_around_is_noticed_learned_and_promoted(
    tmp_path: Path, small_loop: Callable[..., Any]
) -> None:
    """`worse` starts a training, whose challenger must learn from enough of the new weeks before it may win."""
    model = str(write_small_model(tmp_path, Shape(weeks=13, rows=7000, flip_from=8), recent="14d"))
    with running(small_loop()) as loop:
        ingest(model, iso(week(6)))
        train(model, iso(week(6)))
        told = {number: watch(model, iso(week(number))).facts for number in range(7, 14)}
        decisions = loop.ledger.decisions("small")
        versions = [epoch.version for epoch in loop.ledger.epochs("small")]
        champion = loop.registry.pointed("small", Alias.CHAMPION)

    assert {told[number]["action"] for number in (7, 8)} == {"hold"}
    first = next(number for number, facts in told.items() if facts["action"] == "retrain")
    assert first in {9, 10}
    assert "at the gate" in told[first]["reason"]
    judged = [decision for decision in decisions if decision.stage.startswith("challenger")][1:]
    assert {type(decision.action).__name__ for decision in judged} <= {"Promote", "Hold"}
    assert isinstance(judged[-1].action, Promote)
    assert versions[-1] == champion > 1
    assert len({decision.decision_id for decision in decisions}) == len(decisions)


def test_a_decorated_function_is_fitted_with_its_defaults(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    path = write_small_model(tmp_path)
    path.write_text(
        path.read_text()
        + """

@model.fit
def shallow_trees(X, y, depth=tune(3, 2, 5), seed=0):
    return HistGradientBoostingClassifier(max_depth=depth, max_iter=20, random_state=seed)
"""
    )
    with running(small_loop()) as loop:
        ingest(str(path), iso(week(6)))
        trained = train(str(path), iso(week(6)))
        model = loop.model(str(path))
        loaded = loop.champion(model).loaded

    assert trained.facts["action"] == "promote", trained.facts["reason"]
    assert model.fitting.__name__ == "shallow_trees"
    assert loaded.manifest["candidate"] == trained.facts["candidate"]


def test_every_step_is_done_once(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    model = str(write_small_model(tmp_path))
    with running(small_loop()) as loop:
        first = [step(model, iso(week(6))) for step in (ingest, train, watch)]
        again = [step(model, iso(week(6))) for step in (ingest, train, watch)]
        assert len(loop.ledger.decisions("small")) == 2

    assert [one.facts for one in again] == [one.facts for one in first]
    assert [one.ids["mlflow_run_id"] for one in again] == [one.ids["mlflow_run_id"] for one in first]
