"""Performance without labels on NannyML's own data: its CBPE and DLE, ours, and what the labels then said.

Both see the reference with labels and the analysis without; the labels of the analysis are only compared with. The
analysis is cut into windows of 5,000 rows, and in each of the three problems its second half has shifted.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contenders.apart import run_peer
from lifecycle.estimates import Estimate
from modeling.metrics import value as metric_value
from monitoring.block_ratios import reach_of
from monitoring.confidence import as_truth, learn_confidence
from monitoring.error_model import learn_errors

WINDOW = 5000
BLOCKS = 100
CARS = ["car_age", "km_driven", "price_new", "accident_count", "door_count", "fuel", "transmission"]
CARDS = ["prepaid_card", "highstreet_card", "upmarket_card"]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our estimates and the realised values, one a window, by metric."""

    stated: Mapping[str, list[Estimate]]
    realised: Mapping[str, list[float]]
    learn_cpu_s: float
    estimate_cpu_s: float


def loans(data: Path) -> Ours:
    """A yes or no: car loans."""
    reference, analysis = (pd.read_csv(data / f"synthetic_car_loan_{part}.csv") for part in ("reference", "analysis"))
    y = pd.read_csv(data / "synthetic_car_loan_analysis_target.csv")["repaid"].to_numpy()
    scores = analysis["y_pred_proba"].to_numpy()
    return of_classes(reference["y_pred_proba"].to_numpy(), reference["repaid"].to_numpy(), scores, y)


def cards(data: Path) -> Ours:
    """Three classes: which credit card."""
    reference, analysis = (pd.read_csv(data / f"mc_{part}.csv") for part in ("reference", "analysis"))
    y = pd.read_csv(data / "mc_analysis_gt.csv")["y_true"]
    columns = [f"y_pred_proba_{name}" for name in CARDS]
    known, asked = (pd.Categorical(labels, CARDS).codes for labels in (reference["y_true"], y))
    return of_classes(reference[columns].to_numpy(), known, analysis[columns].to_numpy(), asked)


def of_classes(known: Any, labels: Any, scores: Any, truth: Any) -> Ours:
    """Learn on the reference, estimate each window, and compare."""
    metrics = ("auc", "f1", "precision", "recall", "accuracy")
    started = time.process_time()
    learned = learn_confidence(known, labels, blocks_of(len(known)))
    assert learned is not None
    done = time.process_time()
    windows = cut(len(scores))
    stated = {metric: [found(learned.estimate(metric, scores[rows])) for rows in windows] for metric in metrics}
    ended = time.process_time()
    realised = {metric: [of_labels(metric, scores[rows], truth[rows]) for rows in windows] for metric in metrics}
    return Ours(stated, realised, done - started, ended - done)


def of_labels(metric: str, scores: Any, labels: Any) -> float:
    """A metric of one window, by the textbook; of several classes the plain mean over classes."""
    said = scores.reshape(len(scores), -1)
    true = as_truth(labels, said.shape[1])
    yes = said > 0.5 if said.shape[1] == 1 else np.eye(said.shape[1])[said.argmax(axis=1)] == 1
    if metric == "accuracy":
        return float((yes == (true == 1)).all(axis=1).mean())
    hits, told, there = (yes * true).sum(axis=0), yes.sum(axis=0), true.sum(axis=0)
    by_class = {"precision": hits / told, "recall": hits / there, "f1": 2 * hits / (told + there)}
    if metric == "auc":
        return float(np.mean([metric_value("auc", true[:, k], said[:, k]) for k in range(said.shape[1])]))
    return float(by_class[metric].mean())


def cars(data: Path) -> Ours:
    """A number: the price of a used car."""
    reference, analysis = (pd.read_csv(data / f"regression_synthetic_{part}.csv") for part in ("reference", "analysis"))
    y = pd.read_csv(data / "regression_synthetic_analysis_targets.csv")["y_true"].to_numpy()
    known, asked = (frame[CARS].assign(prediction=frame["y_pred"]) for frame in (reference, analysis))
    started = time.process_time()
    learned = learn_errors(known, reference["y_true"], blocks_of(len(known)))
    assert learned is not None
    done = time.process_time()
    metrics, windows = ("mae", "rmse"), cut(len(asked))
    stated = {metric: [found(learned.estimate(metric, asked.iloc[rows])) for rows in windows] for metric in metrics}
    ended = time.process_time()
    p = asked["prediction"].to_numpy()
    realised = {metric: [metric_value(metric, y[rows], p[rows]) for rows in windows] for metric in metrics}
    return Ours(stated, realised, done - started, ended - done)


