"""The history figure shows every window, also those of which little is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from lifecycle.evidence import ChampionFacts, DriftFinding, Estimate, Evidence, LabelCoverage, Performance
from lifecycle.moments import Window
from monitoring.history import history_figure, shown_columns

START = datetime(2013, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def window(number: int, score: float | None, *, labelled: bool = True) -> Evidence:
    end = START + number * WEEK
    seen = Estimate(0.15, 0.14, 0.16, 500, 7) if labelled else None
    return Evidence(
        "late",
        end,
        Window.before(end, WEEK),
        champion=ChampionFacts(1, 1, "d", 0.14, START),
        drift=(
            DriftFinding("distance", "w", score, 0.1, 100, drifted=score is not None and score > 0.3),
            DriftFinding("carrier", "js", 0.02, 0.1, 100, drifted=False),
        ),
        performance=Performance("brier", Window.before(end, WEEK), seen, LabelCoverage(500, 400, 100, 0)),
    )


def test_every_window_has_its_place_and_a_drifted_column_its_mark() -> None:
    figure = history_figure([window(1, 0.05), window(2, None, labelled=False), window(3, 0.4)])

    above, below = figure.axes
    assert [label.get_text() for label in below.get_xticklabels()] == ["08 Mar", "15 Mar", "22 Mar"]
    assert [label.get_text() for label in below.get_yticklabels()] == ["distance", "carrier"]
    assert [line.get_xydata().tolist() for line in below.lines] == [[[2.0, 0.0]]]
    assert above.get_ylabel() == "brier"
    (image,) = below.images
    assert np.ma.getmaskarray(image.get_array())[0].tolist() == [False, True, False]


def test_a_single_window_without_labels_or_columns_is_drawn(tmp_path: Path) -> None:
    bare = Evidence("late", START, Window.before(START, WEEK))

    history_figure([bare]).savefig(tmp_path / "bare.png")

    assert imread(tmp_path / "bare.png").size > 0
    assert shown_columns([bare]) == []


def test_of_many_columns_those_furthest_away_are_shown() -> None:
    many = tuple(DriftFinding(f"x{number:02}", "w", number / 100, 0.1, 100) for number in range(40))
    shown = shown_columns([Evidence("late", START, Window.before(START, WEEK), drift=many)])

    assert shown[:2] == ["x39", "x38"]
    assert len(shown) == 25
