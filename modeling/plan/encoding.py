"""Encoders of categories, read by asking them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from modeling.plan.blocks import Block, NotCompilableError, Raw
from modeling.plan.features import ODD, Category, Feature, Number
from modeling.tasks import Floats

ENCODERS = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})


def encoded(steps: Sequence[Any], block: Block) -> Block:
    """The block after an encoder, which imputers of text may precede; each column becomes one or more tables.

    Raises:
        NotCompilableError: the encoder answers other than float64, a number was changed before it, or an imputer
            added or dropped a column.
    """
    imputers, encoder = steps[:-1], steps[-1]
    if np.dtype(getattr(encoder, "dtype", np.float64)) != np.float64:
        raise NotCompilableError(f"{type(encoder).__name__} answers {np.dtype(encoder.dtype)}")
    if len(encoder.categories_) != len(block.features):
        raise NotCompilableError(f"{len(block.features)} columns come as {len(encoder.categories_)} to be encoded")
    replaced = [imputer.missing_values for imputer in imputers]
    probes = [_probes(one, [*encoder.categories_[at], *replaced]) for at, one in enumerate(block.features)]
    widths = _widths(encoder, len(block.features))
    made: list[Feature] = []
    for place, feature in enumerate(block.features):
        first = sum(widths[:place])
        answers = _answers(steps, block, probes, place)
        refused = np.array([answer is None for answer in answers])
        for output in range(first, first + widths[place]):
            table = np.array([0.0 if answer is None else answer[output] for answer in answers])
            made.append(_tabulated(feature, probes[place], table, refused))
    return Block(tuple(made), None, bool(getattr(encoder, "sparse_output", False)))


def _probes(feature: Raw | Feature, known: Sequence[Any]) -> list[Any]:
    """Everything that a column may hold: known values, then any other, None and NaN.

    Args:
        known: categories, and what an imputer replaces; None, NaN and values of another type are passed over.
    """
    if isinstance(feature, Category):
        return list(feature.table.tolist())
    if isinstance(feature, Raw) and feature.kind == "text":
        texts = list(dict.fromkeys(str(value) for value in known if isinstance(value, str)))
        other = "?"
        while other in texts:
            other += "?"
        return [*texts, other, None, math.nan]
    if isinstance(feature, Number) and feature.steps:
        raise NotCompilableError("numbers are changed before they are encoded")
    finite = dict.fromkeys(float(value) for value in known if isinstance(value, Real) and math.isfinite(value))
    numbers = [*finite, math.inf, -math.inf]
    return [*numbers, max([0.0, *numbers[:-2]]) + 1.0, math.nan, math.nan]


def _widths(encoder: Any, columns: int) -> list[int]:
    match type(encoder).__name__:
        case "OneHotEncoder":
            return list(encoder._n_features_outs)
        case "TargetEncoder" if encoder.target_type_ == "multiclass":
            return [len(encoder.classes_)] * columns
    return [1] * columns


def _answers(steps: Sequence[Any], block: Block, probes: Sequence[Sequence[Any]], place: int) -> list[Floats | None]:
    """What the steps make of each probe of one column, beside first known values in the others; none: they raise."""
    rows = [[column[0] for column in probes] for _ in probes[place]]
    for row, probe in zip(rows, probes[place], strict=True):
        row[place] = probe
    found = asked(steps, _input(rows, block))
    if found is not None:
        return list(found)
    alone = [asked(steps, _input([row], block)) for row in rows]
    return [None if answer is None else answer[0] for answer in alone]


def _input(rows: Sequence[Sequence[Any]], block: Block) -> pd.DataFrame | Floats:
    """Rows as the first step sees them: a frame of text and numbers, or an array."""
    text = [isinstance(feature, Raw) and feature.kind == "text" for feature in block.features]
    if block.names is None and not any(text):
        return np.array(rows, dtype=np.float64)
    if block.names is None:
        return np.array(rows, dtype=object)
    kinds = {name: object if is_text else np.float64 for name, is_text in zip(block.names, text, strict=True)}
    return pd.DataFrame(rows, columns=list(block.names), dtype=object).astype(kinds)


def asked(steps: Sequence[Any], rows: Any) -> Floats | None:
    """What fitted transformers make of some rows, (n, outputs); none where they raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names, and about unknown categories
        try:
            for step in steps:
                rows = step.transform(rows)
        except ValueError:
            return None
    dense = rows.toarray() if hasattr(rows, "toarray") else rows
    return np.asarray(dense, dtype=np.float64)


def _tabulated(feature: Raw | Feature, probes: Sequence[Any], table: Floats, refused: Any) -> Category:
    if isinstance(feature, Category):
        return replace(feature, table=table, refused=refused | feature.refused)
    return Category(feature.column, tuple(probes[:-ODD]), table, refused)
