"""Which way of serving a model has been proved: the verdict is made once, at registration, and stored with it.

Tier 3 is the compiled plan, tier 2 the pipeline with several requests in one call, tier 1 the pipeline with one
request a call. Equal means equal bits; a value at which the pipeline raises must be refused by the plan.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from modeling.plan.compile import NotCompilable
from modeling.plan.edges import edge_rows, odd_rows
from modeling.plan.engines import Engine, Numpy, engine
from modeling.plan.plan import Plan, row_function
from modeling.tasks import Floats, Task

COMPILED, TOGETHER, TYPED = 3, 2, 1
_SAMPLE = 400
_ALONE = 12
_TOGETHER = 96


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a version may be served.

    Attributes:
        tier: 3 compiled, 2 requests together, 1 each request alone.
        without_plan: the tier where the plan cannot be used after all.
        reasons: why it is no higher tier.
        samples: rows that were compared.
    """

    tier: int
    without_plan: int
    reasons: tuple[str, ...]
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A pipeline as it is asked."""

    ask: Callable[[pd.DataFrame], Any]

    def answer(self, X: pd.DataFrame) -> Floats | None:
        """What the pipeline says to some rows; none where it raises."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # overflow and unknown categories are what is being tried
            try:
                return np.ascontiguousarray(self.ask(X), dtype=np.float64)
            except Exception:  # noqa: BLE001  # a transformer of the user's own may raise anything
                return None


def _judged(pipeline: Any, task: Task) -> _Judged:
    return _Judged(pipeline.predict_proba if task is Task.BINARY else pipeline.predict)


def verify(found: Plan | NotCompilable, pipeline: Any, X: pd.DataFrame, task: Task) -> Verdict:
    """Compare a plan with its pipeline, and a row alone with the same row among others.

    Args:
        found: what `compile_plan` made of the pipeline.
        X: rows as they are asked, at least one; 400 of them are used.
    """
    judged, sample = _judged(pipeline, task), X.head(_SAMPLE).reset_index(drop=True)
    dependent = row_dependence(pipeline, sample, task)
    without = TYPED if dependent else TOGETHER
    reasons = (dependent,) if dependent else ()
    if isinstance(found, NotCompilable):
        return Verdict(without, without, (found.reason, *reasons), len(sample))
    samples = 0
    for rows in _questions(found, sample):
        samples += len(rows)
        problem = _difference(found, judged, rows)
        if problem is not None:
            return Verdict(without, without, (problem, *reasons), samples)
    return Verdict(COMPILED, without, reasons, samples)


def _questions(plan: Plan, sample: pd.DataFrame) -> Iterator[pd.DataFrame]:
    yield sample
    yield from (sample.iloc[place : place + 1] for place in range(min(_ALONE, len(sample))))
    yield sample.iloc[:2]
    yield sample.iloc[:7]
    edges = edge_rows(plan, sample)
    if len(edges):
        yield edges
        yield from (edges.iloc[place : place + 1] for place in range(min(_ALONE, len(edges))))
    yield from odd_rows(plan.columns, plan.kinds, sample)


def _difference(plan: Plan, judged: _Judged, rows: pd.DataFrame) -> str | None:
    """What differs first between a plan and its pipeline, or none."""
    expected = judged.answer(rows)
    if expected is None and len(rows) > 1:  # Which of them? The others are compared.
        half = len(rows) // 2
        return _difference(plan, judged, rows.iloc[:half]) or _difference(plan, judged, rows.iloc[half:])
    for by in (engine(), Numpy()):
        problem = _differs(plan, by, rows, expected)
        if problem is not None:
            return f"{problem} ({type(by).__name__})"
    return None


def _differs(plan: Plan, by: Engine, rows: pd.DataFrame, expected: Floats | None) -> str | None:
    columns = [rows[name].to_numpy() for name in plan.columns]
    answers = [("rows together", plan.predict(columns, by))]
    if len(rows) == 1:
        row = row_function(plan, by)(tuple(column[0] for column in columns))
        answers.append(("one row", None if row is None else np.array(row)))
    for how, answer in answers:
        if answer is None:
            continue  # Refused: the pipeline itself is asked, so it cannot be wrong.
        if expected is None:
            return f"the plan answers {how} on which the pipeline raises"
        different = np.flatnonzero(answer.ravel().view(np.int64) != expected.ravel().view(np.int64))
        if answer.size != expected.size or different.size:
            return f"{how}: {different.size} of {expected.size} numbers of the plan differ from the pipeline's"
    return None


def row_dependence(pipeline: Any, X: pd.DataFrame, task: Task) -> str | None:
    """Why rows cannot be answered together: an answer that depends on the rows beside it; none where none was seen.

    Each row is asked alone, first, last, in small and large company; all of its answers must have the same bits, and
    so must the scores behind them, because a sigmoid hides most last bits.
    """
    rows, problem = X.head(_TOGETHER), None
    if hasattr(pipeline, "decision_function"):
        problem = _dependence(_Judged(pipeline.decision_function), rows)
    return problem or _dependence(_judged(pipeline, task), rows)


def _dependence(judged: _Judged, rows: pd.DataFrame) -> str | None:
    together = judged.answer(rows)
    if together is None:
        return "the pipeline raises on rows that it was evaluated on"
    n, random = len(rows), np.random.default_rng(0)
    orders = [np.arange(n)[::-1], random.permutation(n), random.permutation(n)[: max(1, n // 3)]]
    orders += [np.arange(min(n, size)) for size in (2, 3, 8, 17)] + [
        np.array([place]) for place in range(min(n, _ALONE))
    ]
    orders += [np.resize(np.arange(n), 300)]
    for order in orders:
        again = judged.answer(rows.iloc[order])
        if again is None or again.tobytes() != np.ascontiguousarray(together[order]).tobytes():
            return f"an answer among {len(order)} rows has other bits than among {n}"
    return _gap_dependence(judged, rows)


def _gap_dependence(judged: _Judged, rows: pd.DataFrame) -> str | None:
    """The same of rows that lack a value each: one that fills gaps from the rows beside it is found by them alone."""
    gaps = [_one_gap(rows.iloc[[place % len(rows)]], name) for place, name in enumerate(rows.columns)]
    alone = [(row, answer) for row in [rows.head(2), *gaps] if (answer := judged.answer(row)) is not None]
    together = judged.answer(pd.concat([row for row, _ in alone], ignore_index=True))
    if together is None or together.tobytes() == b"".join(answer.tobytes() for _, answer in alone):
        return None
    return "an answer among rows that lack values has other bits than alone"


def _one_gap(row: pd.DataFrame, name: Hashable) -> pd.DataFrame:
    text = row[name].dtype == object
    return row.assign(**{str(name): pd.Series([None if text else np.nan], row.index, row[name].dtype)})
