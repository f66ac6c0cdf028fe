"""What a judgement and its run cost: intervals beside scikit-learn by hand, a run beside MLflow's fluent API.

Each training judges its candidates with intervals of 2,000 draws of whole days, and each step of the loop logs a run.
By hand a draw is one call of scikit-learn's metric on the drawn rows, twice, since two models are compared; fifty draws
are measured, and the cost told for 2,000. A run has a tag and five metrics, on SQLite in this process.

    python -m benchmarks.judgements

CPU seconds of the round that cost the least; the last line is JSON.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
from sklearn import metrics

from benchmarks.contenders.meter import least_cost
from mlflow_plugins.connection import connect
from mlflow_plugins.tracking import MlflowTracker
from modeling.evaluation import paired_interval

ROWS, DRAWS, BY_HAND = 20_000, 2_000, 50
RUNS, ROUNDS = 20, 5
CASES = (("brier", 28), ("auc", 28), ("auc", 5_000), ("r2", 28))
"""A metric, and into how many blocks the rows fall."""
SKLEARN = {"brier": metrics.brier_score_loss, "auc": metrics.roc_auc_score, "r2": metrics.r2_score}
MEASURED = {f"m{place}": float(place) for place in range(5)}

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]


def main() -> None:
    """Measure both, print a line each and the JSON."""
    judged, logged = intervals(), runs()
    for what, costs in {**judged, "a run, ms": logged}.items():
        print(f"{what:24}" + "".join(f"{name} {cost:>10.4f}   " for name, cost in costs.items()))
    print(json.dumps({"interval_cpu_s": judged, "run_cpu_ms": logged}))


def intervals() -> dict[str, dict[str, float]]:
    """The cost of each interval, ours and by hand."""
    y, ours, noisy = answers()
    found = {}
    for metric, count in CASES:
        blocks = np.arange(ROWS) * count // ROWS
        fast, _ = least_cost(partial(paired_interval, metric, y, (noisy, ours), blocks), ROUNDS)
        slow, _ = least_cost(partial(by_hand, metric, y, (noisy, ours), blocks), 1)
        found[f"{metric}, {count} blocks"] = {
            "incumbent": round(fast["cpu_s"], 4),
            "by_hand": round(slow["cpu_s"] * DRAWS / BY_HAND, 2),
        }
    return found


def answers() -> tuple[Floats, Floats, Floats]:
    """Labels, and the probabilities of two models, the second noisier."""
    random = np.random.default_rng(0)
    truth = random.random(ROWS)
    noisy = np.clip(truth + random.normal(0, 0.2, ROWS), 0, 1)
    return (random.random(ROWS) < truth).astype(float), truth, noisy


def by_hand(metric: str, y: Floats, predictions: tuple[Floats, Floats], blocks: Integers) -> list[float]:
    """Differences of a metric over drawn blocks, as one would write them with scikit-learn."""
    score, random = SKLEARN[metric], np.random.default_rng(0)
    count = blocks[-1] + 1
    rows_of = np.split(np.arange(len(y)), np.flatnonzero(np.diff(blocks)) + 1)
    first, second = predictions
    found = []
    for _ in range(BY_HAND):
        rows = np.concatenate([rows_of[block] for block in random.integers(0, count, count)])
        found.append(score(y[rows], first[rows]) - score(y[rows], second[rows]))
    return found


def runs() -> dict[str, float]:
    """Milliseconds of CPU of a run, ours and with MLflow's fluent API."""
    with tempfile.TemporaryDirectory(prefix="incumbent-runs-") as folder:
        connection = connect(f"sqlite:///{folder}/mlflow.db", artifacts=Path(folder) / "artifacts")
        tracker = MlflowTracker(connection)
        mlflow.set_tracking_uri(connection.tracking_uri)
        mlflow.set_experiment("by hand")
        costs = {name: least_cost(many(one), ROUNDS)[0]["cpu_s"] for name, one in
                 (("incumbent", lambda: ours_once(tracker)), ("mlflow_fluent", fluent_once))}  # fmt: skip
    return {name: round(cost / RUNS * 1e3, 2) for name, cost in costs.items()}


def many(once: Callable[[], None]) -> Callable[[], None]:
    """So many runs one after another."""

    def work() -> None:
        for _ in range(RUNS):
            once()

    return work


def ours_once(tracker: MlflowTracker) -> None:
    """A run of ours."""
    with tracker.run("ours", "step") as run:
        run.tags({"flow": "run"})
        run.metrics(MEASURED)


def fluent_once() -> None:
    """The same with `mlflow.start_run`."""
    with mlflow.start_run(run_name="step"):
        mlflow.set_tag("flow", "run")
        mlflow.log_metrics(MEASURED)


if __name__ == "__main__":
    main()
