"""Frames to report on: 20 columns of numbers and 5 of categories. It needs pandas alone, so that peers read it too."""

from __future__ import annotations

import numpy as np
import pandas as pd

NUMBERS = [f"n{place}" for place in range(20)]
CATEGORIES = [f"c{place}" for place in range(5)]
_LEVELS = np.array([f"level {number}" for number in range(12)], dtype=object)


def frame(rows: int, *, seed: int, drifted: bool = False) -> pd.DataFrame:
    """Five distributions in turn; where it has drifted, two columns of numbers and one of categories have moved."""
    rng = np.random.default_rng(seed)
    draws = (
        lambda: rng.normal(50, 10, rows),
        lambda: rng.exponential(3, rows),
        lambda: rng.lognormal(0, 1, rows),
        lambda: rng.uniform(0, 1, rows),
        lambda: rng.poisson(4, rows).astype(float),
    )
    columns = {name: draws[place % len(draws)]() for place, name in enumerate(NUMBERS)}
    for place, name in enumerate(CATEGORIES):
        weights = 1 / (1.0 + np.arange(_LEVELS.size)) ** (1 + 0.2 * place)
        if drifted and place == 0:
            weights = weights[::-1]
        columns[name] = rng.choice(_LEVELS, rows, p=weights / weights.sum())
    moved = pd.DataFrame(columns)
    if drifted:
        moved["n0"] += 5.0
        moved["n3"] *= 1.5
    return moved
