"""Decoded values are what `json.loads` reads, or nothing at all; encoded answers are what `json.dumps` writes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Decoder
from mlflow_plugins.deployment.encoding import as_mlflow, encode
from mlflow_plugins.deployment.frames import to_frame
from mlflow_plugins.errors import UnusualValueError

COLUMNS = (Column("a b", Kind.DOUBLE), Column("class", Kind.STRING))
DECODER = Decoder(COLUMNS)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**80), 2**80) | st.none()
ROWS = st.lists(st.tuples(NUMBERS, st.text() | st.none()), min_size=1, max_size=5)


@settings(max_examples=150)
@given(ROWS, st.booleans(), st.sampled_from(["split", "records"]))
def test_values_are_those_of_json(rows, plain, kind):
    records = [{"a b": a, "class": b} for a, b in rows]
    content = {"columns": ["a b", "class"], "data": rows} if kind == "split" else records
    body = json.dumps({f"dataframe_{kind}": content}, ensure_ascii=plain).encode("utf-8", "surrogatepass")

    values = DECODER.decode(body)

    if values is not None:
        numbers = [None if a is None else float(a) for a, _ in rows]
        assert [repr(value) for value in values[0]] == [repr(number) for number in numbers]
        assert list(values[1]) == [b for _, b in rows]
    else:
        assert any(0xD800 <= ord(letter) < 0xE000 for _, text in rows for letter in text or "")


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:01eE.-+ntfalsu\\ ', max_size=120).map(str.encode))
def test_bytes_of_any_kind_are_read_or_left_alone(body):
    assert DECODER.decode(body) is None or json.loads(body)


SIZES = st.floats() | st.floats(0, 1) | st.floats(-1e-3, 1e-3) | st.floats(1e15, 1e17) | st.sampled_from([1e-4, 1e16])


@settings(max_examples=400)
@given(
    arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 3)) | st.tuples(st.integers(0, 5)), elements=SIZES)
)
def test_an_answer_is_what_mlflow_writes(predictions):
    assert encode(predictions) == as_mlflow(predictions)


@pytest.mark.parametrize(
    "predictions",
    [
        np.array([1, -2**62]), np.array([0.1, 1e300], np.float32), np.array([True, False]), np.array(["inf", "a"]),
        np.array([b"x"], dtype=object), np.float64(0.5), [1, None, "x"], {"a": [1.5]}, np.array([[]]), [],
        np.array([np.inf, -np.inf, np.nan]), np.array([2**63], np.uint64), None, "text",
    ],
    ids=repr,
)  # fmt: skip
def test_predictions_of_every_kind_are_written_as_mlflow_does(predictions):
    assert encode(predictions) == as_mlflow(predictions)


@pytest.mark.parametrize("spelling", ['["a b","class"]', '["a b", "class"]', '[ "a b" , "cl\\u0061ss" ]'])
def test_the_names_may_be_spelled_in_any_way(spelling):
    body = b'{"dataframe_split": {"data": [[1, "x"]], "columns": %b}}' % spelling.encode()

    assert [DECODER.decode(body), DECODER.decode(body)] == [[(1.0,), ("x",)]] * 2


@pytest.mark.parametrize("text", ["13/02/2013", "2013-13-02", "Feb 13 2013", "20130213", "now"])
def test_a_moment_that_other_moments_of_a_batch_would_turn_is_left_to_mlflow(text):
    with pytest.raises(UnusualValueError):
        to_frame([Column("at", Kind.DATETIME)], [["2013-02-12", text]])
    with pytest.raises(UnusualValueError):
        to_frame([Column("at", Kind.DATETIME)], [[text, "01/02/2013"]])


@pytest.mark.parametrize("spelling", ['["class", "a b"]', '["a b"]', '["a b", "class", "c"]', "[1, 2]", "null", "{}"])
def test_other_names_are_left_to_mlflow(spelling):
    assert DECODER.decode(b'{"dataframe_split": {"data": [[1, "x"]], "columns": %b}}' % spelling.encode()) is None
