"""Fitted transformers of scikit-learn, read as features.

Numbers get the transformer's own arithmetic. What happens to a category is asked of the transformer itself, once for
each known value and for the three odd ones, so that infrequent, dropped and unknown categories need no second
implementation. A transformer that is not on the list makes the pipeline not compilable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modeling.plan.blocks import Block, NotCompilableError, Raw, as_number
from modeling.plan.encoding import ENCODERS, asked, encoded
from modeling.plan.features import Category, Feature, Number, Op, Step


def transformed(transformer: Any, block: Block) -> Block:
    """The block after one fitted transformer.

    Raises:
        NotCompilableError: the transformer is not on the list, or not with these settings.
    """
    name = type(transformer).__name__ if transformer is not None else "passthrough"
    if transformer is None or isinstance(transformer, str):
        return block
    if _own_type(transformer) is None:
        raise NotCompilableError(f"{name} is not among the transformers that can be compiled")
    if block.sparse:
        raise NotCompilableError(f"{name} on a sparse matrix adds in another order")
    return _TRANSFORMERS[name](transformer, block)


def _own_type(transformer: Any) -> str | None:
    """The name of a transformer of the list; a class of the user's own with the same name is not on it."""
    kind = type(transformer)
    return kind.__name__ if kind.__module__.startswith("sklearn.") and kind.__name__ in _TRANSFORMERS else None


def chained(steps: Sequence[Any], block: Block) -> Block:
    """The block after several fitted transformers; an imputer of text goes together with the encoder behind it."""
    encoders = [place for place, step in enumerate(steps) if _own_type(step) in ENCODERS]
    text = any(isinstance(feature, Raw) and feature.kind == "text" for feature in block.features)
    if text and encoders and all(_own_type(step) == "SimpleImputer" for step in steps[: encoders[0]]):
        behind = encoders[0] + 1
        return chained(steps[behind:], encoded(steps[:behind], block))
    return functools.reduce(lambda so_far, step: transformed(step, so_far), steps, block)


def _columns(transformer: Any, block: Block) -> Block:
    """A fitted ColumnTransformer: each part on its own columns, side by side in the order of the parts."""
    chosen = _by_name(transformer, block)
    features: list[Raw | Feature] = []
    for name, part, _ in transformer.transformers_:
        places = list(transformer._transformer_to_input_indices[name])
        if not places or (isinstance(part, str) and part == "drop"):
            continue
        names = None if chosen.names is None else tuple(chosen.names[place] for place in places)
        made = transformed(part, Block(tuple(chosen.features[place] for place in places), names))
        features += made.features
    return Block(tuple(features), None, bool(transformer.sparse_output_))


def _by_name(transformer: Any, block: Block) -> Block:
    """The block in the order in which the transformer saw it, where it goes by names."""
    seen = getattr(transformer, "feature_names_in_", None)
    if seen is None or block.names is None:
        return block
    if not set(seen) <= set(block.names):
        raise NotCompilableError(f"columns {sorted(set(seen) - set(block.names))} are not in the signature")
    places = [block.names.index(name) for name in seen]
    return Block(tuple(block.features[place] for place in places), tuple(seen))


def _identity(transformer: Any, block: Block) -> Block:
    checks = isinstance(transformer.func, functools.partial) and transformer.func.func.__name__ == "check_array"
    if transformer.func is not None and not (checks and transformer.func.keywords.get("ensure_all_finite") is False):
        raise NotCompilableError("FunctionTransformer calls a function of its own")
    if transformer.validate:
        raise NotCompilableError("FunctionTransformer validates its input")
    return block


Arithmetic = Callable[[Any, int], Sequence[Step]]


def _numeric(arithmetic: Arithmetic, transformer: Any, block: Block) -> Block:
    """Arithmetic column by column; a table goes through the transformer itself."""
    made: list[Raw | Feature] = []
    for place, feature in enumerate(block.features):
        number = as_number(feature)
        if isinstance(number, Category):
            made.append(_through(transformer, number, place, len(block.features)))
            continue
        steps = [Step(Op.NOT_INFINITE), *arithmetic(transformer, place)]
        made.append(replace(number, steps=(*number.steps, *steps)))
    return Block(tuple(made))


def _standard(scaler: Any, place: int) -> list[Step]:
    centred = [Step(Op.SUBTRACT, scaler.mean_[place])] if scaler.with_mean else []
    return centred + ([Step(Op.DIVIDE, scaler.scale_[place])] if scaler.with_std else [])


def _min_max(scaler: Any, place: int) -> list[Step]:
    low, high = scaler.feature_range
    clipped = [Step(Op.AT_LEAST, low), Step(Op.AT_MOST, high)] if scaler.clip else []
    return [Step(Op.MULTIPLY, scaler.scale_[place]), Step(Op.ADD, scaler.min_[place]), *clipped]


def _max_abs(scaler: Any, place: int) -> list[Step]:
    clipped = [Step(Op.AT_LEAST, -1.0), Step(Op.AT_MOST, 1.0)] if scaler.clip else []
    return [Step(Op.DIVIDE, scaler.scale_[place]), *clipped]


def _robust(scaler: Any, place: int) -> list[Step]:
    centred = [Step(Op.SUBTRACT, scaler.center_[place])] if scaler.with_centering else []
    return centred + ([Step(Op.DIVIDE, scaler.scale_[place])] if scaler.with_scaling else [])


def _imputed(imputer: Any, block: Block) -> Block:
    """Numbers only: what an imputer does to text is asked together with the encoder that follows."""
    if not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        raise NotCompilableError(f"SimpleImputer replaces {imputer.missing_values!r} instead of NaN")
    features = [as_number(feature) for feature in block.features]
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    if np.isnan(statistics).any():
        raise NotCompilableError("SimpleImputer met a column without values")
    filled = _numeric(lambda _, place: [Step(Op.FILL, statistics[place])], imputer, Block(tuple(features)))
    if not imputer.add_indicator:
        return filled
    return Block((*filled.features, *(_is_missing(features[place]) for place in imputer.indicator_.features_)))


def _is_missing(feature: Feature) -> Feature:
    if isinstance(feature, Number):
        return replace(feature, steps=(*feature.steps, Step(Op.NOT_INFINITE), Step(Op.IS_NAN)))
    return replace(feature, table=np.isnan(feature.table).astype(np.float64))


def _through(transformer: Any, feature: Category, place: int, width: int) -> Category:
    """A table after a transformer that works column by column: ask it for each value of the table."""
    table, refused = feature.table.copy(), feature.refused.copy()
    for index, value in enumerate(feature.table):
        row = np.zeros((1, width))
        row[0, place] = value
        found = None if refused[index] else asked([transformer], row)
        refused[index] = found is None
        table[index] = 0.0 if found is None else found[0, place]
    return replace(feature, table=table, refused=refused)


_TRANSFORMERS: Mapping[str, Callable[[Any, Block], Block]] = {
    "Pipeline": lambda pipeline, block: chained([step for _, step in pipeline.steps], block),
    "ColumnTransformer": _columns,
    "FunctionTransformer": _identity,
    "SimpleImputer": _imputed,
    "StandardScaler": functools.partial(_numeric, _standard),
    "MinMaxScaler": functools.partial(_numeric, _min_max),
    "MaxAbsScaler": functools.partial(_numeric, _max_abs),
    "RobustScaler": functools.partial(_numeric, _robust),
    **{name: lambda encoder, block: encoded([encoder], block) for name in ENCODERS},
}
