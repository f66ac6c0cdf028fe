"""The loop from ingest to promote on a small problem, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_data import week, write_small_model

from flows.ingest import ingest
from flows.monitor import watch
from flows.train import train
from flows.wiring import running
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
