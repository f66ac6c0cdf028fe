"""A version's compiled plan as a tier: decoded columns in, the pipeline's own numbers out."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.deployment.encoding import Numbers
from mlflow_plugins.deployment.served import Predict
from mlflow_plugins.errors import UnusualValueError
from modeling.plan.plan import Plan

PLAN = "plan.npz"


def stored_plan(folder: Path) -> Plan | None:
    """The plan that was verified and stored when the version was registered, or none.

    Raises:
        UnreadablePlanError: there is a file, and it is no plan.
    """
    from modeling.plan.storage import from_bytes

    path = folder / PLAN
    return from_bytes(path.read_bytes()) if path.exists() else None


def predict_by(plan: Plan, columns: Sequence[Column]) -> Predict | None:
    """What answers decoded columns by the plan; none where the plan is of other columns."""
    if plan.columns != tuple(column.name for column in columns):
        return None
    if not {column.kind for column in columns} <= {Kind.DOUBLE, Kind.STRING}:
        return None
    numbers = [column.kind is Kind.DOUBLE for column in columns]
    flat = bool(plan.links) and plan.links[-1].name == "flat"
    answer_row = plan.predict_row

    def predict(values: Sequence[Values]) -> Any:
        if len(values[0]) > 1:
            return _rows(plan, numbers, values)
        row = [value[0] for value in values]
        try:
            found = answer_row(row)
        except struct.error:  # a gap among the numbers, which cannot be packed
            found = answer_row([
                math.nan if value is None and number else value for value, number in zip(row, numbers, strict=True)
            ])  # fmt: skip
        if found is None:
            raise UnusualValueError(plan.columns[0])
        return Numbers(found) if flat else Numbers((list(found),))

    return predict


def _rows(plan: Plan, numbers: Sequence[bool], values: Sequence[Values]) -> Any:
    pack = struct.Struct(f"{len(values[0])}d").pack
    columns = [_doubles(column, pack) if number else column for column, number in zip(values, numbers, strict=True)]
    found = plan.predict(columns)
    if found is None:
        raise UnusualValueError(plan.columns[0])
    return found


def _doubles(column: Values, pack: Callable[..., bytes]) -> Any:
    """One column as an array; packing is half the work of NumPy's own conversion, but knows no gaps."""
    try:
        return np.frombuffer(pack(*column))
    except struct.error:
        return np.array(column, dtype=np.float64)
