"""Evidence to decide on: plain values, made by what a test cares about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lifecycle.evidence import (
    ChallengerFacts,
    ChampionFacts,
    Comparison,
    DriftFinding,
    Estimate,
    Evidence,
    LabelCoverage,
    Performance,
    Verdict,
)
from lifecycle.moments import Window

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def evidence_of() -> Callable[..., Evidence]:
    """Evidence of a champion of epoch 1 with 0.1 at its gate; keywords replace fields."""

    def make(**fields: Any) -> Evidence:
        champion = ChampionFacts(1, 1, "d1", 0.1, NOON - timedelta(days=30))
        window = Window.before(NOON, timedelta(days=7))
        return Evidence(**({"model": "m", "as_of": NOON, "window": window, "champion": champion} | fields))

    return make


@pytest.fixture
def performed() -> Callable[..., Performance]:
    """Realised performance with an interval, on so many labels."""

    def make(low: float, high: float, *, labels: int = 1000, metric: str = "brier") -> Performance:
        estimate = Estimate((low + high) / 2, low, high, labels, 7)
        coverage = LabelCoverage(asked=labels + 5, labelled=labels, waiting=5, never=0)
        return Performance(metric, Window.before(NOON, timedelta(days=7)), estimate, coverage)

    return make


@pytest.fixture
def compared() -> Callable[..., Comparison]:
    def make(low: float, high: float, *, rows: int = 1000, other: float = 0.1) -> Comparison:
        return Comparison(3, "brier", Estimate((low + high) / 2, low, high, rows, 7), other)

    return make


@pytest.fixture
def findings() -> Callable[..., tuple[DriftFinding, ...]]:
    """Findings with these scores against a threshold of 0.1, and verdicts to match; None could not be computed."""

    def make(*scores: float | None) -> tuple[DriftFinding, ...]:
        return tuple(one(f"c{n}", score) for n, score in enumerate(scores))

    def one(name: str, score: float | None) -> DriftFinding:
        drifted = None if score is None else score >= 0.1
        return DriftFinding(name, "jensen_shannon", score, 0.1, 500, drifted=drifted, reason="as it was said")

    return make


@pytest.fixture
def challenger() -> Callable[..., ChallengerFacts]:
    """Challenger 2; each argument says whether a gate passed it."""

    def make(*passed: bool, against: int | None = 1) -> ChallengerFacts:
        verdicts = tuple(Verdict(f"gate {n}", yes, "text") for n, yes in enumerate(passed))
        return ChallengerFacts(2, "d2", "all history", against, verdicts)

    return make
