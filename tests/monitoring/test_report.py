import html
import io
import os
import re

import numpy as np
import pytest

from lifecycle.drift_findings import with_importance
from lifecycle.evidence import DriftFinding, Estimate, LabelCoverage, Performance
from lifecycle.moments import Window, parse_moment
from monitoring.drift import drift
from monitoring.errors import NothingToReportError
from monitoring.figures import drift_figure, metric_figure
from monitoring.reference import Reference
from monitoring.report import DriftReport

NOW = parse_moment("2013-03-04T00:00Z")


@pytest.fixture(scope="module")
def page(window, tmp_path_factory):
    """One page on a window with drift, a column that is gone and one without values."""
    reference = Reference.of(window(4000).assign(gone=1.0, empty=np.nan, flag=True))
    current = window(4000, seed=1, shift=3.0).assign(empty=np.nan, flag=np.arange(4000) % 2 == 0)
    findings = with_importance(drift(reference, current), {"delay": 3.0, "distance": 1.0})
    path = tmp_path_factory.mktemp("page") / "deep" / "drift.html"
    DriftReport.of(reference, current, findings, "late-flights <3> week 9", NOW).write(path)
    return path.read_text(encoding="utf-8"), findings


def test_the_numbers_on_the_page_are_the_findings(page):
    text, findings = page

    shown = re.findall(r'"data_drift": "([^"]+)", "drift_score": ([\d.e-]+)', text)
    assert sorted((float(score), said == "Detected") for said, score in shown) == sorted(
        (round(finding.score, 6), finding.drifted) for finding in findings if finding.score is not None
    )


def test_the_head_says_what_was_decided_of_every_column_and_why(page):
    text, findings = page

    head = text[text.index("<header") : text.index("</header>")]
    rows = [re.findall(r"<td [^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", head)][1:]
    assert "<h1>late-flights &lt;3&gt; week 9</h1>" in head
    assert [row[0] for row in rows] == [
        *("flag", "gone", "delay"),  # the most important first
        *(finding.column for finding in findings if not finding.drifted),
    ]
    told = {row[0]: row for row in rows}
    for finding in findings:
        assert told[finding.column][1] == {True: "drifted", False: "not drifted", None: "cannot tell"}[finding.drifted]
        assert html.escape(finding.reason) in told[finding.column][2]
    assert told["delay"][8] == "75%"
    assert told["delay"][4] == "drift (from 0.1 on)"
    assert told["distance"][4] == "no drift (from 0.1 on)"
    assert "missing in the current window" in told["gone"][2]
    assert "no values in the reference" in told["empty"][2]


def test_the_head_says_of_how_many_rows_the_drawings_are(page):
    text, _ = page

    assert "of a sample: 3,000 of 4,000 reference rows and 3,000 of 4,000 current rows" in text


def test_the_page_loads_nothing_from_elsewhere(page):
    text, _ = page

    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://[^\"']+", text)


def test_nothing_is_reported_home(page):
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_a_column_with_hardly_a_value_does_not_stop_the_page(window, tmp_path):
    reference = Reference.of(window(9000))
    current = window(9000, seed=1)
    current.loc[60:, ["seats", "carrier"]] = None
    findings = drift(reference, current)

    path = DriftReport.of(reference, current, findings, "few values", NOW).write(tmp_path / "page.html")

    assert {finding.column for finding in findings if finding.score is None} == set()
    assert path.stat().st_size > 1_000_000


def test_a_page_on_nothing_is_refused(window, tmp_path):
    reference = Reference.of(window(100))
    findings = drift(reference, window(10))

    with pytest.raises(NothingToReportError, match="delay: 10 values in the current window, 50 needed"):
        DriftReport.of(reference, window(10), findings, "nothing", NOW).write(tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def png(figure):
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=50)
    return written.getvalue().startswith(b"\x89PNG")


def test_the_figure_of_drift_has_a_bar_per_column():
    findings = [
        DriftFinding("delay", "wasserstein (normed)", 0.3, 0.1, 100),
        DriftFinding("seats", "wasserstein (normed)", None, 0.1, 0, "missing in the current window"),
    ]

    figure = drift_figure(findings)

    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["delay", "seats"]
    assert png(figure)
    assert png(drift_figure([]))


def test_the_figure_of_performance_leaves_a_gap_where_labels_are_missing():
    def week(day, estimate):
        end = parse_moment(f"2013-03-{day:02}T00:00Z")
        return Performance("brier", Window(end, end), estimate, LabelCoverage(1, 1, 0, 0))

    weeks = [week(1, Estimate(0.15, 0.14, 0.17, 100, 7)), week(8, None), week(15, Estimate(0.16, 0.15, 0.18, 100, 7))]

    figure = metric_figure(weeks, gate_value=0.155)

    assert figure.axes[0].get_ylabel() == "brier"
    assert len(figure.axes[0].lines[0].get_xdata()) == 2
    assert png(figure)
    assert png(metric_figure([]))
