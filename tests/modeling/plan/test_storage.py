import io
import zipfile

import numpy as np
import pytest

from modeling.errors import UnreadablePlanError
from modeling.pipeline import column_kinds
from modeling.plan import storage
from modeling.plan.compile import compile_plan
from modeling.plan.storage import from_arrays, from_bytes, to_arrays, to_bytes
from modeling.tasks import Task


@pytest.fixture(scope="module")
def plan(boosted, frame):
    kinds = column_kinds(frame)
    return compile_plan(boosted, Task.BINARY, list(kinds), list(kinds.values()))


def test_a_plan_that_is_read_back_is_the_same_and_answers_the_same(plan, boosted, frame):
    content = to_bytes(plan)

    again = from_bytes(content)

    columns = [frame[name].to_numpy() for name in again.columns]
    assert to_bytes(again) == content
    assert again.predict(columns).tobytes() == np.ascontiguousarray(boosted.predict_proba(frame)).tobytes()


def edited(name, change):
    def edit(arrays):
        array = arrays[name].copy()
        change(array)
        arrays[name] = array

    return edit


def first_split_leads_back(nodes):
    nodes["child"][5] = 1


def child_outside(nodes):
    nodes["child"][0] = nodes.size - 1


def feature_outside(nodes):
    nodes["feature"][0] = 99


def leaf_is_left_again(nodes):
    leaf = int(np.argmax(nodes["child"] == np.arange(nodes.size)))
    nodes["value"][leaf] = 0.0


def set_outside(nodes):
    nodes["flags"][0] |= 2


def far(array):
    array[-1] = 10**6


def backwards(array):
    array[1] = 10**6


def table_outside(values):
    values[values > 0] = 1e9


DAMAGES = {
    "a child before its parent": edited("nodes", first_split_leads_back),
    "child outside of": edited("nodes", child_outside),
    "feature outside of": edited("nodes", feature_outside),
    "a leaf that is left again": edited("nodes", leaf_is_left_again),
    "sets outside of": edited("nodes", set_outside),
    "roots outside of": edited("roots", far),
    "outputs outside of": edited("outputs", far),
    "source outside of": edited("source", far),
    "ops outside of": edited("ops", far),
    "starts out of order": edited("starts", backwards),
    "table of feature": edited("values", table_outside),
    "answers of other nodes": lambda arrays: arrays.update(answers=arrays["answers"][:-1]),
    "nodes is float64": lambda arrays: arrays.update(nodes=np.zeros(3)),
    "base has 2 dimensions": lambda arrays: arrays.update(base=np.zeros((1, 1))),
    "KeyError": lambda arrays: arrays.pop("leaves"),
    "JSONDecodeError": lambda arrays: arrays.update(header=np.zeros(3, np.uint8)),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_a_plan_that_points_outside_of_itself_is_refused(problem, plan):
    arrays = to_arrays(plan)
    DAMAGES[problem](arrays)

    with pytest.raises(UnreadablePlanError, match=problem):
        from_arrays(arrays)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_plan_is_refused(content):
    with pytest.raises(UnreadablePlanError):
        from_bytes(content)


def test_a_pickle_inside_a_plan_is_not_read(plan, tmp_path):
    file = io.BytesIO()
    np.savez(file, **(to_arrays(plan) | {"values": np.array([_Touching(tmp_path / "ran")], dtype=object)}))

    with pytest.raises(UnreadablePlanError, match="allow_pickle"):
        from_bytes(file.getvalue())

    assert not (tmp_path / "ran").exists()


class _Touching:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (self.path.touch, ())


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused_before(monkeypatch):
    monkeypatch.setattr(storage, "MAX_BYTES", 1000)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", b"\0" * 100_000)

    with pytest.raises(UnreadablePlanError, match="unpacks to 100,000 bytes, more than 1,000"):
        from_bytes(file.getvalue())
