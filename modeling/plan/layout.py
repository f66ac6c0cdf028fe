"""How the features of several rows lie in memory when a linear model multiplies them: BLAS adds them accordingly.

It cannot be told from answers: behind a sigmoid most last bits are hidden, and one row in a thousand shows them.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from modeling.plan.blocks import NotCompilableError
from modeling.plan.plan import Linear, Plan

_ROWS = 9


def laid_out(plan: Plan, pipeline: Any, X: pd.DataFrame) -> Plan:
    """The plan with its features as they lie in the pipeline; any other model's plan as it is.

    Args:
        X: some rows as they are asked; at least one.

    Raises:
        NotCompilableError: they lie neither row by row nor column by column, or the pipeline raises on these rows.
    """
    if not isinstance(plan.model, Linear):
        return plan
    rows = X.iloc[np.arange(_ROWS) % len(X)]
    # Column by column, as a server makes a frame of a request.
    asked = pd.DataFrame({name: rows[name].to_numpy() for name in plan.columns})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unknown categories
        try:
            features = _features(pipeline, asked)
        except ValueError as error:
            raise NotCompilableError(f"it does not answer its own rows: {error}") from error
    if not (features.flags.c_contiguous or features.flags.f_contiguous):
        raise NotCompilableError("its features lie neither row by row nor column by column in memory")
    return replace(plan, model=replace(plan.model, by_column=not features.flags.c_contiguous), _row=[])


def _features(model: Any, X: Any) -> Any:
    """What the linear model at the end is asked with, (n, features), in its own memory layout."""
    from sklearn.utils import check_array

    match type(model).__name__:
        case "Pipeline":
            for _, step in model.steps[:-1]:
                X = X if step is None or isinstance(step, str) else step.transform(X)
            return _features(model.steps[-1][1], X)
        case "FrozenEstimator":
            return _features(model.estimator, X)
        case "CalibratedClassifierCV":
            return _features(model.calibrated_classifiers_[0].estimator, X)
    return check_array(X, ensure_all_finite=False)
