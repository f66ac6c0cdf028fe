"""Steps are judged by their own history; servers between two looks; and every metric on the dashboard exists."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lifecycle.evidence import (
    ChampionFacts,
    DriftFinding,
    Estimate,
    Evidence,
    IngestFacts,
    LabelCoverage,
    Performance,
)
from lifecycle.health import FeatureAge, ServerHealth, StepHealth, SystemHealth, symptoms_of_health
from lifecycle.moments import Window
from mlflow_plugins.deployment.metrics import Counts, Gauge, Load, render
from monitoring.durations import FEWEST, PastRun, slow_from, step_health
from monitoring.exposition import TOLD, exposition
from monitoring.server_health import Scrape, quantile, read_metrics, server_health

ROOT = Path(__file__).parents[2]
NOW = datetime(2013, 6, 1, tzinfo=UTC)
seconds = st.floats(0.01, 1e4)


def runs(*taken: float | None) -> list[PastRun]:
    """Newest first; None is a run that failed."""
    return [PastRun("train", one, one is None) for one in taken]


def test_a_step_that_slowed_down_is_named_against_its_own_history_without_a_fixed_limit() -> None:
    quick, slow = [0.20, 0.21, 0.19, 0.20, 0.22, 0.20, 0.18, 0.21, 0.20], [2000.0 * one for one in range(9, 0, -1)]

    assert step_health("train", runs(0.45, *quick)).slow
    assert not step_health("train", runs(0.24, *quick)).slow
    assert not step_health("train", runs(*slow)).slow
    (symptom,) = symptoms_of_health(SystemHealth(steps=(step_health("train", runs(0.45, *quick)),)))
    assert symptom.place == "step train"
    assert symptom.told == (
        "took 0.45 s; half of its 9 runs before took less than 0.2 s, and up to 0.322 s would be usual"
    )


def test_one_slow_run_of_the_past_hides_no_later_one_and_failed_runs_do_not_count() -> None:
    usual = [10.0, 11.0, 10.5, 9.5, 10.0, 10.2, 9.9, 10.1, 10.4]

    assert step_health("train", runs(95.0, None, *usual, 90.0)).slow
    assert not step_health("train", runs(85.0, None, *usual, 90.0)).slow
    found = step_health("train", runs(10.0, None, *usual, None))
    assert (found.failures, found.runs, found.earlier) == (2, 12, 9)


def test_of_too_few_runs_nothing_is_said() -> None:
    few = step_health("train", runs(1000.0, *[1.0] * (FEWEST - 1)))
    none = step_health("train", runs(None))

    assert (few.slow, few.limit, few.usual) == (False, None, 1.0)
    assert none == StepHealth("train", None, None, None, 0, 1, 1)


@given(st.lists(seconds, min_size=FEWEST, max_size=40), st.floats(0.1, 100))
def test_the_unit_of_time_does_not_matter(before: list[float], factor: float) -> None:
    limit = slow_from(before)

    assert limit is not None
    assert limit >= max(before)
    scaled = slow_from([one * factor for one in before])
    assert scaled is not None
    assert math.isclose(scaled, limit * factor, rel_tol=1e-6)


def test_steps_that_vary_as_before_are_rarely_called_slow() -> None:
    rng = np.random.default_rng(7)
    false = sum(step_health("train", runs(*np.exp(rng.normal(0, 0.3, size=21)))).slow for _ in range(1000))

    assert false <= 10


COUNTS = Counts()
for status, path, taken in (
    [("200", "fast", 0.0004)] * 90 + [("200", "mlflow", 0.03)] * 8 + [("500", "mlflow", 3.0)] * 2
):
    COUNTS.answered(("late", "3", path, status), 2, taken, b"")
COUNTS.refused[("queue",)] = 5
COUNTS.loads = {"0": Load(12.0, 300_000_000), "1": Load(8.0, 200_000_000)}
PAGE = render(
    COUNTS,
    [
        Gauge("incumbent_in_flight", "Requests read and not answered yet", (), [((), 4.0)]),
        Gauge("incumbent_ready", "1 when requests should be sent here", (), [((), 1.0)]),
    ],
).decode()


def test_a_server_is_seen_between_two_looks() -> None:
    first = read_metrics(PAGE, at=100.0)
    nothing_since = server_health("http://s", read_metrics(PAGE, at=160.0), first)
    at_first = server_health("http://s", first, None)
    before = Scrape(40.0, {"answers": 40, "errors": 0, "fallbacks": 0, "refused": 0}, {"0.0005": 40, "+Inf": 40})

    assert (at_first.answers, at_first.errors, at_first.fallbacks, at_first.refused) == (100, 2, 10, 5)
    assert (at_first.in_flight, at_first.per_second) == (4, None)
    assert at_first.p50 is not None
    assert 0.00025 < at_first.p50 <= 0.0005
    assert at_first.p95 is not None
    assert 0.025 < at_first.p95 <= 0.05
    assert (nothing_since.answers, nothing_since.p50, nothing_since.per_second) == (0, None, 0.0)
    assert server_health("http://s", first, before).per_second == 1.0


def test_a_server_that_started_again_is_seen_since_then() -> None:
    before = Scrape(0.0, {"answers": 10**6, "errors": 0, "fallbacks": 0, "refused": 0})

    assert server_health("http://s", read_metrics(PAGE, at=100.0), before).answers == 100


def test_the_load_of_a_server_is_that_of_all_its_workers_and_of_one_that_started_again_since_then() -> None:
    now = read_metrics(PAGE, at=100.0)
    before = replace(now, at=80.0, cpu_seconds={"0": 2.0, "1": 50.0})

    found = server_health("http://s", now, before)

    assert found.resident_bytes == 500_000_000
    assert found.cores == (10.0 + 8.0) / 20
    assert server_health("http://s", now, None).cores is None
    assert server_health("http://s", now, replace(before, cpu_seconds={})).cores is None
    assert server_health("http://s", read_metrics("", at=100.0), before).resident_bytes is None


@given(st.lists(st.integers(0, 50), min_size=15, max_size=15), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_that_holds_it(counts: list[int], share: float) -> None:
    limits = [0.001 * 2**power for power in range(14)] + [float("inf")]
    running = np.cumsum(counts)
    buckets = {
        ("+Inf" if limit == float("inf") else str(limit)): int(n) for limit, n in zip(limits, running, strict=True)
    }

    found = quantile(buckets, share)

    if not running[-1]:
        assert found is None
        return
    place = int(np.argmax((running >= share * running[-1]) & (running > 0)))
    lower = limits[place - 1] if place else 0.0
    assert found is not None
    assert lower - 1e-9 <= found <= min(limits[place], limits[-2]) + 1e-9


def test_a_server_that_is_away_is_a_symptom() -> None:
    (symptom,) = symptoms_of_health(SystemHealth(servers=(ServerHealth("http://s", problem="does not answer"),)))

    assert (symptom.place, symptom.told) == ("server http://s", "does not answer")


WINDOW = Window.before(NOW, timedelta(days=7))
EVIDENCE = Evidence(
    "late",
    NOW,
    WINDOW,
    champion=ChampionFacts(3, 2, "d", 0.15, NOW),
    drift=(
        DriftFinding("distance", "w", 0.2, 0.1, 100, drifted=True),
        DriftFinding("gone", "w", None, 0.1, 0, "missing"),
    ),
    performance=Performance("brier", WINDOW, Estimate(0.16, 0.15, 0.17, 100, 7), LabelCoverage(100, 90, 10, 0)),
    ingested=(IngestFacts("flights", 100, 2, "d"),),
)
HEALTH = SystemHealth(
    steps=(StepHealth("train", 9.0, 8.0, 12.0, 20, 1, 21),),
    servers=(ServerHealth("http://s", "", 100, 2, 10, 5, 4, 1.5, 0.1, 0.2, 0.3, 0.9, 500_000_000),),
    features=(FeatureAge("latest(weather)", 3600.0, 7200.0, False), FeatureAge("latest(planes)", None, None, False)),
)


def test_the_text_file_tells_everything_and_prometheus_reads_it() -> None:
    text = exposition("late", EVIDENCE, HEALTH).decode()

    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert set(found) == set(TOLD)
    assert all(sample.labels["model"] == "late" for samples in found.values() for sample in samples)
    assert [sample.labels["column"] for sample in found["incumbent_drift_score"]] == ["distance"]
    assert {s.labels["bound"]: s.value for s in found["incumbent_performance"]} == {
        "value": 0.16,
        "low": 0.15,
        "high": 0.17,
    }


def test_without_evidence_the_system_is_told_all_the_same() -> None:
    text = exposition("late", None, SystemHealth(steps=HEALTH.steps)).decode()

    assert {family.name for family in text_string_to_metric_families(text)} == {
        name for name in TOLD if name.startswith("incumbent_step_")
    }


def test_every_metric_on_the_dashboard_exists() -> None:
    dashboard = json.loads((ROOT / "infra" / "grafana" / "incumbent.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\bincumbent_\w+", target["expr"])
    }
    told = {
        sample.name
        for page in (PAGE, exposition("late", EVIDENCE, HEALTH).decode())
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }

    assert len(asked) > 15
    assert asked - told == set()


def test_the_dashboard_asks_only_for_labels_that_exist() -> None:
    dashboard = json.loads((ROOT / "infra" / "grafana" / "incumbent.json").read_text())
    labels: dict[str, set[str]] = {}
    for page in (PAGE, exposition("late", EVIDENCE, HEALTH).decode()):
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)

    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            given_by = set().union(*(labels[n] for n in re.findall(r"\bincumbent_\w+", target["expr"])), {"instance"})
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= given_by, panel["title"]
