import numpy as np
import pandas as pd
import pytest


def _window(rows, *, seed=0, shift=0.0, share=0.0):
    """Features and predictions; `shift` moves `delay`, `share` moves carriers from AA to UA."""
    generator = np.random.default_rng(seed)
    carriers = np.array(["AA", "UA", "DL"], dtype=object)
    frame = pd.DataFrame(
        {
            "delay": generator.exponential(10, rows) + shift,
            "distance": generator.normal(1000, 300, rows),
            "carrier": generator.choice(carriers, rows, p=[0.5 - share, 0.3 + share, 0.2]),
            "seats": generator.integers(50, 300, rows).astype(float),
            "prediction": generator.beta(2, 5, rows),
        }
    )
    frame.loc[generator.random(rows) < 0.1, "seats"] = np.nan
    frame.loc[generator.random(rows) < 0.05, "carrier"] = None
    return frame


@pytest.fixture(scope="session")
def window():
    """Makes the frame of a window."""
    return _window
