"""A fitted pipeline of scikit-learn as a plan, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from modeling.pipeline import Kind
from modeling.plan.blocks import Block, NotCompilableError, Raw
from modeling.plan.estimators import Scored, scored
from modeling.plan.features import assemble
from modeling.plan.layout import laid_out
from modeling.plan.links import Link
from modeling.plan.plan import Plan
from modeling.plan.preprocessing import chained
from modeling.tasks import Task


@dataclass(frozen=True, slots=True)
class NotCompilable:
    """Why a pipeline has no plan; it is served by its own code."""

    reason: str


def compile_plan(
    pipeline: Any, task: Task, columns: Sequence[str], kinds: Sequence[Kind], X: pd.DataFrame | None = None
) -> Plan | NotCompilable:
    """Read a fitted pipeline as a plan; whether the plan may be used is for `verify` to say.

    Args:
        columns: names of the columns it is asked with, in order.
        kinds: of each column, `text` (str or None) or `number` (float64).
        X: some rows as they are asked, which show how the features of a linear model lie in memory.
    """
    block = Block(tuple(Raw(place, kind) for place, kind in enumerate(kinds)), tuple(columns))
    try:
        read = _read(pipeline, block)
        if task is Task.BINARY and not hasattr(pipeline, "predict_proba"):
            return NotCompilable(f"{type(pipeline).__name__} gives no probabilities")
        plan = Plan(tuple(columns), tuple(kinds), assemble(read.features), read.model, read.answer)
        return plan if X is None else laid_out(plan, pipeline, X)
    except NotCompilableError as error:
        return NotCompilable(str(error))


def _read(model: Any, block: Block) -> Scored:
    match type(model).__name__:
        case "Pipeline":
            steps = [step for _, step in model.steps]
            return _read(steps[-1], chained(steps[:-1], block))
        case "FrozenEstimator":
            return _read(model.estimator, block)
        case "CalibratedClassifierCV":
            return _calibrated(model, block)
        case _:
            return scored(model, block)


def _calibrated(model: Any, block: Block) -> Scored:
    """One sigmoid behind one binary classifier, as a recalibrated champion is."""
    members = model.calibrated_classifiers_
    if len(members) != 1 or model.method != "sigmoid" or len(model.classes_) != 2:
        raise NotCompilableError("a calibration other than one sigmoid of a yes-or-no classifier")
    inner = _read(members[0].estimator, block)
    sigmoid = members[0].calibrators[0]
    score = (*inner.answer, Link("column", (1.0,))) if inner.decision is None else inner.decision
    platt = Link("platt", (float(sigmoid.a_), float(sigmoid.b_)))
    return Scored(inner.features, inner.model, None, (*score, platt, Link("pair")))
