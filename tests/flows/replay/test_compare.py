"""Replay: the same history once per policy, side by side, and nothing of it left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_data import Shape, week, write_small_model

from flows.errors import UnknownPolicyError
from flows.model import load_model
from flows.replay.compare import compare, policy_named
from flows.replay.showing import show_comparison, show_summary
from lifecycle.errors import NoChampionError
from lifecycle.policies import Policy


def test_policies_differ_in_what_they_train_and_leave_nothing_behind(
    tmp_path: Path, small_loop: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(write_small_model(tmp_path))
    loop = small_loop()

    compared = compare(loop, model, (week(5), week(8)), ["never", "monthly", "model"])
    show_comparison(compared)

    never, monthly, own = compared.rows
    assert [row.policy for row in compared.rows] == ["never", "monthly", "model"]
    assert (never.summary.trainings, never.summary.promotions) == (1, 1)
    assert never.summary.difference is not None
    assert never.summary.difference.value == 0.0, "the first champion beside itself"
    assert never.summary.loop == never.summary.never
    assert monthly.summary.window == own.summary.window
    assert {row.summary.rows for row in compared.rows} == {never.summary.rows}
    assert "gain over never" in capsys.readouterr().out
    assert list(loop.settings.folder.glob("replay-*")) == []
    with pytest.raises(NoChampionError):
        loop.ledger.head(model.name)


def test_a_summary_tells_months_refusals_and_what_is_next(
    tmp_path: Path, small_loop: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(write_small_model(tmp_path, Shape()))

    (row,) = compare(small_loop(), model, (week(5), week(7)), ["never"]).rows
    show_summary(row.summary, "model.py")

    told = capsys.readouterr().out
    assert "the loop beside its first champion, never retrained" in told
    assert "labels:" in told
    assert "incumbent why model.py" in told
    assert row.facts()["decisions"] == len(row.summary.decisions) == 3


def test_a_policy_has_a_name() -> None:
    own = Policy(every="7d")

    assert policy_named("model", own) is own
    assert str(policy_named("monthly", own).retrain) == "elapsed(30d)"
    with pytest.raises(UnknownPolicyError, match=r"No policy is called 'wait'\. Choose from .*'drift'.*'worse'"):
        policy_named("wait", own)
