import io
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from lifecycle.evidence import Evidence
from lifecycle.moments import Window
from lifecycle.records import to_bytes
from monitoring.drift import JENSEN_SHANNON, WASSERSTEIN, drift, jensen_shannon
from monitoring.errors import UnreadableReferenceError
from monitoring.reference import Reference

NOW = datetime(2013, 3, 1, tzinfo=UTC)


def by_column(findings):
    return {finding.column: finding for finding in findings}


def test_planted_drift_is_found_in_its_column_and_in_no_other(window):
    findings = drift(Reference.of(window(5000)), window(2000, seed=1, shift=3.0))

    assert [finding.column for finding in findings if finding.drifted] == ["delay"]


def test_a_shift_among_categories_is_found(window):
    findings = drift(Reference.of(window(5000)), window(2000, seed=1, share=0.2))

    assert [finding.column for finding in findings if finding.drifted] == ["carrier"]


@pytest.mark.parametrize("seed", range(5))
def test_a_window_from_the_same_world_has_not_drifted(window, seed):
    findings = drift(Reference.of(window(5000)), window(2000, seed=100 + seed))

    assert not any(finding.drifted for finding in findings)


def test_there_is_one_finding_per_column_in_column_order(window):
    reference = Reference.of(window(500))

    findings = drift(reference, window(500, seed=1)[["prediction", "delay", "carrier", "seats", "distance"]])

    assert [finding.column for finding in findings] == ["delay", "distance", "carrier", "seats", "prediction"]
    assert {finding.method for finding in findings} == {WASSERSTEIN, JENSEN_SHANNON}


def test_scores_are_those_of_evidently(window):
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test
    from evidently.legacy.core import ColumnType

    reference, current = window(3000), window(2000, seed=1, shift=2.0, share=0.1)

    for finding in drift(Reference.of(reference), current):
        text = finding.method == JENSEN_SHANNON
        test = jensenshannon_stat_test if text else wasserstein_stat_test
        kind = ColumnType.Categorical if text else ColumnType.Numerical
        theirs = test(reference[finding.column].dropna(), current[finding.column].dropna(), kind, None)
        assert finding.score == pytest.approx(theirs.drift_score, abs=1e-12)
        assert finding.far == theirs.drifted


@settings(max_examples=100, deadline=None)
@given(*[st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40)] * 2)
def test_the_distance_of_two_sets_of_shares_is_that_of_scipy_and_never_nan(first, second):
    shares = [{name: values.count(name) / len(values) for name in set(values)} for values in (first, second)]
    aligned = [[one.get(name, 0) for name in "abcdef"] for one in shares]

    ours = jensen_shannon(*shares)

    assert ours == pytest.approx(np.nan_to_num(jensenshannon(*aligned)), abs=1e-7)


def test_a_window_does_not_differ_from_itself(window):
    frame = window(1000)

    assert all(finding.score == pytest.approx(0, abs=1e-7) for finding in drift(Reference.of(frame), frame))


def test_the_order_of_the_rows_does_not_matter(window):
    reference, current = window(1000), window(800, seed=1)

    shuffled = drift(Reference.of(reference.sample(frac=1, random_state=1)), current.sample(frac=1, random_state=2))

    for one, other in zip(drift(Reference.of(reference), current), shuffled, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "note", "drifted"),
    [
        (lambda frame: frame.drop(columns="delay"), "missing in the current window", True),
        (lambda frame: frame.assign(delay=np.nan), "no values in the current window", True),
        (lambda frame: frame.assign(delay=None), "no values in the current window", True),
        (lambda frame: frame.assign(delay=np.inf), "no values in the current window", True),
        (lambda frame: frame.assign(delay="late"), "numbers in the reference, object now", True),
        (lambda frame: frame.head(49), "49 values in the current window, 50 needed", None),
        (lambda frame: frame.head(1), "1 values in the current window, 50 needed", None),
        (lambda frame: frame.head(0), "no values in the current window", None),
        (lambda frame: pd.DataFrame(), "no values in the current window", None),
    ],
)
def test_a_column_without_a_score_says_why_and_never_that_nothing_happened(window, change, note, drifted):
    finding = by_column(drift(Reference.of(window(500)), change(window(500, seed=1))))["delay"]

    assert (finding.score, finding.note, finding.drifted) == (None, note, drifted)
    assert finding.reason


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda frame: frame.assign(delay=np.nan), "no values in the reference"),
        (lambda frame: frame.assign(delay=3.0), "constant in the reference (3)"),
        (lambda frame: frame.head(20), "20 values in the reference, 50 needed"),
        (lambda frame: frame.head(0), "no values in the reference"),
    ],
)
def test_a_column_without_a_reference_has_no_score_and_says_why(window, change, note):
    finding = by_column(drift(Reference.of(change(window(500))), window(500, seed=1)))["delay"]

    assert (finding.score, finding.note) == (None, note)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda frame: frame.drop(columns="carrier"), "missing in the current window"),
        (lambda frame: frame.assign(carrier=None), "no values in the current window"),
    ],
)
def test_categories_that_cannot_be_compared_say_why(window, change, note):
    finding = by_column(drift(Reference.of(window(500)), change(window(500, seed=1))))["carrier"]

    assert (finding.score, finding.note) == (None, note)


