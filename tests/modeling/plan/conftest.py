import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from modeling.pipeline import fitted


@pytest.fixture(scope="package")
def frame():
    """Questions of two texts and four numbers, some of them missing."""
    generator = np.random.default_rng(0)
    rows = 1500
    text = {
        "carrier": generator.choice(np.array(["AA", "UA", "B6", None], dtype=object), rows),
        "dest": generator.choice(np.array([f"D{place}" for place in range(40)], dtype=object), rows),
    }
    made = pd.DataFrame(text | {f"x{place}": generator.normal(size=rows) for place in range(4)})
    made.loc[generator.random(rows) < 0.05, "x1"] = np.nan
    return made


@pytest.fixture(scope="package")
def labels(frame):
    """Several kinds of answer to the same questions."""
    noise = np.random.default_rng(1).normal(size=len(frame))
    score = (frame["x0"] + frame["x1"].fillna(0) + (frame["carrier"] == "AA")).to_numpy() + noise
    return {
        "yes": (score > 0).astype(float),
        "three": np.digitize(score, [-0.5, 0.5]).astype(float),
        "number": score,
        "size": np.abs(score),
    }


@pytest.fixture(scope="package")
def boosted(frame, labels):
    """A classifier as the loop trains it by default."""
    return fitted(HistGradientBoostingClassifier(max_iter=20), frame, labels["yes"], seed=1)
