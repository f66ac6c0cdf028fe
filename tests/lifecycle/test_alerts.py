"""One cause is one alert, whichever detectors see it, and however long it goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.alerts import alerts_of, symptoms_of
from lifecycle.evidence import (
    Anomaly,
    ChampionFacts,
    DriftFinding,
    Estimate,
    Evidence,
    IngestFacts,
    LabelCoverage,
    Performance,
)
from lifecycle.moments import Window

NOW = datetime(2013, 6, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
MADE_OF = {
    "distance": ("flights.distance",),
    "delay_6h": ("flights.arr_delay",),
    "delay_24h": ("flights.arr_delay",),
    "wind_speed": ("weather.wind_speed",),
}
CHAMPION = ChampionFacts(3, 2, "d", gate_value=0.15, newest_label=NOW - 9 * WEEK)
QUIET = Evidence("late-flights", NOW, Window.before(NOW, WEEK), champion=CHAMPION)


def drift(column: str, score: float = 0.4) -> DriftFinding:
    drifted = score >= 0.1
    return DriftFinding(column, "wasserstein (normed)", score, 0.1, 1000, drifted=drifted, reason="far and certain")


def batch(source: str, *columns: str, stale: bool = False) -> IngestFacts:
    return IngestFacts(source, 10, 0, "d", stale=stale, anomalies=tuple(Anomaly(one, "odd") for one in columns))


def performance(low: float, high: float, metric: str = "brier") -> Performance:
    seen = Estimate((low + high) / 2, low, high, 500, 7)
    return Performance(metric, QUIET.window, seen, LabelCoverage(500, 500, 0, 0))


def titles(evidence: Evidence, *before: Evidence) -> list[str]:
    known = {one.place for past in before for one in symptoms_of(past, MADE_OF)}
    return [one.title for one in alerts_of(evidence, "ops@example.com", symptoms_of(evidence, MADE_OF), known)]


def test_a_quiet_window_alerts_nobody() -> None:
    assert titles(replace(QUIET, drift=(drift("distance", 0.05),), ingested=(batch("flights"),))) == []


def test_one_cause_seen_by_three_detectors_is_one_alert_to_the_owner() -> None:
    seen = replace(
        QUIET,
        ingested=(batch("flights", "distance"),),
        drift=(drift("distance"), drift("prediction", 0.2)),
        performance=performance(0.18, 0.21),
    )

    (alert,) = alerts_of(seen, "ops@example.com", symptoms_of(seen, MADE_OF), set())

    assert alert.owner == "ops@example.com"
    assert alert.title == "late-flights: flights.distance (validation, drift, performance)"
    assert alert.lines == (
        "validation, flights.distance: odd",
        "drift, flights.distance: distance (importance unknown) drifted, wasserstein (normed) 0.4: far and certain",
        "drift, prediction: prediction drifted, wasserstein (normed) 0.2: far and certain",
        "performance, performance: brier 0.1950 [0.1800, 0.2100], 0.1500 at the gate",
    )


def test_features_of_one_column_have_one_cause() -> None:
    assert titles(replace(QUIET, drift=(drift("delay_6h", 0.2), drift("delay_24h", 0.3)))) == [
        "late-flights: flights.arr_delay (drift)"
    ]


def test_causes_in_two_sources_are_two_alerts() -> None:
    seen = replace(QUIET, ingested=(batch("flights", "distance"), batch("weather", stale=True)))

    assert titles(seen) == ["late-flights: flights.distance (validation)", "late-flights: weather (freshness)"]


def test_a_cause_that_goes_on_is_told_once_and_again_only_after_it_was_gone() -> None:
    drifted = replace(QUIET, drift=(drift("distance"),))

    assert titles(drifted) != []
    assert titles(drifted, drifted) == []
    assert titles(drifted, QUIET, drifted) == []
    assert titles(drifted, QUIET, QUIET) != []


def test_what_another_detector_sees_of_a_known_cause_is_not_told_again() -> None:
    noted = replace(QUIET, ingested=(batch("flights", "distance"),))

    assert titles(replace(QUIET, drift=(drift("distance"),)), noted) == []


def test_a_further_column_is_a_further_alert_about_that_column_alone() -> None:
    before = replace(QUIET, drift=(drift("distance"),))

    assert titles(replace(QUIET, drift=(drift("distance"), drift("delay_6h"))), before) == [
        "late-flights: flights.arr_delay (drift)"
    ]


def test_consequences_are_a_cause_of_their_own_only_where_none_is_known() -> None:
    worse = replace(QUIET, performance=performance(0.18, 0.21))

    assert titles(worse) == ["late-flights: performance (performance)"]
    assert titles(worse, replace(QUIET, drift=(drift("distance"),))) == []
    assert titles(worse, worse) == []


@pytest.mark.parametrize("place", ["flow watch", "server http://127.0.0.1:5000", "step monitor"])
def test_a_part_of_the_system_that_was_told_before_does_not_hide_that_the_model_became_worse(place: str) -> None:
    seen = symptoms_of(replace(QUIET, performance=performance(0.18, 0.21)), MADE_OF)

    (alert,) = alerts_of(QUIET, "ops@example.com", seen, {place, "prediction"})

    assert alert.places == ("performance",)


@pytest.mark.parametrize(
    ("metric", "low", "high", "told"),
    [
        ("brier", 0.14, 0.20, False),
        ("brier", 0.16, 0.20, True),
        ("auc", 0.10, 0.20, False),
        ("auc", 0.10, 0.14, True),
    ],
)
def test_performance_is_worse_when_the_whole_interval_says_so(metric: str, low: float, high: float, told: bool) -> None:
    assert bool(titles(replace(QUIET, performance=performance(low, high, metric)))) == told


def test_the_same_cause_at_the_same_moment_is_the_same_alert() -> None:
    drifted = replace(QUIET, drift=(drift("distance"),))
    (first,), (again,) = (alerts_of(drifted, "a", symptoms_of(drifted, MADE_OF), set()) for _ in range(2))
    later = replace(drifted, as_of=NOW + WEEK)
    (other,) = alerts_of(later, "a", symptoms_of(later, MADE_OF), set())

    assert first.alert_id == again.alert_id != other.alert_id


def test_a_refused_batch_and_a_feature_of_nowhere_name_what_is_known() -> None:
    refused = IngestFacts("flights", 0, 0, "d", stopped="distance: 3, expected 4")
    seen = replace(QUIET, ingested=(refused,), drift=(drift("unheard_of"),))

    assert titles(seen) == ["late-flights: flights (validation)", "late-flights: unheard_of (drift)"]
