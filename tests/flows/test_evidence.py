"""What evidence is taken from: decisions of the past in the order of their windows, and rows that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import StatisticsError
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from feature_store.definitions.feature_view import request
from feature_store.definitions.source import Source
from feature_store.definitions.spine import each
from feature_store.offline.labels import Label
from flows.decide import evidence_before
from flows.evidence import earlier_findings, last_training
from flows.history import rows_of
from flows.judging import interval, paired
from flows.model import Model
from flows.monitor import drift_told, is_alarming
from flows.worth import labelled
from lifecycle.actions import Action, Hold, Promote, Retrain
from lifecycle.decisions import WINDOW, Decision, Links
from lifecycle.evidence import ChampionFacts, DriftFinding, Evidence
from lifecycle.gates import Gate
from lifecycle.moments import Window
from lifecycle.policies import Elapsed, Policy
from mlflow_plugins.ledger import SqlLedger

START = datetime(2013, 6, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
TRIPS = Source(
    "trips", read=pl.DataFrame, key="id", event_time="left", available_at="left", later={"arrived": ["late"]}
)
MODEL = Model(
    "trips", owner="a", purpose="b", task="binary", spine=each(TRIPS, as_of="left"), features=[request("miles")],
    label=Label("late", deadline="1d"), gate=Gate("brier"), policy=Policy(every="7d"),
)  # fmt: skip


@pytest.fixture
def decided(tmp_path: Path) -> Callable[..., Any]:
    """A loop whose ledger holds these decisions, in this order: number of the week, stage and action."""

    def record(*made: tuple[int, str, Action]) -> Any:
        ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
        for number, stage, action in made:
            as_of = START + number * WEEK
            champion = ChampionFacts(1, 1, "d", 0.2, START)
            drift = (DriftFinding(f"week {number}", "jensen_shannon", 0.0, 0.1, 90, drifted=False),)
            evidence = Evidence("trips", as_of, Window.before(as_of, WEEK), champion=champion, drift=drift)
            ledger.record(Decision("trips", as_of, stage, action, evidence, "p", 1, Links(as_of, "policy")))
        return SimpleNamespace(ledger=ledger)

    return record


def test_windows_that_were_decided_out_of_order_are_read_in_the_order_of_their_time(decided: Any) -> None:
    loop = decided(*[(number, WINDOW, Hold("quiet")) for number in (1, 3, 2, 4)])
    champion: Any = SimpleNamespace(epoch=SimpleNamespace(epoch=1))

    before = evidence_before(loop.ledger, MODEL, START + 4 * WEEK)
    found = earlier_findings(loop, MODEL, champion, START + 4 * WEEK)

    assert [one.as_of for one in before] == [START + number * WEEK for number in (3, 2, 1)]
    assert [finding.column for (finding,) in found] == ["week 1", "week 2", "week 3"]


def test_what_a_person_promoted_is_no_training(decided: Any) -> None:
    loop = decided(
        (1, WINDOW, Retrain("old")),
        (2, "challenger:2", Hold("refused")),
        (3, "by hand:promote:1", Promote(1, "better known")),
        (4, WINDOW, Hold("quiet")),
    )

    assert last_training(loop, MODEL, START + 5 * WEEK) == START + 2 * WEEK
    assert last_training(loop, MODEL, START + 2 * WEEK) == START + WEEK
    assert last_training(loop, MODEL, START + WEEK) is None


def asked(**columns: Any) -> pl.DataFrame:
    """Two weeks of answers with labels, ten a day."""
    moments = [START + timedelta(hours=2 * place) for place in range(140)]
    usual = {"as_of": moments, "feature.miles": 1.0, "prediction": 0.5, "label": [True, False] * 70}
    return pl.DataFrame({"as_of": moments}).with_columns(
        **{
            name: pl.Series(given) if isinstance(given, list) else pl.lit(given)
            for name, given in (usual | columns).items()
        }
    )


@pytest.mark.parametrize(
    "broken", [{"prediction": [float("nan")] + [0.5] * 139}, {"label": [float("nan")] + [1.0] * 139}]
)
def test_an_answer_or_a_label_that_is_no_number_is_left_out_of_what_is_looked_at_in_parts(broken: Any) -> None:
    known = labelled(MODEL, asked(**broken))

    assert known is not None
    assert len(known) == 139
    assert np.isfinite([known.labels, known.predictions]).all()


def test_performance_of_answers_that_are_no_numbers_is_unknown() -> None:
    with pytest.raises(StatisticsError, match="1 of 8 rows"):
        interval(MODEL)("brier", np.ones(8), [np.nan, *[0.5] * 7], np.arange(8))


def test_a_version_that_takes_a_feature_the_model_has_no_more_is_not_compared_with() -> None:
    other: Any = SimpleNamespace(columns=("miles", "gone"), predict=lambda X: X["gone"].to_numpy())
    same: Any = SimpleNamespace(columns=("miles",), predict=lambda X: X["miles"].to_numpy() / 4)

    assert paired(MODEL, asked(), 1, other) is None
    assert paired(MODEL, asked(), 1, same) is not None


def test_a_cooldown_too_short_for_the_labels_is_an_alarm_and_ends_no_monitoring() -> None:
    policy = Policy(every="7d", retrain=Elapsed(WEEK), cooldown="7d")
    step: Any = SimpleNamespace(loop=SimpleNamespace(policy_of=lambda _: policy), model=MODEL)
    late = Evidence(
        "trips", START, Window.before(START, WEEK), champion=ChampionFacts(1, 1, "d", 0.2, START),
        last_training=START - 9 * WEEK, label_delay_p95=WEEK,
    )  # fmt: skip

    assert is_alarming(step, late, [])
    assert not is_alarming(step, replace(late, last_training=START), [])


def test_drift_that_cannot_be_told_is_told_as_unknown(decided: Any) -> None:
    known = DriftFinding("miles", "wasserstein (normed)", 0.0, 0.1, 90, drifted=False)
    unknown = DriftFinding("hour", "wasserstein (normed)", None, 0.1, 0, "no values in the current window")
    told = [
        Evidence("trips", START, Window(START, START), drift=drift)
        for drift in ((unknown,), (known, unknown), (known,))
    ]

    assert [drift_told(one) for one in told] == [
        "unknown: no column could be compared",
        "0 of 2; unknown: hour",
        "0 of 1",
    ]
    assert [row["drifted"] for row in rows_of(told)] == ["none", "none", "unknown"]
