"""Health of the system around a model: steps, servers and features as they are now, on a clock on the wall.

It stands beside the evidence and never in it: the same past must give the same evidence, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lifecycle.alerts import HEALTH, SERVER, STEP, Symptom


@dataclass(frozen=True, slots=True)
class StepHealth:
    """One step of the loop against its own history; times in seconds.

    Attributes:
        seconds: of the newest run that finished; none where there is none.
        usual: median of the runs before it.
        limit: from which on it counts as slow; none while there are too few earlier runs to say.
        earlier: runs before it that finished.
        failures: runs that failed, of the last `runs`.
    """

    step: str
    seconds: float | None
    usual: float | None
    limit: float | None
    earlier: int
    failures: int
    runs: int

    @property
    def slow(self) -> bool:
        """Whether the newest run took far longer than those before it."""
        return self.seconds is not None and self.limit is not None and self.seconds > self.limit


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """One scoring server since it was looked at before (or since it started); latencies in seconds.

    Attributes:
        problem: why it could not be asked; empty when it answered.
        errors: answers with a status of 500 or more.
        fallbacks: answers by MLflow's own code, because the fast path did not take the request.
        per_second: answers a second; none at the first look.
        p50, p95, p99: quantiles within their bucket; none without answers.
        cores: processors that its workers kept busy, on average; none at the first look.
        resident_bytes: memory of its workers; none where it is not told.
    """

    server: str
    problem: str = ""
    answers: int = 0
    errors: int = 0
    fallbacks: int = 0
    refused: int = 0
    in_flight: int = 0
    per_second: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    cores: float | None = None
    resident_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class FeatureAge:
    """How old the newest row behind a feature view is; seconds. Both are none where nothing ages."""

    view: str
    age: float | None
    limit: float | None
    stale: bool


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """Everything around a model that can be ill."""

    steps: tuple[StepHealth, ...] = ()
    servers: tuple[ServerHealth, ...] = ()
    features: tuple[FeatureAge, ...] = ()


def symptoms_of_health(health: SystemHealth) -> Iterable[Symptom]:
    """What is slow or away, at its place in the system. What is old is told of its source, by the evidence."""
    for step in health.steps:
        if step.slow:
            told = (
                f"took {step.seconds:.3g} s; half of its {step.earlier} runs before took less than {step.usual:.3g} s"
            )
            yield Symptom(HEALTH, f"{STEP}{step.step}", f"{told}, and up to {step.limit:.3g} s would be usual")
    for server in health.servers:
        if server.problem:
            yield Symptom(HEALTH, f"{SERVER}{server.server}", server.problem)
