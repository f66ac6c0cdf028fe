"""The same frames through NannyML and whylogs, run by the Python of `.venv-peers`. The last line is JSON."""

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


def spent(work: Callable[[], Any]) -> dict[str, float | str]:
    """Seconds of wall and CPU, or the error that ended it."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        work()
    except Exception as error:  # noqa: BLE001  (a peer that fails here is told of, and the others still run)
        return {"error": f"{type(error).__name__}: {str(error)[:100]}"}
    return {"wall": round(time.perf_counter() - wall, 3), "cpu": round(time.process_time() - cpu, 3)}


def nannyml(method: str, reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Univariate drift of the columns of numbers, one chunk."""
    nml = importlib.import_module("nannyml")
    calculator = nml.UnivariateDriftCalculator(
        column_names=NUMBERS, continuous_methods=[method], chunk_size=len(current)
    )
    calculator.fit(reference)
    calculator.calculate(current)


def main(rows: int) -> None:
    """Measure each at so many rows, imports not counted."""
    importlib.import_module("nannyml")
    why = importlib.import_module("whylogs")
    reference, current = frame(rows, seed=1), frame(rows, seed=2, drifted=True)
    why.log(current.head(100))
    told = {
        **{
            f"nannyml {method}, fit and calculate": spent(partial(nannyml, method, reference, current))
            for method in ("kolmogorov_smirnov", "wasserstein", "jensen_shannon")
        },
        "whylogs profile of the window": spent(lambda: why.log(current)),
        "numpy": np.__version__,
        "columns": len(NUMBERS) + len(CATEGORIES),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]))
