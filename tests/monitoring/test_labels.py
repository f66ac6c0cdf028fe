from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lifecycle.evidence import Estimate, LabelCoverage
from lifecycle.moments import Window
from modeling.evaluation import block_interval
from monitoring.errors import MissingColumnsError, UnknownLabelStateError
from monitoring.labels import coverage, label_delay_p95
from monitoring.performance import realised

WEEK = Window(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 3, 15, tzinfo=UTC))


@pytest.mark.parametrize("kind", [list, pd.Series, np.array])
def test_labels_that_can_no_longer_come_leave_the_coverage(kind):
    states = ["labelled"] * 6 + ["waiting"] * 2 + ["never"] * 4

    found = coverage(kind(states))

    assert found == LabelCoverage(asked=12, labelled=6, waiting=2, never=4)
    assert found.share == 0.75


def test_no_questions_have_no_coverage():
    assert coverage([]) == LabelCoverage(0, 0, 0, 0)


def test_an_unknown_state_is_refused():
    with pytest.raises(UnknownLabelStateError, match=r"\['None', 'lost'\]"):
        coverage(["labelled", "lost", None])


def test_the_delay_is_that_within_which_nineteen_of_twenty_labels_came():
    hours = np.append(np.arange(1, 101).astype("timedelta64[h]"), np.timedelta64("NaT"))

    assert label_delay_p95(hours.astype("timedelta64[us]")) == timedelta(hours=95)


def test_without_a_label_there_is_no_delay():
    assert label_delay_p95(np.array([], dtype="timedelta64[us]")) is None
    assert label_delay_p95(np.array(["NaT"], dtype="timedelta64[us]")) is None


def predictions(rows=1400, blocks=14, seed=0):
    generator = np.random.default_rng(seed)
    p = generator.random(rows)
    return pd.DataFrame(
        {
            "prediction": p,
            "label": (generator.random(rows) < p).astype(float),
            "block": np.arange(rows) * blocks // rows,
        }
    )


def performance(frame, metric="brier"):
    known = int(frame["label"].notna().sum()) if "label" in frame else 0
    covered = LabelCoverage(len(frame), known, len(frame) - known, 0)
    return realised(frame, metric=metric, window=WEEK, coverage=covered, interval=block_interval)


def test_performance_is_that_of_the_labelled_rows():
    frame = predictions()
    frame.loc[::2, "label"] = np.nan
    labelled = frame.dropna()

    found = performance(frame)

    assert found.estimate == block_interval("brier", labelled["label"], labelled["prediction"], labelled["block"])
    assert (found.metric, found.window, found.coverage.labelled) == ("brier", WEEK, 700)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_window_of_one_class_has_no_auc_but_a_brier(label):
    frame = predictions().assign(label=label)

    assert performance(frame, "auc").estimate is None
    assert isinstance(performance(frame, "brier").estimate, Estimate)


@pytest.mark.parametrize(
    "frame",
    [predictions(blocks=6), predictions().head(0), predictions().assign(label=np.nan)],
    ids=["six days", "no rows", "no labels"],
)
def test_too_little_to_estimate_is_no_estimate_rather_than_an_error(frame):
    assert performance(frame).estimate is None


def test_labels_as_nullable_booleans_are_taken():
    frame = predictions()
    flags = frame.assign(label=pd.array(frame["label"] == 1, dtype="boolean"))

    assert performance(flags).estimate == performance(frame).estimate


def test_a_broken_prediction_is_an_error_and_not_an_unknown():
    from modeling.errors import PredictionError

    with pytest.raises(PredictionError, match="1 of 1400 rows"):
        performance(predictions().assign(prediction=lambda frame: frame["prediction"].where(frame.index > 0)))


def test_a_frame_without_labels_is_refused_by_name():
    with pytest.raises(MissingColumnsError, match=r"needs the columns \['label'\]"):
        performance(predictions().drop(columns="label"))
