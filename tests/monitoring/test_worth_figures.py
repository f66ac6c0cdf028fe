"""Figures of a champion's worth: what is silent is left out, what is weak is marked."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from lifecycle.estimates import Estimate
from lifecycle.evidence import DriftFinding, Evidence
from lifecycle.moments import Window
from lifecycle.worth import AttributionDrift, AttributionFinding, Reconciliation, SegmentFinding
from monitoring.figures import attribution_figure, drift_figure, estimate_figure, segments_figure
from monitoring.history import history_figure

WINDOW = Window(datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 8, tzinfo=UTC))
VALUE = Estimate(0.2, 0.1, 0.3, 500, 7)


def drawn(figure: Any) -> bool:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=40)
    return written.getvalue().startswith(b"\x89PNG")


def test_segments_without_an_interval_are_left_out() -> None:
    findings = [
        SegmentFinding("origin=JFK", "brier", 500, VALUE, VALUE, 0.001, True, True),
        SegmentFinding("origin=LGA", "brier", 20, None, None, None, True, False, "20 rows, 100 needed"),
    ]

    figure = segments_figure(findings)

    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["origin=JFK (500)"]
    assert drawn(figure)
    assert drawn(segments_figure([]))


def test_a_name_with_dollars_is_drawn_as_it_is_written() -> None:
    odd = "fare=$0_$50"
    moved = AttributionDrift("window", 200, 0.9, (AttributionFinding(odd, 0.4, 0.6, 0.2),), f"changed: {odd}")
    drifted = (DriftFinding(odd, "jensen_shannon", 0.3, 0.1, 100), DriftFinding("x", "y", None, 0.1, 0, f"new: {odd}"))
    seen = Evidence("m", WINDOW.end, WINDOW, drift=drifted)

    assert drawn(segments_figure([SegmentFinding(odd, "brier", 500, VALUE, VALUE, 0.001, True, True)]))
    assert drawn(attribution_figure(moved))
    assert drawn(drift_figure(drifted))
    assert drawn(history_figure([seen]))


def test_estimates_are_drawn_beside_what_the_labels_said() -> None:
    figure = estimate_figure([Reconciliation("auc", WINDOW, VALUE, 0.25, 1, 0.05, 1.0)])

    assert figure.axes[0].get_ylabel() == "auc"
    assert drawn(figure)


def test_attributions_are_drawn_then_and_now_or_by_their_shift() -> None:
    moved = AttributionDrift("window", 200, 0.9, (AttributionFinding("hour", 0.4, 0.6, 0.2),))
    changed = AttributionDrift(
        "labels", 200, None, (AttributionFinding("hour", 0.0, 0.6, 0.01, 0.001),), "changed: hour"
    )

    assert attribution_figure(moved).axes[0].get_xlabel() == "share of all attributions"
    assert attribution_figure(changed).axes[0].get_title() == "labels; changed: hour"
    assert drawn(attribution_figure(moved))
    assert drawn(attribution_figure(changed))
