"""NannyML on its own data, run by the Python of .venv-peers; the last line is JSON with its estimates."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
CHUNK = 5000


def estimated(estimator: Any, reference: Any, analysis: Any, metrics: dict[str, str]) -> dict[str, Any]:
    """Estimates and limits by chunk of each metric, and what it cost."""
    started = time.process_time()
    estimator.fit(reference)
    fitted = time.process_time()
    frame = estimator.estimate(analysis).filter(period="analysis").to_df()
    done = time.process_time()
    found = {ours: [float(value) for value in frame[theirs]["value"]] for ours, theirs in metrics.items()}
    limits = {
        ours: [
            [float(low), float(high)]
            for low, high in zip(
                frame[theirs]["lower_confidence_boundary"], frame[theirs]["upper_confidence_boundary"], strict=True
            )
        ]
        for ours, theirs in metrics.items()
    }
    return {"value": found, "limits": limits, "fit_cpu_s": fitted - started, "estimate_cpu_s": done - fitted}


def main() -> None:
    """Estimate all three problems."""
    nannyml, pandas = (importlib.import_module(name) for name in ("nannyml", "pandas"))
    data = Path(str(nannyml.__file__)).parent / "datasets" / "data"

    def read(name: str) -> Any:
        return pandas.read_csv(data / f"{name}.csv")

    classes = {"auc": "roc_auc", "f1": "f1", "precision": "precision", "recall": "recall", "accuracy": "accuracy"}
    binary = nannyml.CBPE(
        problem_type="classification_binary",
        y_pred_proba="y_pred_proba",
        y_pred="y_pred",
        y_true="repaid",
        metrics=list(classes.values()),
        chunk_size=CHUNK,
    )
    several = nannyml.CBPE(
        problem_type="classification_multiclass",
        y_pred_proba={name: f"y_pred_proba_{name}" for name in ("prepaid_card", "highstreet_card", "upmarket_card")},
        y_pred="y_pred",
        y_true="y_true",
        metrics=list(classes.values()),
        chunk_size=CHUNK,
    )
    numbers = nannyml.DLE(
        feature_column_names=json.loads(sys.argv[1]),
        y_pred="y_pred",
        y_true="y_true",
        metrics=["mae", "rmse"],
        chunk_size=CHUNK,
    )
    loans, cards, cars = "synthetic_car_loan", "mc", "regression_synthetic"
    # The data's own answers are cut at 0.645, ours at one half: the same cut for both.
    halved = [
        frame.assign(y_pred=(frame["y_pred_proba"] > 0.5).astype(int))
        for frame in (read(f"{loans}_reference"), read(f"{loans}_analysis"))
    ]
    answer = {
        "data": str(data),
        "binary": estimated(binary, halved[0], halved[1], classes),
        "multiclass": estimated(several, read(f"{cards}_reference"), read(f"{cards}_analysis"), classes),
        "regression": estimated(
            numbers, read(f"{cars}_reference"), read(f"{cars}_analysis"), {"mae": "mae", "rmse": "rmse"}
        ),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
