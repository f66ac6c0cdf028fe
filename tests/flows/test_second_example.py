"""The design's second example, customers every Monday: built as it is written, and run on a small shop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from orders_data import MONDAY, orders, write_orders

from flows.checking import check
from flows.evidence import labelled_predictions
from flows.ingest import ingest
from flows.model import load_model
from flows.monitor import monitor
from flows.score import score
from flows.train import train
from flows.watch import watch
from flows.wiring import running
from lifecycle.moments import Window, iso
from lifecycle.ports import Alias


def tick(week: int) -> datetime:
    """A Monday at 12:00 UTC, after the question of 06:00 London and the orders of the hour before."""
    return (MONDAY + timedelta(weeks=week, hours=12)).replace(tzinfo=UTC)


def test_it_is_built_as_the_design_has_it(tmp_path: Path) -> None:
    model = load_model(write_orders(tmp_path, over="28d"))

    assert model.wait == timedelta(days=29)
    assert model.block == timedelta(days=28)  # outcomes of neighbouring Mondays share three weeks
    assert [source.name for source in model.sources] == ["orders"]


def test_it_runs_from_ingest_to_a_decision(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    path = write_orders(tmp_path)
    model, at = load_model(path), iso(tick(15))
    with running(small_loop()) as loop:
        told = ingest(str(path), at).facts["orders"]
        trained = train(str(path), at)
        assert trained.facts["action"] == "promote", trained.facts["reason"]
        assert loop.registry.pointed("repurchase", Alias.CHAMPION) == 1
        actions = [watch(str(path), iso(tick(week))).facts for week in range(16, 18)]
        answered = labelled_predictions(loop, model, Window(tick(15), tick(17)), tick(19))
        stages = [decision.stage for decision in loop.ledger.decisions("repurchase")]

    assert "0 quarantined" in told
    assert [told["action"] for told in actions] == ["hold", "retrain"], actions
    assert "newest label 91d old, limit 90d" in actions[1]["reason"]  # the evaluation takes seven weeks of it
    assert stages == ["challenger:1", "window", "window", "challenger:2"]
    assert answered["as_of"].unique().sort().to_list() == [
        datetime(2011, 6, 27, 5, tzinfo=UTC),  # 06:00 in London's summer
        datetime(2011, 7, 4, 5, tzinfo=UTC),
    ]
    customers = orders().filter(pl.col("InvoiceDate") < MONDAY + timedelta(weeks=16))["Customer ID"].n_unique()
    first = answered.filter(pl.col("as_of") == answered["as_of"].min())
    assert first["Customer ID"].is_unique().all()
    assert first.height in range(customers - 25, customers + 1)
    assert set(answered["label"].drop_nulls()) == {True, False}


def test_its_performance_is_known_once_seven_weeks_of_it_are_labelled(
    tmp_path: Path, small_loop: Callable[..., Any]
) -> None:
    """With outcomes of three days a block is a week still: nobody is asked more often."""
    path = write_orders(tmp_path, over="3d")
    with running(small_loop()):
        ingest(str(path), iso(tick(11)))
        assert train(str(path), iso(tick(11))).facts["action"] == "promote"
        for week in range(12, 20):
            ingest(str(path), iso(tick(week)))
            score(str(path), iso(tick(week)))
        seen = monitor(str(path), iso(tick(19)))

    estimate = seen.facts["_evidence"]["performance"]["estimate"]
    assert estimate["blocks"] == 7
    assert seen.facts["performance"].startswith("brier 0.")


def test_its_labels_are_known_at_the_close_for_yes_and_no_alike(tmp_path: Path, small_loop: Callable[..., Any]) -> None:
    path = write_orders(tmp_path)
    model = load_model(path)
    with running(small_loop()) as loop:
        ingest(str(path), iso(tick(15)))
        train(str(path), iso(tick(15)))
        ingest(str(path), iso(tick(16)))
        score(str(path), iso(tick(16)))
        monitor(str(path), iso(tick(16)))
        asked = Window(tick(15), tick(16))
        early = labelled_predictions(loop, model, asked, tick(16) + timedelta(days=7))
        ingest(str(path), iso(tick(18)))
        late = labelled_predictions(loop, model, asked, tick(16) + timedelta(days=8))

    assert set(early["label_state"]) == {"waiting"}
    assert set(late["label_state"]) == {"known"}


def test_it_checks(tmp_path: Path) -> None:
    facts = check(load_model(write_orders(tmp_path))).facts

    assert facts["leaks"] == "none found"
    assert facts["label delay"].startswith("95 % within 8 days")
