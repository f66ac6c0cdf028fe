"""The kernel alone, from features to a probability: ours, NumPy's, scikit-learn's, ONNX Runtime's and treelite's.

All on one thread. A peer that is fast and says something else is no peer, so the rows whose bits are scikit-learn's
are counted beside the time.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.contenders.apart import ROOT, peers_python
from benchmarks.kernel_peers.question import COLUMNS, SIZES, asked, cpu_us, trained
from modeling.plan.compile import NotCompilable, compile_plan
from modeling.plan.engines import Engine, Numba, Numpy
from modeling.plan.links import linked, row_link
from modeling.plan.plan import Linear, Plan
from modeling.tasks import Task


def kernel(plan: Plan, by: Engine) -> Callable[[Any], Any]:
    """From features to probabilities, by one engine; one row takes the way of single rows."""
    assert not isinstance(plan.model, Linear)
    model, row, link = plan.model, by.row(plan.program, plan.model), row_link(plan.links)
    batch = by.batch(model)

    def answer(X: Any) -> Any:
        return link(row(X[0])) if len(X) == 1 else linked(plan.links, batch(X))

    return answer


def ours(X: Any, y: Any) -> tuple[dict[str, dict[int, float]], dict[str, Any]]:
    """CPU of our kernels and of scikit-learn, and what each says."""
    model = trained(X, y)
    names = [f"x{place}" for place in range(COLUMNS)]
    plan = compile_plan(model, Task.BINARY, names, ["number"] * COLUMNS)
    assert not isinstance(plan, NotCompilable), plan
    kernels = {"ours": kernel(plan, Numba()), "ours in NumPy": kernel(plan, Numpy()), "sklearn": model.predict_proba}
    timed = {name: {n: cpu_us(answer, X, n) for n in SIZES} for name, answer in kernels.items()}
    return timed, {name: np.ascontiguousarray(answer(X)[:, 1]) for name, answer in kernels.items()}


def peers() -> tuple[dict[str, dict[int, float]], dict[str, Any]]:
    """The same of the peers, in their own environment."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "answers.npz"
        command = [peers_python(), "-m", "benchmarks.kernel_peers.measure", str(file)]
        one = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=one)
        with np.load(file) as answers:
            said = {name: answers[name] for name in answers.files}
    timed = json.loads(done.stdout.splitlines()[-1])
    return {name: {int(n): us for n, us in cells.items()} for name, cells in timed.items()}, said


def measured() -> dict[str, Any]:
    """A table, and what it says: CPU of each kernel, rows with scikit-learn's bits, and ours to the better peer."""
    importlib.import_module("sklearn.ensemble")  # what is not loaded yet cannot be limited
    with threadpool_limits(1):
        timed, said = ours(*asked())
    timed_there, said_there = peers()
    timed, said, truth = timed | timed_there, said | said_there, said["sklearn"]
    equal = {name: int((answer == truth).sum()) for name, answer in said.items()}
    furthest = {name: float(np.abs(answer - truth).max()) for name, answer in said.items()}
    print(f"{'kernel':18} {'1 row, us':>10} {'100 rows, us':>13} {'equal bits':>11} {'furthest off':>13}")
    for name, cells in timed.items():
        print(f"{name:18} {cells[1]:>10.1f} {cells[100]:>13.1f} {equal[name]:>11,} {furthest[name]:>13.1e}")
    ratio = {n: timed["ours"][n] / min(timed["onnxruntime f32"][n], timed["treelite"][n]) for n in SIZES}
    return {"cpu_us": timed, "equal_of_20000": equal, "furthest": furthest, "ours_to_better_peer": ratio}


def main() -> None:
    """Print a table, then JSON."""
    print(json.dumps(measured()))


if __name__ == "__main__":
    main()
