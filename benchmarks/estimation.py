"""Performance without labels on NannyML's own data: its CBPE and DLE, ours, and what the labels then said.

Both see the reference with labels and the analysis without. The analysis is cut into windows of 5,000 rows, and in each
of the three problems its second half has shifted. Ours is stated three times: by chance alone, never shown a label of
the analysis, and with what was learned from windows whose labels have come, one window late and three windows late.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contenders.apart import run_peer
from lifecycle.estimates import Estimate
from lifecycle.moments import Window
from lifecycle.worth import EstimatedPerformance
from modeling.metrics import value as metric_value
from monitoring.block_ratios import reach_of
from monitoring.confidence import as_truth, learn_confidence
from monitoring.error_model import learn_errors
from monitoring.estimation import Past, reconciled, stated

WINDOW = 5000
BLOCKS = 100
DELAYS = (1, 3)
INTERVALS = ("chance", *(f"delay_{delay}" for delay in DELAYS), "chance_3sd", "nannyml")
HEADLINE = frozenset({"auc", "mae", "rmse"})
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


def learned_from(found: Sequence[Estimate], realised: Sequence[float], metric: str, delay: int) -> list[Estimate]:
    """The same estimates as a loop states them whose labels are complete so many windows after their window's end."""
    ends = [datetime(2021, 1, 1, tzinfo=UTC) + place * timedelta(days=7) for place in range(len(found) + delay)]
    told: list[Estimate] = []
    past: Past = {}
    for place, (estimate, value) in enumerate(zip(found, realised, strict=True)):
        one = EstimatedPerformance(metric, "", Window.before(ends[place], timedelta(days=7)), estimate)
        (said,) = stated((one,), past)
        assert said.estimate is not None
        told.append(said.estimate)
        past = {**past, ends[place + delay]: reconciled((said,), {metric: value}, past)}
    return told


def compared(ours: Ours, theirs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By metric: how far ours and theirs lie from each other and from the labels, and how often each is inside."""
    found: dict[str, dict[str, Any]] = {}
    for metric, chance in ours.stated.items():
        true = ours.realised[metric]
        said = {"chance": chance}
        said |= {f"delay_{delay}": learned_from(chance, true, metric, delay) for delay in DELAYS}
        said["chance_3sd"] = [_of_3sd(one) for one in chance]
        said["nannyml"] = [_as_estimate(low, high) for low, high in theirs["limits"][metric]]
        found[metric] = _apart(chance, true, theirs["value"][metric])
        found[metric] |= {name: inside(one, true, chance) for name, one in said.items()}
    return found


def _apart(ours: Sequence[Estimate], realised: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    value, true, peer = (np.array(column) for column in ([one.value for one in ours], realised, theirs))
    return {
        "max_difference": float(np.abs(value - peer).max()),
        "max_relative_difference": float(np.abs(value / peer - 1).max()),
        "our_mean_error": float(np.abs(value - true).mean()),
        "their_mean_error": float(np.abs(peer - true).mean()),
    }


def inside(said: Sequence[Estimate], realised: Sequence[float], chance: Sequence[Estimate]) -> dict[str, float]:
    """In how many windows the realised value lies within the limits, and how wide they are to those of chance alone.

    `before` and `after` count each half of the windows; the second one has shifted.
    """
    hits = [one.low <= value <= one.high for one, value in zip(said, realised, strict=True)]
    half = len(hits) // 2
    widths, alone = (np.array([one.high - one.low for one in several]) for several in (said, chance))
    return {
        "windows": len(hits),
        "within": sum(hits),
        "before": sum(hits[:half]),
        "after": sum(hits[half:]),
        "width_before": float(widths[:half].mean() / alone[:half].mean()),
        "width_after": float(widths[half:].mean() / alone[half:].mean()),
    }


def _of_3sd(one: Estimate) -> Estimate:
    """The interval as NannyML states its own, of three standard deviations."""
    reach = (one.high - one.value) / reach_of(one.blocks) * 3
    return _as_estimate(one.value - reach, one.value + reach)


def _as_estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, WINDOW, BLOCKS)


def main() -> None:
    """Print two tables, then JSON."""
    theirs = run_peer("benchmarks.estimation_peers.by_nannyml", json.dumps(CARS))
    problems = {"binary": loans, "multiclass": cards, "regression": cars}
    ours = {name: problem(Path(theirs["data"])) for name, problem in problems.items()}
    lines = {name: compared(ours[name], theirs[name]) for name in problems}
    every = {f"{name} {metric}": line for name, metrics in lines.items() for metric, line in metrics.items()}
    print(f"{'':21} {'apart':>9} {'relative':>9} {'error':>8} {'theirs':>8}")
    for name, line in every.items():
        apart = f"{line['max_difference']:>9.1e} {line['max_relative_difference']:>9.2%}"
        print(f"{name:21} {apart} {line['our_mean_error']:>8.4f} {line['their_mean_error']:>8.4f}")
    print("\ninside, before + after the shift; width to that of chance alone")
    print(f"{'':21}", *(f"{interval:>20}" for interval in INTERVALS))
    for name, line in every.items():
        print(f"{name:21}", *(f"{_told(line[interval]):>20}" for interval in INTERVALS))
    print(json.dumps(result(ours, theirs, every)))


def _told(one: Mapping[str, float]) -> str:
    hits = f"{one['before']:.0f}+{one['after']:.0f}/{one['windows']:.0f}"
    return f"{hits} {one['width_before']:.1f} {one['width_after']:.1f}"


def result(ours: Mapping[str, Ours], theirs: Mapping[str, Any], every: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are quoted."""
    headline = [line for name, line in every.items() if name.split()[1] in HEADLINE]
    apart = {name: (line["max_difference"], line["max_relative_difference"]) for name, line in every.items()}
    return {
        "auc_max_difference": max(apart["binary auc"][0], apart["multiclass auc"][0]),
        "dle_max_relative_difference": max(apart["regression mae"][1], apart["regression rmse"][1]),
        "within_share": {interval: shares([line[interval] for line in headline]) for interval in INTERVALS},
        "within_share_all_metrics": {
            interval: shares([line[interval] for line in every.values()]) for interval in INTERVALS
        },
        "within": {
            name: {interval: [line[interval][part] for part in ("within", "windows")] for interval in INTERVALS}
            for name, line in every.items()
        },
        "cpu_s": {
            name: {
                "ours": [round(one.learn_cpu_s, 2), round(one.estimate_cpu_s, 2)],
                "nannyml": [round(theirs[name]["fit_cpu_s"], 2), round(theirs[name]["estimate_cpu_s"], 2)],
            }
            for name, one in ours.items()
        },
    }


def shares(lines: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Share of all windows inside, of those before and of those after the shift; mean widths to chance alone."""
    windows = math.fsum(line["windows"] for line in lines)
    counted = {name: math.fsum(line[name] for line in lines) for name in ("within", "before", "after")}
    widths = {name: float(np.mean([line[name] for line in lines])) for name in ("width_before", "width_after")}
    found = {"within": counted["within"] / windows}
    found |= {name: 2 * counted[name] / windows for name in ("before", "after")}
    return {name: round(value, 3) for name, value in (found | widths).items()}


if __name__ == "__main__":
    main()
