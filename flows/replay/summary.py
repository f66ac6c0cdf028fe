"""What a walk through history came to: the loop's champion beside the first one, month by month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from flows.evidence import labelled_predictions
from flows.frames import block_numbers, stored_input
from flows.judging import metric_value, paired_estimate
from flows.model import Model
from flows.replay.quarantined import quarantined_rows
from flows.results import Result
from flows.wiring import Loop
from lifecycle.actions import Hold, Promote, Retrain, Rollback
from lifecycle.decisions import WINDOW, Decision
from lifecycle.evidence import Estimate
from lifecycle.moments import Window, iso
from lifecycle.records import to_plain

METRICS = {"binary": ("brier", "auc"), "regression": ("rmse", "mae")}


@dataclass(frozen=True, slots=True)
class Month:
    """One calendar month (UTC) of questions."""

    month: str
    rows: int
    label_mean: float | None
    loop: dict[str, float]
    never: dict[str, float]
    drifted: int
    actions: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole walk.

    Attributes:
        loop: metrics of whatever version was champion at each question.
        never: metrics of the first champion on the same rows.
        difference: loss of never retraining minus loss of the loop, paired, by day; above zero the loop is better.
        waiting: questions whose label may still arrive.
        without: questions whose label never comes.
    """

    model: str
    window: Window
    months: tuple[Month, ...]
    loop: dict[str, float]
    never: dict[str, float]
    difference: Estimate | None
    decisions: tuple[Decision, ...]
    trainings: int
    promotions: int
    holds: int
    rollbacks: int
    rows: int
    waiting: int
    without: int
    fitted_rows: int
    fit_seconds: float
    quarantined: pl.DataFrame

    @property
    def refused(self) -> tuple[Decision, ...]:
        """Decisions that left a challenger where it was."""
        return tuple(d for d in self.decisions if d.stage != WINDOW and isinstance(d.action, Hold))

    def facts(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "model": self.model, "window": str(self.window), "rows": self.rows, "loop": self.loop, "never": self.never,
            "difference": to_plain(self.difference), "trainings": self.trainings, "promotions": self.promotions,
            "rollbacks": self.rollbacks, "holds": self.holds, "decisions": len(self.decisions),
            "labels_waiting": self.waiting, "labels_never": self.without, "quarantined_rows": self.quarantined.height,
            "months": [{"month": m.month, "rows": m.rows, "label_mean": m.label_mean, "loop": m.loop, "never": m.never,
                        "drift_findings": m.drifted, "actions": m.actions} for m in self.months],
            "refused": [{"as_of": iso(d.as_of), "reason": d.action.reason} for d in self.refused],
        }  # fmt: skip

    @property
    def lost(self) -> tuple[Month, ...]:
        """Months in which never retraining would have been better."""
        return tuple(month for month in self.months if month.loop and _first(month.loop) > _first(month.never))


def _first(values: dict[str, float]) -> float:
    return next(iter(values.values()))


def summarise(loop: Loop, model: Model, start: datetime, end: datetime) -> Summary:
    """Compare the loop with its first champion on every labelled question between two moments, as known at `end`."""
    window = Window(start, end)
    rows = _with_first_champion(loop, model, labelled_predictions(loop, model, window, end))
    known = rows.filter(pl.col("label").is_not_null()) if rows.height else rows
    decisions = tuple(d for d in loop.ledger.decisions(model.name) if start <= d.as_of <= end)
    trained = [_noted_training(loop, model, decision) for decision in decisions if decision.stage != WINDOW]
    return Summary(
        model=model.name,
        window=window,
        months=tuple(_months(model, known, decisions)),
        loop=_values(model, known, "prediction"),
        never=_values(model, known, "first_prediction"),
        difference=_difference(model, known),
        decisions=decisions,
        trainings=len(trained),
        promotions=_count(decisions, Promote),
        holds=_count(decisions, Hold),
        rollbacks=_count(decisions, Rollback),
        rows=rows.height,
        waiting=_states(rows, "waiting"),
        without=_states(rows, "never"),
        fitted_rows=sum(int(facts.get("fitted_rows", 0)) for facts in trained),
        fit_seconds=sum(float(facts.get("fit_seconds", 0)) for facts in trained),
        quarantined=quarantined_rows(loop.lake, model),
    )


def _with_first_champion(loop: Loop, model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    if not rows.height:
        return rows
    first = loop.ledger.epochs(model.name)[0]
    answers = loop.reign(first).loaded.predict(stored_input(rows, model))
    return rows.with_columns(first_prediction=pl.Series(answers, dtype=pl.Float64))


def _months(model: Model, known: pl.DataFrame, decisions: tuple[Decision, ...]) -> list[Month]:
    if not known.height:
        return []
    named = known.with_columns(month=pl.col("as_of").dt.strftime("%Y-%m"))
    return [
        Month(
            month=month,
            rows=rows.height,
            label_mean=float(rows["label"].cast(pl.Float64).mean()),  # type: ignore[arg-type]  # mean of floats
            loop=_values(model, rows, "prediction"),
            never=_values(model, rows, "first_prediction"),
            drifted=sum(_drifted(d) for d in decisions if _in_month(d, month) and d.stage == WINDOW),
            actions=_actions([d for d in decisions if _in_month(d, month)]),
        )
        for (month,), rows in sorted(named.partition_by("month", as_dict=True).items())
    ]


def _in_month(decision: Decision, month: str) -> bool:
    return iso(decision.as_of).startswith(month)


def _drifted(decision: Decision) -> int:
    return len(decision.evidence.drifted)


def _actions(decisions: list[Decision]) -> str:
    """The actions of a month: `hold 3, retrain 1, refused 1, promote v2`."""
    words: dict[str, int] = {}
    for decision in decisions:
        match decision.action:
            case Promote(version=version):
                word = f"promote v{version}"
            case Rollback(to_version=version):
                word = f"roll back to v{version}"
            case Retrain():
                word = "retrain"
            case Hold() if decision.stage != WINDOW:
                word = "refused"
            case _:
                word = type(decision.action).__name__.lower()
        words[word] = words.get(word, 0) + 1
    return ", ".join(word if word[-1].isdigit() else f"{word} {count}" for word, count in words.items())


def _values(model: Model, rows: pl.DataFrame, column: str) -> dict[str, float]:
    if not rows.height:
        return {}
    y, p = rows["label"].cast(pl.Float64).to_numpy(), rows[column].to_numpy()
    if model.task == "binary" and np.unique(y).size < 2:
        return {"brier": metric_value("brier", y, p)}
    return {metric: metric_value(metric, y, p) for metric in METRICS[model.task]}


def _difference(model: Model, known: pl.DataFrame) -> Estimate | None:
    if not known.height:
        return None
    blocks = block_numbers(known["as_of"], model.block).to_numpy()
    y = known["label"].cast(pl.Float64).to_numpy()
    pair = known["first_prediction"].to_numpy(), known["prediction"].to_numpy()
    return paired_estimate(METRICS[model.task][0], y, pair, blocks, model.seed)


def _count(decisions: tuple[Decision, ...], kind: type) -> int:
    return sum(isinstance(decision.action, kind) for decision in decisions)


def _states(rows: pl.DataFrame, state: str) -> int:
    return int((rows["label_state"] == state).sum()) if rows.height else 0


def _noted_training(loop: Loop, model: Model, decision: Decision) -> dict[str, Any]:
    noted = loop.journal.finished(f"{model.name}|{iso(decision.as_of)}|train")
    return dict(Result.from_json(noted).facts) if noted else {}
