from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from modeling.tasks import Task
from modeling.training import train
from modeling.training_plan import TrainingPlan, TrainingSet

DAY = np.timedelta64(1, "D")


def moments(days):
    """Days after 2013-01-01 as moments."""
    return np.datetime64("2013-01-01", "us") + (np.asarray(days) * 86_400_000_000).astype("timedelta64[us]")


def _questions(rows=6000, days=120, seed=0):
    """Yes-or-no questions whose answer hangs on `signal` and `carrier`; labels take a day."""
    generator = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "carrier": generator.choice(np.array(["AA", "UA", None], dtype=object), rows),
            "signal": generator.normal(size=rows),
            "noise": generator.normal(size=rows),
            "weekend": generator.random(rows) < 0.3,
        }
    )
    X.loc[generator.random(rows) < 0.05, "noise"] = np.nan
    score = 1.5 * X["signal"] + (X["carrier"] == "AA") - 0.5
    y = (generator.random(rows) < 1 / (1 + np.exp(-score))).astype(float).to_numpy()
    as_of = moments(np.sort(generator.random(rows)) * days)
    return TrainingSet(X, y, as_of, as_of + DAY)


def _plan(**changes):
    defaults = {
        "task": Task.BINARY,
        "metric": "brier",
        "now": datetime(2013, 5, 1, tzinfo=UTC),
        "evaluation": timedelta(days=28),
        "gap": timedelta(days=2),
        "seed": 7,
    }
    return TrainingPlan(**(defaults | changes))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """OpenMP threads that wait for each other on a busy machine cost more than these small fits."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def questions():
    """Makes a training set."""
    return _questions


@pytest.fixture(scope="session")
def training_set():
    return _questions()


@pytest.fixture(scope="session")
def plan():
    """Makes a plan with some fields changed."""
    return _plan


@pytest.fixture(scope="session")
def trained(training_set):
    """One training, for tests that only look at it."""
    return train(training_set, HistGradientBoostingClassifier(max_iter=20), _plan())
