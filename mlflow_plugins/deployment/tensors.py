"""Tensors of the Open Inference Protocol to columns, and predictions back to tensors."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.errors import TensorError

_DTYPES = {
    "FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "INT32": "<i4", "INT16": "<i2", "INT8": "i1",
    "UINT64": "<u8", "UINT32": "<u4", "UINT16": "<u2", "UINT8": "u1", "BOOL": "?",
}  # fmt: skip
_WHOLE = ("INT64", "INT32", "INT16", "INT8", "UINT32", "UINT16", "UINT8")
_NUMBERS = ("FP64", "FP32", "FP16", *_WHOLE, "UINT64")
DATATYPES: dict[Kind, tuple[str, ...]] = {
    Kind.DOUBLE: _NUMBERS,
    Kind.FLOAT: ("FP32", *_NUMBERS),
    Kind.LONG: _WHOLE,
    Kind.INTEGER: ("INT32", "INT16", "INT8", "UINT16", "UINT8"),
    Kind.BOOLEAN: ("BOOL",),
    Kind.STRING: ("BYTES",),
    Kind.DATETIME: ("BYTES",),
}
"""Element types that a column takes; the first is the one that the description names."""


class _Parameters(msgspec.Struct):
    binary_data_size: int | None = None
    binary_data: bool = False
    binary_data_output: bool = False


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class InferRequest(msgspec.Struct):
    """A request to `infer`."""

    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)

    def wants_binary(self, output: str) -> bool:
        """Whether the client asked for this output as bytes after the JSON."""
        if self.outputs is None:
            return self.parameters.binary_data_output
        return any(wanted.name == output and wanted.parameters.binary_data for wanted in self.outputs)


_decode = msgspec.json.Decoder(InferRequest).decode


def read_request(
    body: bytes, head_length: bytes | None, columns: Sequence[Column]
) -> tuple[InferRequest, list[Values]]:
    """A request, and its columns in the order of the signature.

    Raises:
        TensorError: something does not fit; the message says what.
    """
    names = [column.name for column in columns]
    if head_length is not None and not head_length.isdigit():
        raise TensorError(f"Inference-Header-Content-Length is {head_length.decode('latin-1')!r}.", names)
    try:
        end = len(body) if head_length is None else int(head_length)
        request = _decode(body[:end])
        values = _values(request.inputs, body[end:], columns)
    except (msgspec.MsgspecError, ValueError, OverflowError, struct.error, RecursionError) as error:
        raise TensorError(f"The request cannot be read: {error}.", names) from error
    if not values[0] or len({len(column) for column in values}) != 1:
        raise TensorError(f"The tensors have {[len(column) for column in values]} rows.", names)
    return request, values


def _values(inputs: Sequence[_Input], tail: bytes, columns: Sequence[Column]) -> list[Values]:
    given = {tensor.name: (tensor, _elements(tensor, part)) for tensor, part in _with_parts(inputs, tail)}
    if len(inputs) != len(columns) or set(given) != {column.name for column in columns}:
        raise ValueError(f"its tensors are {[tensor.name for tensor in inputs]}")
    return [_column(column, *given[column.name]) for column in columns]


def _with_parts(inputs: Sequence[_Input], tail: bytes) -> Iterator[tuple[_Input, bytes | None]]:
    """Each tensor with its share of the bytes after the JSON."""
    for tensor in inputs:
        size = tensor.parameters.binary_data_size
        if size is not None and not 0 <= size <= len(tail):
            raise ValueError(f"tensor {tensor.name!r} has {size} bytes, {len(tail)} are left")
        yield tensor, None if size is None else tail[:size]
        tail = tail[size or 0 :]
    if tail:
        raise ValueError(f"{len(tail)} bytes belong to no tensor")


def _elements(tensor: _Input, part: bytes | None) -> list[Any]:
    """The elements of a tensor as Python values."""
    found = _from_bytes(tensor.datatype, part) if part is not None else list(_flat(tensor.data or []))
    rows = tensor.shape[0] if tensor.shape in ([len(found)], [len(found), 1]) else -1
    if rows < 0:
        raise ValueError(f"tensor {tensor.name!r} has shape {tensor.shape} and {len(found)} elements")
    return found


def _flat(data: Sequence[Any]) -> Iterator[Any]:
    for element in data:
        if isinstance(element, list):
            yield from element
        else:
            yield element


def _from_bytes(datatype: str, part: bytes) -> list[Any]:
    if datatype == "BYTES":
        return list(_texts(part))
    if datatype not in _DTYPES:
        raise ValueError(f"{datatype!r} is not an element type")
    return list(np.frombuffer(part, dtype=_DTYPES[datatype]).tolist())


def _texts(part: bytes) -> Iterator[str]:
    at = 0
    while at < len(part):
        (size,) = struct.unpack_from("<I", part, at)
        if at + 4 + size > len(part):
            raise ValueError("a text is longer than its tensor")
        yield part[at + 4 : at + 4 + size].decode()
        at += 4 + size


_TYPES: dict[Kind, Any] = {
    Kind.DOUBLE: list[float | None],
    Kind.FLOAT: list[float | None],
    Kind.LONG: list[int],
    Kind.INTEGER: list[int],
    Kind.BOOLEAN: list[bool],
    Kind.STRING: list[str | None],
    Kind.DATETIME: list[str | None],
}


def _column(column: Column, tensor: _Input, elements: list[Any]) -> Values:
    """Elements as the values of a column; a null is a gap, as it is at `/invocations`."""
    datatype = tensor.datatype
    if datatype not in DATATYPES[column.kind]:
        raise ValueError(f"column {column.name!r} takes {', '.join(DATATYPES[column.kind])}, not {datatype!r}")
    values: Values = msgspec.convert(elements, _TYPES[column.kind])
    if datatype in ("FP32", "FP16"):  # written as JSON it may have more digits than it can hold
        with np.errstate(over="ignore"):
            return list(np.array(values, dtype=_DTYPES[datatype]).astype(float).tolist())
    return values


def write_answer(request: InferRequest, predictions: Any, named: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
    """The answer's JSON, and the bytes that follow it.

    Raises:
        TensorError: an output was asked for that there is not.
    """
    arrays = _arrays(predictions)
    wanted = [output.name for output in request.outputs] if request.outputs is not None else list(arrays)
    if not set(wanted) <= set(arrays):
        raise TensorError(f"The outputs are {list(arrays)}, not {wanted}.", [])
    head: dict[str, Any] = {**named} if request.id is None else {**named, "id": request.id}
    head["outputs"], blobs = [], b""
    for name in wanted:
        datatype, array = _typed(arrays[name])
        told: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if request.wants_binary(name):
            part = _as_bytes(datatype, array)
            told["parameters"] = {"binary_data_size": len(part)}
            blobs += part
        else:
            told["data"] = array.ravel().tolist()
        head["outputs"].append(told)
    return head, blobs


def _arrays(predictions: Any) -> dict[str, np.ndarray]:
    """Outputs by name: one for each column of a frame, else one."""
    if isinstance(predictions, pd.DataFrame):
        return {str(name): predictions[name].to_numpy() for name in predictions.columns}
    return {"predictions": np.asarray(predictions)}


def _typed(array: np.ndarray) -> tuple[str, np.ndarray]:
    for datatype, dtype in _DTYPES.items():
        if array.dtype == np.dtype(dtype):
            return datatype, array
    return "BYTES", array.astype(str)


def _as_bytes(datatype: str, array: np.ndarray) -> bytes:
    if datatype != "BYTES":
        return array.astype(_DTYPES[datatype]).tobytes()
    texts = [str(text).encode() for text in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
