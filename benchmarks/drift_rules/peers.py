"""The same frames through other libraries, run by the Python of their environment: a line of JSON for each as it ends.

.venv-peers/bin/python -m benchmarks.drift_rules.peers 10000 nannyml whylogs
.venv-peers-alibi/bin/python -m benchmarks.drift_rules.peers 10000 alibi_detect
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.drift_rules.frames import CATEGORIES, NUMBERS, frame

Work = Callable[[], object]


def spent(work: Work) -> dict[str, float | str]:
    """Seconds of wall and CPU, or the error that ended it."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        work()
    except Exception as error:  # noqa: BLE001  (a peer that fails here is told of, and the others still run)
        return {"error": f"{type(error).__name__}: {str(error)[:100]}"}
    return {"wall": round(time.perf_counter() - wall, 3), "cpu": round(time.process_time() - cpu, 3)}


def nannyml(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Work]:
    """Univariate drift of the columns of numbers, one chunk."""
    library = importlib.import_module("nannyml")

    def calculated(method: str) -> None:
        calculator = library.UnivariateDriftCalculator(
            column_names=NUMBERS, continuous_methods=[method], chunk_size=len(current)
        )
        calculator.fit(reference)
        calculator.calculate(current)

    methods = ("kolmogorov_smirnov", "wasserstein", "jensen_shannon")
    return {f"nannyml {method}, fit and calculate": partial(calculated, method) for method in methods}


def whylogs(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Work]:
    """A profile of all columns of the window alone."""
    library = importlib.import_module("whylogs")
    library.log(reference.head(100))  # whatever it prepares at its first use is not the window's
    return {"whylogs profile of the window": lambda: library.log(current)}


def alibi_detect(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Work]:
    """Its tests of columns; categories are coded beforehand, as it needs them."""
    library = importlib.import_module("alibi_detect.cd")
    levels = {name: sorted(reference[name].unique()) for name in CATEGORIES}

    def coded(window: pd.DataFrame) -> Any:
        codes = [pd.Categorical(window[name], categories=levels[name]).codes for name in CATEGORIES]
        return np.column_stack([window[NUMBERS].to_numpy(), *codes])

    before, now = coded(reference), coded(current)
    places = dict.fromkeys(range(len(NUMBERS), len(NUMBERS) + len(CATEGORIES)))
    numbers = slice(len(NUMBERS))
    return {
        "alibi-detect KSDrift, numbers": lambda: library.KSDrift(before[:, numbers]).predict(now[:, numbers]),
        "alibi-detect TabularDrift, all columns": lambda: library.TabularDrift(
            before, categories_per_feature=dict(places)
        ).predict(now),
    }


LIBRARIES = {"nannyml": nannyml, "whylogs": whylogs, "alibi_detect": alibi_detect}


def main(rows: int, libraries: list[str]) -> None:
    """Measure each at so many rows, imports not counted."""
    reference, current = frame(rows, seed=1), frame(rows, seed=2, drifted=True)
    for library in libraries:
        for name, work in LIBRARIES[library](reference, current).items():
            print(json.dumps({name: spent(work)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
