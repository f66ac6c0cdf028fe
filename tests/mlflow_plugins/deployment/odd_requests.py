"""Requests of every kind: valid in all formats, odd values, structural errors, encodings, types, mutations."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from asking import JSON, Request

# Spelled as JSON, because half of them no Python value would write.
ODD = [
    "null", "true", "false", '"1"', '"x"', '""', "0", "-0", "-0.0", "1", "1e400", "-1e400", "NaN", "Infinity",
    "-Infinity", "[1]", "{}", "9007199254740993", "9223372036854775808", "18446744073709551617", "1e-400", "5e-324",
    "123456789012345678901234567890.5", "2147483648", "1.5", "2.0", '"\\u0000"', '"a\\u0000"', '"\\ud800"',
    '"\u00e9\U0001f600"', '"2013-02-29"', '"2013-01-01T05:00:00"', '"2013-01-01T05:00:00Z"', '"01/02/2013"',
    '"1e5"', "0.1", "1E5", "-7", "[]", '"NaN"', "9" * 400,
]  # fmt: skip
CONTENT_TYPES = [
    "application/json; charset=utf-8", "application/json;charset=UTF-8", "application/json; charset=latin-1",
    "application/json; version=2", "APPLICATION/JSON", " application/json", "text/csv", "text/csv; charset=utf-8",
    "text/plain", "", "application/vnd.apache.parquet", "application/json;", "application/json; charset=utf-8; a=b",
    "application/json; charset=\"utf-8\"", None,
]  # fmt: skip


def every_request(frame: pd.DataFrame, seed: int) -> list[Request]:
    """About a signature that the columns of the frame fit."""
    rng = random.Random(seed)
    valid = list(valid_requests(frame, rng))
    found = valid + list(odd_values(frame, rng)) + list(structures(frame)) + list(encodings(frame))
    return found + list(content_types(frame)) + list(addresses()) + list(mutations(valid, rng, 160))


def valid_requests(frame: pd.DataFrame, rng: random.Random) -> Iterator[Request]:
    for at in range(24):
        rows = frame.iloc[at % 7 : at % 7 + rng.choice([1, 1, 2, 5])].reset_index(drop=True)
        for text in formats(rows):
            yield Request(text.encode())
        yield Request(rows.to_csv(index=False).encode(), "text/csv")
    parquet = io.BytesIO()
    frame.head(3).to_parquet(parquet)
    yield Request(parquet.getvalue(), "application/vnd.apache.parquet")


def formats(rows: pd.DataFrame) -> list[str]:
    """The rows in the four formats, in the spellings that clients use."""
    names, data = list(rows.columns), cells(rows)
    records = [dict(zip(names, row, strict=True)) for row in data]
    columns = {name: [row[at] for row in data] for at, name in enumerate(names)}
    split = {"columns": names, "data": data}
    turned = [dict(reversed(record.items())) for record in records]
    bodies: list[Any] = [
        {"dataframe_split": split},
        {"dataframe_split": {"index": list(range(len(data))), **split}},
        {"dataframe_records": records},
        {"dataframe_records": turned},
        {"inputs": columns},
        {"instances": records},
    ]
    texts = [json.dumps(body) for body in bodies]
    return [*texts, json.dumps(bodies[0], separators=(",", ":")), json.dumps(bodies[0], ensure_ascii=False, indent=1)]


def cells(rows: pd.DataFrame) -> list[list[Any]]:
    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        if isinstance(value, pd.Timestamp):
            return value.isoformat()
        return value.item() if isinstance(value, np.generic) else value

    return [[plain(value) for value in row] for row in rows.itertuples(index=False)]


def odd_values(frame: pd.DataFrame, rng: random.Random) -> Iterator[Request]:
    """Each odd value in each column, in a row of its own or among others, the format by turns."""
    for position, column in enumerate(frame.columns):
        for at, odd in enumerate(ODD):
            rows = frame.iloc[: rng.choice([1, 2])].astype(object).reset_index(drop=True)
            rows.loc[len(rows) - 1, column] = "@odd@"
            texts = formats(rows)
            for turn in (at + position, at + position + 3):
                yield Request(texts[turn % len(texts)].replace('"@odd@"', odd).encode("utf-8", "surrogatepass"))


def structures(frame: pd.DataFrame) -> Iterator[Request]:
    names, data = list(frame.columns), cells(frame.head(2))
    row = dict(zip(names, data[0], strict=True))
    split = {"columns": names, "data": data}
    for body in (
        None, [], {}, 1, "x", [1], {"dataframe_split": None}, {"dataframe_split": []}, {"dataframe_split": {}},
        {"dataframe_split": {"data": data}}, {"dataframe_split": {"columns": names}},
        {"dataframe_split": {"columns": names, "data": []}}, {"dataframe_split": {"columns": names, "data": [[]]}},
        {"dataframe_split": {"columns": names, "data": data, "extra": 1}},
        {"dataframe_split": {"columns": names[::-1], "data": [r[::-1] for r in data]}},
        {"dataframe_split": {"columns": names[:-1], "data": [r[:-1] for r in data]}},
        {"dataframe_split": {"columns": [*names, "more"], "data": [[*r, 1] for r in data]}},
        {"dataframe_split": {"columns": names, "data": [[*data[0], 1], data[1]]}},
        {"dataframe_split": {"columns": [names[0]] * len(names), "data": data}},
        {"dataframe_split": {"columns": None, "data": data}}, {"dataframe_split": {"columns": "x", "data": data}},
        {"dataframe_split": {"columns": list(range(len(names))), "data": data}},
        {"dataframe_split": {**split, "index": [5, 6]}}, {"dataframe_split": {**split, "index": ["a", "b"]}},
        {"dataframe_split": {**split, "index": [0, 0]}}, {"dataframe_split": {**split, "index": [0]}},
        {"dataframe_split": {**split, "index": None}}, {"dataframe_split": {**split, "index": [1, 0]}},
        {"dataframe_split": split, "params": {}}, {"dataframe_split": split, "params": {"a": 1}},
        {"dataframe_split": split, "params": None}, {"dataframe_split": split, "other": 1},
        {"dataframe_split": split, "dataframe_records": [row]}, {"dataframe_split": split, "inputs": {}},
        {"dataframe_records": []}, {"dataframe_records": row}, {"dataframe_records": [row, {}]},
        {"dataframe_records": [{}]}, {"dataframe_records": [None]}, {"dataframe_records": [{**row, "more": 1}]},
        {"dataframe_records": [{k: v for k, v in row.items() if k != names[0]}]}, {"dataframe_records": [[1, 2]]},
        {"inputs": {}}, {"inputs": []}, {"inputs": row}, {"inputs": [row]}, {"inputs": data}, {"inputs": 1},
        {"inputs": {name: [] for name in names}}, {"inputs": {**{n: [v] for n, v in row.items()}, "more": [1]}},
        {"inputs": {n: [v, v][: 1 + (n == names[0])] for n, v in row.items()}},
        {"inputs": {n: [[v]] for n, v in row.items()}},
        {"inputs": {n: [v] for n, v in row.items()}, "signature_name": "x"},
        {"instances": {n: [v] for n, v in row.items()}}, {"instances": [row, {}]}, {"instances": []},
        {"instances": data}, {"instances": row}, {"messages": []}, {"prompt": "x"}, {"input": [row]},
        {"dataframe_split": split, "messages": []}, {"columns": names, "data": data},
    ):  # fmt: skip
        yield Request(json.dumps(body).encode())


def encodings(frame: pd.DataFrame) -> Iterator[Request]:
    text = formats(frame.head(1))[0]
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"):
        yield Request(text.encode(name))
    body = text.encode()
    for wrong in (
        b"", b" ", b"\x00", b"\xff" + body, body + b"\xff", body + b" \n\t", b"\n" + body, body + b"}", body[:-1],
        b"[" * 2000, b'{"a":' * 2000, body.replace(b'"', b"'"), body.replace(b",", b",,"), body + body,
        body.replace(b"dataframe", b"\\u0064ataframe"), body.replace(b"{", b"{ ", 1), b"\x0b" + body,
        body.replace(b"}", b",}", 1), b"// x\n" + body, body.replace(b":", b"\x00:", 1), body.replace(b"[", b"[1 ", 1),
        body[:-1] + b', "dataframe_split": ' + body.split(b": ", 1)[1], body.replace(b'"data"', b'"dat\\u0061"'),
        body[:-1] + b', "dataframe_split": {}}', b'{"dataframe_split": 1, ' + body[1:],
    ):  # fmt: skip
        yield Request(wrong)


def content_types(frame: pd.DataFrame) -> Iterator[Request]:
    bodies = [formats(frame.head(2))[0].encode(), frame.head(2).to_csv(index=False).encode(), b"{}"]
    for content_type in CONTENT_TYPES:
        for body in bodies:
            yield Request(body, content_type)
    two = ((b"content-type", b"text/csv"),)
    yield Request(bodies[0], JSON, headers=two)
    yield Request(bodies[0], None, headers=(*two, (b"content-type", b"application/json")))


def addresses() -> Iterator[Request]:
    for path in ("/ping", "/health", "/version", "/invocations", "/invocations/", "/", "/nothing", "/Invocations"):
        for method in ("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE"):
            yield Request(b"", JSON, path, method)


def mutations(valid: list[Request], rng: random.Random, count: int) -> Iterator[Request]:
    """Valid bodies with some bytes deleted, doubled or replaced by ones that JSON knows."""
    known = b'{}[]",:0123456789.eE+-ntfaul \\/\x00\xff\n'
    bodies = [request for request in valid if request.content_type == JSON]
    for _ in range(count):
        body = bytearray(rng.choice(bodies).body)
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.randrange(len(body))
            how = rng.randrange(3)
            body[at : at + 1] = (b"", body[at : at + 1] * 2, bytes([rng.choice(known)]))[how]
        yield Request(bytes(body))
