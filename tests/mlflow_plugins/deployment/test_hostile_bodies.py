"""Bodies that mean harm get an answer that says so: never a 500 of ours, never a NaN that MLflow would not give."""

from __future__ import annotations

import asyncio
import json
import struct

import mlflow.pyfunc
import msgspec
import pytest
from asking import Request, ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc.scoring_server import init

from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.tier import Tier

FEW = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
DATATYPES = st.sampled_from(["FP64", "FP32", "FP16", "INT64", "INT8", "UINT64", "BOOL", "BYTES", "TEXT", ""])


@pytest.fixture(scope="module")
def both(small, application):
    """Ours at the fastest tier, which leans on most of our own code, and MLflow's app."""
    stored = msgspec.structs.replace(small("late").stored, tier=Tier.COMPILED)
    return application(load_served(stored)), init(mlflow.pyfunc.load_model(stored.folder))


@st.composite
def tensor_requests(draw):
    """Like a request of the Open Inference Protocol, with something wrong in most."""
    names = draw(st.permutations(["distance", "carrier", "dep hour"]))
    inputs = []
    for name in names[: draw(st.sampled_from([3, 3, 3, 2]))]:
        good = [1.5, 2] if name != "carrier" else ["UA", "B6"]
        data = draw(st.just(good) | st.lists(CELLS, max_size=3))
        datatype = draw(st.just("BYTES" if name == "carrier" else "FP64") | DATATYPES)
        shape = draw(st.just([len(data)]) | st.just([len(data), 1]) | st.lists(st.integers(-2, 2**65), max_size=3))
        inputs.append({"name": name, "datatype": datatype, "shape": shape, "data": data})
    return {"inputs": inputs, **draw(st.dictionaries(st.sampled_from(["id", "outputs", "parameters"]), CELLS))}


def answered(app, path, body, **headers):
    named = tuple((key.replace("_", "-").encode(), value) for key, value in headers.items())
    return asyncio.run(ask(app, Request(body, path=path, headers=named)))


def without_constants(text):
    def refuse(constant):
        raise AssertionError(f"{constant} in {text[:200]}")

    return json.loads(text, parse_constant=refuse)


@FEW
@given(tensor_requests())
def test_tensors_of_any_kind_are_answered_or_refused(both, request_):
    answer = answered(both[0], "/v2/models/late-flights/infer", json.dumps(request_).encode())

    assert answer.status in (200, 400)
    assert ("error" in without_constants(answer.body)) == (answer.status == 400)


@FEW
@given(st.binary(max_size=120), st.integers(0, 400) | st.sampled_from(["-1", "x", "1e3", "٣", "9" * 5000]))
def test_bytes_after_the_json_are_measured(both, tail, length):
    size = len(tail)
    tensor = {"datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [{"name": "carrier", **tensor}]}).encode()
    given_length = str(len(head) if length == 0 else length).encode()

    answer = answered(
        both[0], "/v2/models/late-flights/infer", head + tail, inference_header_content_length=given_length
    )

    assert answer.status == 400


@pytest.mark.parametrize("size", [0, 1, 2, 2**31, 2**32 - 1])
def test_a_text_that_claims_to_be_longer_than_its_tensor_is_refused(both, size):
    tail = struct.pack("<I", size) + b""
    tensor = {"name": "carrier", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor]}).encode()

    answer = answered(
        both[0], "/v2/models/late-flights/infer", head + tail, inference_header_content_length=str(len(head)).encode()
    )

    assert answer.status == 400


@FEW
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=3), st.sampled_from(["split", "records", "inputs"]))
def test_cells_of_any_kind_get_mlflows_answer(both, rows, kind):
    names = ["distance", "carrier", "dep hour"]
    body = {
        "split": {"dataframe_split": {"columns": names, "data": rows}},
        "records": {"dataframe_records": [dict(zip(names, row, strict=True)) for row in rows]},
        "inputs": {"inputs": {name: [row[at] for row in rows] for at, name in enumerate(names)}},
    }[kind]
    ours, theirs = (answered(app, "/invocations", json.dumps(body).encode()) for app in both)

    assert ours.without_ours() == theirs


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"inputs":' * 50_000, b'{"dataframe_split":{"data":' + b"[" * 99_999]
)
def test_deep_nesting_is_answered(both, body):
    ours, theirs = (answered(app, "/invocations", body) for app in both)
    tensors = answered(both[0], "/v2/models/late-flights/infer", body)

    assert ours.without_ours() == theirs
    assert tensors.status == 400