def test_a_column_that_became_constant_is_compared(window):
    finding = by_column(drift(Reference.of(window(500)), window(500, seed=1).assign(delay=0.0)))["delay"]

    assert finding.drifted


def test_a_column_that_is_constant_no_more_has_drifted_and_one_that_stays_so_has_not(window):
    reference, current = Reference.of(window(500).assign(delay=3.0)), window(500, seed=1)

    assert by_column(drift(reference, current))["delay"].drifted
    assert by_column(drift(reference, current.assign(delay=3.0)))["delay"].drifted is False


def test_infinities_among_the_values_are_counted_and_are_drift(window):
    current = window(2000, seed=1)
    current.loc[:200, "delay"] = np.inf

    finding = by_column(drift(Reference.of(window(5000)), current))["delay"]

    assert finding.note == "10.1% infinite, 0.0% in the reference"
    assert finding.drifted


@pytest.mark.parametrize("change", [{"reference": 1e200}, {"current": 1e308}, {"current": -1e308, "reference": 1e308}])
def test_values_too_large_to_be_compared_are_told_and_are_drift(window, change):
    frames = {"reference": window(500), "current": window(500, seed=1)}
    for name, value in change.items():
        frames[name].loc[:200, "delay"] = value

    findings = drift(Reference.of(frames["reference"]), frames["current"])

    finding = by_column(findings)["delay"]
    assert (finding.score, finding.drifted) == (None, True)
    assert finding.note.startswith("values too large to be compared, up to ")
    assert to_bytes(Evidence("m", NOW, Window(NOW, NOW), drift=findings))


def test_a_category_that_the_reference_held_and_its_sample_missed_is_not_new(window):
    reference, current = window(3000), window(500, seed=1)
    reference.loc[0, "carrier"] = current.loc[0, "carrier"] = "rare"

    sampled = Reference.of(reference, sample=300, seed=2)

    assert "rare" not in set(sampled.frame["carrier"])
    assert "new" not in by_column(drift(sampled, current))["carrier"].note


def test_a_new_category_is_named(window):
    current = window(2000, seed=1)
    current.loc[:200, "carrier"] = "XX"

    finding = by_column(drift(Reference.of(window(5000)), current))["carrier"]

    assert "new: 'XX', 10." in finding.note
    assert finding.drifted


def test_nulls_are_left_out_of_the_score_and_counted(window):
    finding = by_column(drift(Reference.of(window(5000)), window(2000, seed=1)))["seats"]

    now, then = window(2000, seed=1)["seats"].isna(), window(5000)["seats"].isna()
    assert finding.rows == (~now).sum()
    assert finding.note == f"{now.sum() / 2000:.1%} null, {then.mean():.1%} in the reference"


def test_booleans_and_objects_that_are_numbers_are_numbers():
    flags = pd.DataFrame({"flag": [True, False] * 50, "count": np.array([1, None, 2, 3] * 25, dtype=object)})

    findings = drift(Reference.of(flags), flags)

    assert [(finding.method, finding.rows) for finding in findings] == [(WASSERSTEIN, 100), (WASSERSTEIN, 75)]


def test_a_category_never_seen_before_counts_as_drift(window):
    current = window(500, seed=1)
    current.loc[: 500 // 4, "carrier"] = "new"

    assert by_column(drift(Reference.of(window(500)), current))["carrier"].drifted


def test_findings_fit_into_evidence_as_canonical_bytes(window):
    findings = drift(Reference.of(window(500)), window(500, seed=1).assign(delay=np.nan))

    assert to_bytes(Evidence("m", NOW, Window(NOW, NOW), drift=findings))


def test_a_reference_that_is_read_back_finds_the_same(window, tmp_path):
    reference = Reference.of(window(3000).assign(nothing=None, flag=True))
    current = window(1000, seed=1, shift=1.0).assign(nothing=None, flag=False)
    path = tmp_path / "reference.parquet"

    reference.write(path)

    again = Reference.read(path)
    assert drift(again, current) == drift(reference, current)
    assert again.rows == 3000


def test_a_reference_can_be_written_to_memory(window):
    written = io.BytesIO()
    Reference.of(window(200)).write(written)
    written.seek(0)

    assert Reference.read(written).rows == 200


def test_a_large_reference_is_sampled_the_same_way_each_time(window):
    frame = window(3000)

    first, second = (Reference.of(frame, seed=4, sample=500) for _ in range(2))

    pd.testing.assert_frame_equal(first.frame, second.frame)
    assert (len(first.frame), first.rows) == (500, 3000)
    assert first.profile["seats"].nulls == frame["seats"].isna().sum()


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_damaged_reference_is_refused(tmp_path, content):
    path = tmp_path / "reference.parquet"
    path.write_bytes(content)

    with pytest.raises(UnreadableReferenceError, match=r"reference\.parquet cannot be read"):
        Reference.read(path)


def test_another_parquet_file_is_no_reference(window, tmp_path):
    path = tmp_path / "other.parquet"
    window(10).to_parquet(path)

    with pytest.raises(UnreadableReferenceError, match="KeyError"):
        Reference.read(path)