def blocks_of(rows: int) -> Any:
    """Equal stretches of the reference in its own order."""
    return np.arange(rows) * BLOCKS // rows


def cut(rows: int) -> list[slice]:
    """The windows, in order."""
    return [slice(start, start + WINDOW) for start in range(0, rows - WINDOW + 1, WINDOW)]


def found(estimate: Estimate | None) -> Estimate:
    """A window that cannot be estimated would be no comparison."""
    assert estimate is not None
    return estimate


def compared(ours: Ours, theirs: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By metric: how far ours and theirs lie from each other and from the labels, and how often inside."""
    return {
        metric: _line(ours.stated[metric], ours.realised[metric], theirs["value"][metric], theirs["limits"][metric])
        for metric in ours.stated
    }


def _line(
    stated: Sequence[Estimate], realised: Sequence[float], theirs: Sequence[float], limits: Sequence[Sequence[float]]
) -> dict[str, float]:
    value, true, peer = (np.array(column) for column in ([one.value for one in stated], realised, theirs))
    inside = [one.low <= said <= one.high for one, said in zip(stated, realised, strict=True)]
    return {
        "max_difference": float(np.abs(value - peer).max()),
        "max_relative_difference": float(np.abs(value / peer - 1).max()),
        "our_mean_error": float(np.abs(value - true).mean()),
        "their_mean_error": float(np.abs(peer - true).mean()),
        "windows": len(inside),
        "within": int(np.sum(inside)),
        "within_unshifted": int(np.sum(inside[: len(inside) // 2])),
        "within_3sd": int(np.sum([_wider(one, said) for one, said in zip(stated, realised, strict=True)])),
        "their_within_3sd": int(
            np.sum([low <= said <= high for (low, high), said in zip(limits, realised, strict=True)])
        ),
    }


def _wider(one: Estimate, said: float) -> bool:
    """Whether a value lies in the interval as NannyML states its own, of three standard deviations."""
    reach = (one.high - one.low) / 2 / reach_of(one.blocks) * 3
    return abs(said - one.value) <= reach


def main() -> None:
    """Print a table, then JSON."""
    theirs = run_peer("benchmarks.estimation_peers.by_nannyml", json.dumps(CARS))
    problems = {"binary": loans, "multiclass": cards, "regression": cars}
    ours = {name: problem(Path(theirs["data"])) for name, problem in problems.items()}
    lines = {name: compared(ours[name], theirs[name]) for name in problems}
    print(f"{'':21} {'apart':>9} {'relative':>9} {'error':>8} {'theirs':>8} {'within':>8} {'3 sd':>5} {'theirs':>7}")
    for name, metrics in lines.items():
        for metric, line in metrics.items():
            apart = f"{line['max_difference']:>9.1e} {line['max_relative_difference']:>9.2%}"
            errors = f"{line['our_mean_error']:>8.4f} {line['their_mean_error']:>8.4f}"
            within = f"{line['within']:>5.0f}/{line['windows']:.0f}"
            wider = f"{line['within_3sd']:>5.0f} {line['their_within_3sd']:>7.0f}"
            print(f"{name:10} {metric:10} {apart} {errors} {within} {wider}")
    print(json.dumps(result(ours, theirs, lines)))


def result(ours: Mapping[str, Ours], theirs: Mapping[str, Any], lines: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are quoted."""
    every = [(name, metric, line) for name, metrics in lines.items() for metric, line in metrics.items()]
    headline = [line for _, metric, line in every if metric in {"auc", "mae", "rmse"}]
    return {
        "auc_max_difference": max(line["max_difference"] for _, metric, line in every if metric == "auc"),
        "dle_max_relative_difference": max(line["max_relative_difference"] for line in lines["regression"].values()),
        "within_share": _share(headline, "within"),
        "within_share_unshifted": 2 * _share(headline, "within_unshifted"),
        "within_share_3sd": {"ours": _share(headline, "within_3sd"), "nannyml": _share(headline, "their_within_3sd")},
        "within": {f"{name} {metric}": [line["within"], line["windows"]] for name, metric, line in every},
        "cpu_s": {
            name: {
                "ours": [round(ours[name].learn_cpu_s, 2), round(ours[name].estimate_cpu_s, 2)],
                "nannyml": [round(theirs[name]["fit_cpu_s"], 2), round(theirs[name]["estimate_cpu_s"], 2)],
            }
            for name in lines
        },
    }


def _share(lines: Sequence[Mapping[str, float]], what: str, of: str = "windows") -> float:
    return round(math.fsum(line[what] for line in lines) / math.fsum(line[of] for line in lines), 3)


if __name__ == "__main__":
    main()
