import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modeling.errors import UnreadablePlanError
from modeling.pipeline import column_kinds
from modeling.plan.compile import compile_plan
from modeling.plan.edges import edge_rows
from modeling.plan.registration import prove, read_verdict
from modeling.plan.verify import COMPILED, TOGETHER, TYPED, verify
from modeling.tasks import Task


def plan_of(model, frame):
    kinds = column_kinds(frame)
    return compile_plan(model, Task.BINARY, list(kinds), list(kinds.values()))


def changed(plan, **arrays):
    return replace(plan, model=replace(plan.model, **arrays), _row=[])


def test_a_plan_with_the_pipelines_own_answers_is_proved(boosted, frame):
    verdict = verify(plan_of(boosted, frame), boosted, frame, Task.BINARY)

    assert (verdict.tier, verdict.without_plan, verdict.reasons) == (COMPILED, TOGETHER, ())
    assert verdict.samples > 1000


def test_every_threshold_of_the_plan_is_among_the_questions_with_its_neighbours(boosted, frame):
    plan = plan_of(boosted, frame)

    asked = set(edge_rows(plan, frame)["x0"])

    feature = next(place for place, source in enumerate(plan.program.source) if plan.program.inputs[source] == 2)
    nodes = plan.model.nodes
    split = nodes["child"] != np.arange(nodes.size)
    thresholds = nodes["value"][split & (nodes["feature"] == feature)]
    assert thresholds.size > 20
    for threshold in thresholds:
        assert {threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)} <= asked


def threshold_moved_by_one_bit(plan):
    nodes = plan.model.nodes.copy()
    place = int(np.argmax((nodes["child"] != np.arange(nodes.size)) & (nodes["feature"] == nodes["feature"][0])))
    nodes["value"][place] = np.nextafter(nodes["value"][place], np.inf)
    return changed(plan, nodes=nodes)


def answer_moved_by_one_bit(plan):
    return changed(plan, answers=np.nextafter(plan.model.answers, np.inf))


def base_added_last(plan):
    """Another order of the same additions."""
    answers, base = plan.model.answers.copy(), plan.model.base
    first = slice(plan.model.roots[0], plan.model.roots[1])
    leaves = plan.model.nodes["child"][first] == np.arange(first.start, first.stop)
    answers[first][leaves] += base[0]
    return changed(plan, answers=answers, base=np.zeros(1) + 1e-9)


def missing_sent_the_other_way(plan):
    nodes = plan.model.nodes.copy()
    nodes["flags"][nodes["child"] != np.arange(nodes.size)] ^= 1
    return changed(plan, nodes=nodes)


@pytest.mark.parametrize(
    "damage", [threshold_moved_by_one_bit, answer_moved_by_one_bit, base_added_last, missing_sent_the_other_way]
)
def test_a_plan_that_is_almost_right_is_found_out(damage, boosted, frame):
    verdict = verify(damage(plan_of(boosted, frame)), boosted, frame, Task.BINARY)

    assert verdict.tier == TOGETHER
    assert "numbers of the plan differ from the pipeline's" in verdict.reasons[0]


def test_a_plan_that_answers_where_the_pipeline_raises_is_found_out(frame, labels):
    numbers = frame[["x0", "x2"]]
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=3)).fit(numbers, labels["yes"])
    careless = make_pipeline(HistGradientBoostingClassifier(max_iter=3)).fit(numbers, labels["yes"])

    verdict = verify(plan_of(careless, numbers), _Raises(careless), numbers, Task.BINARY)

    assert verify(plan_of(model, numbers), model, numbers, Task.BINARY).tier == COMPILED
    assert verdict.tier < COMPILED
    assert "on which the pipeline raises" in verdict.reasons[0]


class _Raises:
    """A model that refuses infinity, as many do."""

    def __init__(self, inner):
        self.inner = inner

    def predict_proba(self, X):
        if np.isinf(X.to_numpy()).any():
            raise ValueError("Input X contains infinity")
        return self.inner.predict_proba(X)


class Centred(TransformerMixin, BaseEstimator):
    """A transformer that looks at the other rows of the request."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X - X.mean()


class Filled(Centred):
    """A transformer that looks at them only where a value is missing."""

    def transform(self, X):
        return X.fillna(X.mean())


@pytest.mark.parametrize(
    ("own", "told"),
    [(Centred(), "has other bits than among 96"), (Filled(), "among rows that lack values has other bits than alone")],
)
def test_a_model_that_looks_at_other_rows_never_shares_a_call(frame, labels, own, told):
    numbers = frame[["x0", "x2"]]
    model = make_pipeline(own, HistGradientBoostingClassifier(max_iter=9)).fit(numbers, labels["yes"])

    served = prove(model, numbers, Task.BINARY)

    assert served.verdict.tier == TYPED
    assert served.plan is None
    assert served.verdict.reasons[0] == f"{type(own).__name__} is not among the transformers that can be compiled"
    assert told in served.verdict.reasons[1]


@pytest.mark.parametrize("columns", [["x0", "x2"], ["x0", "x2", "x3"]])
def test_rows_that_a_sigmoid_makes_look_independent_never_share_a_call(columns, frame, labels):
    numbers = frame[columns]
    model = make_pipeline(FunctionTransformer(np.array), LogisticRegression()).fit(numbers, labels["yes"])

    verdict = prove(model, numbers, Task.BINARY).verdict

    scores = model.decision_function(numbers)
    alone = [model.decision_function(numbers.iloc[[place]])[0] for place in range(len(numbers))]
    assert (scores != alone).any()
    assert verdict.tier == TYPED


def test_the_verdict_is_stored_and_read_back(boosted, frame):
    served = prove(boosted, frame, Task.BINARY)

    assert read_verdict(served.verdict_file()) == served.verdict
    assert json.loads(served.verdict_file())["tier"] == COMPILED
    assert served.plan_file() is not None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"tier": "three"}'])
def test_what_is_no_verdict_is_refused(content):
    with pytest.raises(UnreadablePlanError, match=r"serving\.json holds no verdict"):
        read_verdict(content)
