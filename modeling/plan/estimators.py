"""Fitted estimators of scikit-learn, read as trees or weights, and the functions behind their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modeling.plan.blocks import Block, NotCompilableError, as_number
from modeling.plan.features import Category, Feature, Number, Op, Step
from modeling.plan.links import Link
from modeling.plan.plan import Linear
from modeling.plan.trees import CATEGORICAL, MISSING_LEFT, WORDS, Tree, Trees, flatten
from modeling.tasks import Floats

MAX_FEATURES = 2**15 - 1


@dataclass(frozen=True, slots=True)
class Scored:
    """An estimator, read.

    Attributes:
        features: what it is asked with, its own checks included.
        model: from features to scores.
        decision: from scores to `decision_function`, (n, k); none where the estimator has none.
        answer: from scores to `predict_proba` or `predict`.
    """

    features: tuple[Feature, ...]
    model: Trees | Linear
    decision: tuple[Link, ...] | None
    answer: tuple[Link, ...]


def scored(estimator: Any, block: Block) -> Scored:
    """Read a fitted estimator behind the features of a block.

    Raises:
        NotCompilableError: it is not among the estimators that can be read, or not with these settings.
    """
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn.") or kind.__name__ not in _ESTIMATORS:
        raise NotCompilableError(f"{kind.__name__} is not among the estimators that can be compiled")
    seen = getattr(estimator, "feature_names_in_", None)
    if seen is not None and block.names is not None and list(seen) != list(block.names):
        raise NotCompilableError(f"{kind.__name__} was fitted on columns in another order")
    made = _ESTIMATORS[kind.__name__](estimator, block)
    if len(made.features) > MAX_FEATURES:
        raise NotCompilableError(f"{len(made.features)} features are more than {MAX_FEATURES}")
    return made


def _checked(block: Block, *steps: Op) -> tuple[Feature, ...]:
    return tuple(_with_steps(as_number(feature), steps) for feature in block.features)


def _with_steps(feature: Feature, ops: Sequence[Op]) -> Feature:
    """Steps and checks behind a feature; on a table they are done now."""
    if isinstance(feature, Number):
        return Number(feature.column, (*feature.steps, *(Step(op) for op in ops)))
    table, refused = feature.table, feature.refused
    for op in ops:
        with np.errstate(over="ignore"):
            table = table.astype(np.float32).astype(np.float64) if op is Op.FLOAT32 else table
        bad = {Op.FINITE: ~np.isfinite(table), Op.NOT_INFINITE: np.isinf(table)}.get(op)
        refused = refused if bad is None else refused | bad
    return Category(feature.column, feature.keys, table, refused)


def _bits_of(node_sets: Any, known: Any, missing_left: bool) -> Any:
    """Categories that go left: those of the split, and with the missing those that training did not know."""
    return node_sets | ~known if missing_left else node_sets


def _boosted_tree(predictor: Any, known: Any, places: Any, sets: list[Any]) -> Tree:
    nodes = predictor.nodes
    leaf, categorical = nodes["is_leaf"] != 0, nodes["is_categorical"] != 0
    threshold = nodes["num_threshold"].copy()
    for place in np.flatnonzero(categorical & ~leaf):
        node = nodes[place]
        own = predictor.raw_left_cat_bitsets[node["bitset_idx"]]
        threshold[place] = len(sets)
        sets.append(_bits_of(own, known[places[node["feature_idx"]]], bool(node["missing_go_to_left"])))
    flags = MISSING_LEFT * (nodes["missing_go_to_left"] != 0) + CATEGORICAL * categorical
    left = np.where(leaf, -1, nodes["left"].astype(np.int64))
    return Tree(
        left=left.astype(np.int32),
        right=nodes["right"].astype(np.int32),
        feature=nodes["feature_idx"].astype(np.int32),
        threshold=threshold,
        flags=flags.astype(np.int32),
        answer=nodes["value"],
    )


def _hist_boosting(estimator: Any, block: Block) -> Scored:
    """HistGradientBoosting: the baseline first, then each tree of each iteration."""
    from modeling.plan.preprocessing import transformed

    if block.sparse:
        raise NotCompilableError(f"{type(estimator).__name__} takes no sparse matrix")
    inner = estimator._preprocessor
    features = block if inner is None else transformed(inner, block)
    known, places = estimator._bin_mapper.make_known_categories_bitsets()
    sets: list[Any] = []
    trees = [_boosted_tree(one, known, places, sets) for iteration in estimator._predictors for one in iteration]
    base = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel() + 0.0
    outputs = [k for iteration in estimator._predictors for k in range(len(iteration))]
    model = flatten(trees, outputs, base, np.array(sets, np.uint32))
    return Scored(_checked(features), model, (), _boosting_answer(estimator, base.size, by_column=1.0))


_LINKS: Mapping[str, tuple[Link, ...]] = {
    "IdentityLink": (),
    "LogLink": (Link("exp"),),
    "LogitLink": (Link("expit"),),
    "HalfLogitLink": (Link("half expit"),),
}


def _boosting_answer(estimator: Any, k: int, *, by_column: float) -> tuple[Link, ...]:
    if k > 1:
        return (Link("softmax", (by_column,)),)
    name = type(estimator._loss.link).__name__
    if name not in _LINKS:
        raise NotCompilableError(f"{type(estimator).__name__} answers through {name}")
    return (*_LINKS[name], Link("pair" if hasattr(estimator, "predict_proba") else "flat"))


def _cart(tree: Any, answer: Floats) -> Tree:
    """A decision tree with given answers of its nodes."""
    inner = tree.tree_
    return Tree(
        left=inner.children_left.astype(np.int32),
        right=inner.children_right.astype(np.int32),
        feature=inner.feature.astype(np.int32),
        threshold=inner.threshold,
        flags=MISSING_LEFT * (inner.missing_go_to_left != 0).astype(np.int32),
        answer=answer,
    )


_NO_SETS = np.empty((0, WORDS), np.uint32)


def _gradient_boosting(estimator: Any, block: Block) -> Scored:
    """GradientBoosting: the initial constant, then the learning rate times each tree."""
    if type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor", "str"):
        raise NotCompilableError(f"GradientBoosting starts from {type(estimator.init_).__name__}")
    zeros = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    base = np.asarray(estimator._raw_predict_init(zeros), dtype=np.float64).ravel()
    stages = estimator.estimators_
    trees = [_cart(tree, estimator.learning_rate * tree.tree_.value[:, 0, 0]) for stage in stages for tree in stage]
    model = flatten(trees, [k for stage in stages for k in range(len(stage))], base, _NO_SETS)
    answer = _boosting_answer(estimator, base.size, by_column=0.0)
    return Scored(_checked(block, Op.FLOAT32, Op.FINITE), model, (), answer)


def _values(tree: Any) -> Floats:
    if tree.n_outputs_ != 1:
        raise NotCompilableError(f"{type(tree).__name__} has {tree.n_outputs_} outputs")
    found: Floats = tree.tree_.value[:, 0, :]
    return found


def _float32(estimator: Any, block: Block) -> tuple[Feature, ...]:
    dense = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    missing = estimator._support_missing_values(dense) and not block.sparse
    return _checked(block, Op.FLOAT32, Op.NOT_INFINITE if missing else Op.FINITE)


def _forest(estimator: Any, block: Block) -> Scored:
    """A forest: the mean of its trees, added in their order."""
    if estimator.n_jobs not in (None, 1):
        raise NotCompilableError(f"with n_jobs={estimator.n_jobs} a forest adds its trees in the order they finish")
    members = estimator.estimators_
    trees = [_cart(tree, _values(tree)) for tree in members]
    base = np.zeros(trees[0].answer.shape[1])
    links = (Link("mean", (float(len(members)),)), *_flat(estimator))
    return Scored(_float32(members[0], block), flatten(trees, (), base, _NO_SETS), None, links)


def _flat(estimator: Any) -> tuple[Link, ...]:
    return () if hasattr(estimator, "predict_proba") else (Link("flat"),)


def _decision_tree(estimator: Any, block: Block) -> Scored:
    # Minus zero plus x is x, also where x is minus zero.
    tree = _cart(estimator, _values(estimator))
    base = np.full(tree.answer.shape[1], -0.0)
    return Scored(_float32(estimator, block), flatten([tree], (), base, _NO_SETS), None, _flat(estimator))


def _linear(estimator: Any, block: Block) -> Linear:
    """The weights as the estimator hands them to BLAS; the transposed view matters, the copy would be another call."""
    if block.sparse:
        raise NotCompilableError(f"{type(estimator).__name__} adds up a sparse matrix in another order")
    coefficients = np.asarray(estimator.coef_, dtype=np.float64)
    weights = coefficients.T if coefficients.ndim == 2 else coefficients
    return Linear(weights, np.asarray(estimator.intercept_, dtype=np.float64))


def _regression(estimator: Any, block: Block) -> Scored:
    model = _linear(estimator, block)
    if model.weights.ndim == 2 and model.weights.shape[1] > 1:
        raise NotCompilableError(f"{type(estimator).__name__} has {model.weights.shape[1]} outputs")
    shape = () if model.weights.ndim == 2 else (Link("flat"),)
    return Scored(_checked(block, Op.FINITE), model, None, shape)


def _logistic(estimator: Any, block: Block) -> Scored:
    model, features = _linear(estimator, block), _checked(block, Op.FINITE)
    if len(estimator.classes_) > 2:
        return Scored(features, model, (), (Link("softmax", (0.0,)),))
    return Scored(features, model, (), (Link("expit"), Link("pair")))


_ESTIMATORS: Mapping[str, Callable[[Any, Block], Scored]] = {
    "HistGradientBoostingClassifier": _hist_boosting,
    "HistGradientBoostingRegressor": _hist_boosting,
    "GradientBoostingClassifier": _gradient_boosting,
    "GradientBoostingRegressor": _gradient_boosting,
    "RandomForestClassifier": _forest,
    "RandomForestRegressor": _forest,
    "ExtraTreesClassifier": _forest,
    "ExtraTreesRegressor": _forest,
    "DecisionTreeClassifier": _decision_tree,
    "DecisionTreeRegressor": _decision_tree,
    "ExtraTreeClassifier": _decision_tree,
    "ExtraTreeRegressor": _decision_tree,
    "LogisticRegression": _logistic,
    "LinearRegression": _regression,
    "Ridge": _regression,
    "Lasso": _regression,
    "ElasticNet": _regression,
}
