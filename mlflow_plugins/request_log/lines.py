"""Requests and answers as lines of JSON, with as little work as possible while somebody waits.

The first line about a version says once what its lines have in common; each further line refers to it by number:

    {"describes": 0, "model": "late-flights", "version": 3, "epoch": 7, "variant": "champion", "columns": {...}, ...}
    {"of": 0, "at": 1785000000000000, "values": [[719.0], ["UA"]], "answer": {"predictions": [[0.75, 0.25]]}}

`values` are the columns that the model saw, `at` and `as_of` microseconds since 1970 (UTC). Where MLflow's code
answered, the line holds the body of the request instead, as text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.request_log.asked import Asked

_encode = msgspec.json.Encoder().encode
REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A request that MLflow's code answered, as it came, and the answer as it went."""

    content_type: str
    body: bytes
    status: int
    answer: bytes


class Lines:
    """Writes the lines of one version in one role.

    Args:
        number: by which its lines refer to its description.
        keys: names and types of the key columns that its questions may bring.
        redacted: columns of which no value is written.

    Attributes:
        description: the line that the others refer to.
    """

    def __init__(self, served: Served, variant: str, number: int, redacted: Collection[str] = ()) -> None:
        self.number, self._redacted = number, frozenset(redacted)
        self._start = b'{"of":%d,"at":' % number
        columns = {column.name: column.kind.value for column in served.columns}
        self._hidden = [place for place, name in enumerate(columns) if name in self._redacted]
        self._hidden_keys = [place for place, name in enumerate(served.keys) if name in self._redacted]
        self.description = _line({
            "describes": number,
            "model": served.model,
            "version": served.version,
            "epoch": served.epoch,
            "variant": variant,
            "columns": columns,
            "keys": dict(served.keys),
            "redacted": sorted(self._redacted),
        })  # fmt: skip

    def line(self, at: int, values: Sequence[Values], answer: bytes, asked: Asked | Undecoded | None) -> bytes:
        """The line of a request.

        Args:
            values, answer: of one that was decoded, and answered with a body of JSON on one line.
            asked: what it said besides, if it did; or all of a request that MLflow's code answered.
        """
        if asked is None and not self._hidden:
            return b'%b%d,"values":%b,"answer":%b}\n' % (self._start, at, _exactly(values), answer)
        if isinstance(asked, Undecoded):
            return self._undecoded(at, asked)
        more = b"" if asked is None or asked.as_of is None else b',"as_of":%d' % asked.as_of
        if asked is not None and asked.keys:
            keys = _without(asked.keys, self._hidden_keys) if self._hidden_keys else asked.keys
            more += b',"keys":%b' % _encode(keys)
        seen = _exactly(_without(values, self._hidden) if self._hidden else values)
        return b'%b%d%b,"values":%b,"answer":%b}\n' % (self._start, at, more, seen, answer)

    def _undecoded(self, at: int, asked: Undecoded) -> bytes:
        """The line of any other request: its body as it came, and the answer as it went."""
        told: dict[str, Any] = {"of": self.number, "at": at, "status": asked.status, "type": asked.content_type}
        body, answer = _text(asked.body), _text(asked.answer)
        if self._redacted:
            body = self._body_redacted(asked.body)
            answer = answer if asked.status == 200 else REDACTED  # an error may repeat what was sent
        return _line({**told, "body": body, "answer": answer})

    def _body_redacted(self, body: bytes) -> str:
        """The body without the redacted columns; nothing of it where it is not of a form in which they are found."""
        try:
            plain = json.loads(body)
        except (ValueError, RecursionError):
            return REDACTED
        kept = _pruned(plain, self._redacted)
        return REDACTED if kept is None else json.dumps(kept)


def _pruned(plain: Any, hidden: Collection[str]) -> Any:
    """A body of records or of columns by name without some of them; none for any other body."""
    if not isinstance(plain, dict) or len(plain) != 1:
        return None
    ((form, content),) = plain.items()
    if form in {"dataframe_records", "instances"} and isinstance(content, list):
        if all(isinstance(row, dict) for row in content):
            return {form: [_pruned_row(row, hidden) for row in content]}
    elif form == "inputs" and isinstance(content, dict):
        return {form: _pruned_row(content, hidden)}
    elif form == "dataframe_split" and isinstance(content, dict) and set(content) <= {"columns", "data", "index"}:
        return _pruned_split(content, hidden)
    return None


def _pruned_row(row: dict[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in hidden}


def _pruned_split(content: dict[str, Any], hidden: Collection[str]) -> Any:
    columns, data = content.get("columns"), content.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        return None
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        return None
    places = [place for place, name in enumerate(columns) if not isinstance(name, str) or name not in hidden]
    rows = [[row[place] for place in places] for row in data]
    return {"dataframe_split": {"columns": [columns[place] for place in places], "data": rows}}


def _without(values: Sequence[Values], hidden: Sequence[int]) -> list[Values]:
    return [() if place in hidden else column for place, column in enumerate(values)]


def _exactly(values: Sequence[Values]) -> bytes:
    """Columns as JSON, in which a feature that is not a number stays one; `null` is a gap."""
    encoded = _encode(values)
    if b"null" in encoded and any(
        isinstance(value, float) and not isfinite(value) for column in values for value in column
    ):
        return json.dumps(values, separators=(",", ":")).encode()
    return encoded


def _text(content: bytes) -> str:
    """Bytes as text; what is not UTF-8 is kept as escapes."""
    return content.decode(errors="backslashreplace")


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
