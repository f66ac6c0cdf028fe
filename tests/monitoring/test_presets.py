import re

import numpy as np
import pytest

from lifecycle.moments import parse_moment
from monitoring.drift import drift
from monitoring.errors import NothingToReportError
from monitoring.labels import LabelledRows
from monitoring.presets import write_quality, write_summary
from monitoring.reference import Reference
from monitoring.report import DriftReport
from monitoring.workspace import keep_run

ELSEWHERE = r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://[^\"']+"


def answers(window, rows, *, binary):
    features = window(rows)
    predictions = features.pop("prediction").to_numpy()
    chance = np.random.default_rng(1)
    labels = (chance.random(rows) < predictions).astype(float) if binary else predictions + chance.normal(0, 0.1, rows)
    return LabelledRows(features, predictions, labels, blocks=np.arange(rows), binary=binary)


def test_the_summary_shows_what_both_windows_have_and_names_what_is_gone(window, tmp_path):
    reference = Reference.of(window(5000).assign(gone=1.0, empty=np.nan, fine=1.0, unit="km", mixed=1.0, flag=True))
    current = window(4000, seed=1).assign(empty=np.nan, fine=np.inf, unit=None, mixed="a lot", flag=True)

    path = write_summary(reference, current, tmp_path / "deep" / "summary.html", "late <flights>")

    page = path.read_text(encoding="utf-8")
    assert "<h1>late &lt;flights&gt;</h1>" in page
    assert "a sample: 3,000 of 5,000 reference rows and 3,000 of 4,000 current rows" in page
    assert "Missing in the current window: gone." in page
    for column in ("delay", "carrier", "empty", "fine", "unit", "mixed", "flag"):
        assert f'"{column}"' in page
    assert not re.findall(ELSEWHERE, page)


@pytest.mark.parametrize("rows", [1, 10])
def test_a_window_too_small_for_a_score_has_a_summary(window, tmp_path, rows):
    path = write_summary(Reference.of(window(200)), window(rows), tmp_path / "summary.html", "few")

    assert f"200 of 200 reference rows and {rows} of {rows} current rows" in path.read_text(encoding="utf-8")


def test_a_summary_of_windows_without_a_common_column_is_refused(window, tmp_path):
    reference = Reference.of(window(100)[["delay"]])

    with pytest.raises(NothingToReportError, match="delay: missing in the current window"):
        write_summary(reference, window(100)[["seats"]], tmp_path / "page.html", "nothing")


@pytest.mark.parametrize(("binary", "shown"), [(True, "ROC AUC"), (False, "Mean Absolute Error|MAE")])
def test_the_quality_of_answers_is_shown_of_a_sample_and_says_so(window, tmp_path, binary, shown):
    rows = answers(window, 5000, binary=binary)

    path = write_quality(rows, tmp_path / "quality.html", "late flights")

    page = path.read_text(encoding="utf-8")
    assert "a sample: 3,000 of 5,000 answers whose label is known" in page
    assert re.search(shown, page)
    assert not re.findall(ELSEWHERE, page)


@pytest.mark.parametrize(("least", "told"), [(1.0, False), (-1.0, True)])
def test_a_percentage_of_labels_that_are_not_positive_is_said_to_mean_nothing(window, tmp_path, least, told):
    found = answers(window, 60, binary=False)
    labels = np.linspace(2.0, 3.0, 60)
    labels[7] = least
    rows = LabelledRows(found.features, found.predictions, labels, found.blocks, binary=False)

    page = write_quality(rows, tmp_path / "quality.html", "delays").read_text(encoding="utf-8")

    assert ("MAPE on this page means nothing: 1 of these labels are zero or negative." in page) is told


@pytest.mark.parametrize("labels", [np.zeros(60), np.array([0.25, -0.25] * 30)], ids=["all zero", "cancelling out"])
def test_labels_of_which_evidently_makes_no_percentages_make_no_page(window, tmp_path, labels):
    found = answers(window, 60, binary=False)
    rows = LabelledRows(found.features, found.predictions, labels, found.blocks, binary=False)

    with pytest.raises(NothingToReportError, match="60 labels, of which Evidently can make no percentages"):
        write_quality(rows, tmp_path / "quality.html", "delays")


def test_values_whose_range_is_no_double_are_drawn_at_the_farthest_that_can_be(window, tmp_path):
    current = window(300, seed=1)
    current.loc[:1, "delay"] = [1.7e308, -1.7e308]

    path = write_summary(Reference.of(window(300)), current, tmp_path / "summary.html", "flights")

    assert path.stat().st_size > 1_000_000


def test_labels_of_one_class_make_no_page(window, tmp_path):
    rows = answers(window, 60, binary=True)
    alike = LabelledRows(rows.features, rows.predictions, np.ones(60), rows.blocks, binary=True)

    with pytest.raises(NothingToReportError, match="label: 60 labels, 1 different"):
        write_quality(alike, tmp_path / "quality.html", "late flights")


def test_a_window_is_one_run_however_often_it_is_kept(window, tmp_path):
    from evidently.ui.workspace import Workspace

    reference = Reference.of(window(2000))
    for day in (3, 10, 10):
        as_of = parse_moment(f"2013-03-{day:02}T00:00Z")
        current = window(2000, seed=day)
        report = DriftReport.of(reference, current, drift(reference, current), f"flights to {as_of:%F}", as_of)
        keep_run(tmp_path / "evidently", "flights", report, as_of)

    workspace = Workspace.create(str(tmp_path / "evidently"))
    [project] = workspace.list_projects()
    runs = [workspace.get_run(project.id, run) for run in workspace.list_runs(project.id)]
    assert project.name == "flights"
    assert sorted((run.timestamp.isoformat(), run.name) for run in runs) == [
        ("2013-03-03T00:00:00+00:00", "flights to 2013-03-03"),
        ("2013-03-10T00:00:00+00:00", "flights to 2013-03-10"),
    ]
