"""Logged records as frames of the lake: in the types that batch scoring writes, so that both are one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from feature_store.storage.stored_types import TYPES
from mlflow_plugins.request_log.reading import Read, Row

_MOMENT = pl.Datetime("us", "UTC")
_PREDICTION: dict[str, pl.DataType] = {
    "prediction_id": pl.String(), "prediction": pl.Float64(), "model": pl.String(), "version": pl.Int64(),
    "epoch": pl.Int64(), "as_of": _MOMENT, "served_at": _MOMENT, "variant": pl.String(), "origin": pl.String(),
}  # fmt: skip
_REQUEST: dict[str, pl.DataType] = {
    "request_id": pl.String(), "model": pl.String(), "version": pl.Int64(), "epoch": pl.Int64(),
    "served_at": _MOMENT, "variant": pl.String(), "status": pl.Int64(), "content_type": pl.String(),
    "body": pl.String(), "answer": pl.String(),
}  # fmt: skip
_KINDS: dict[str, pl.DataType] = {
    "double": pl.Float64(), "float": pl.Float64(), "long": pl.Int64(), "integer": pl.Int64(),
    "boolean": pl.Boolean(), "string": pl.String(), "datetime": pl.String(),
}  # fmt: skip
_KINDS |= {str(one): one() if isinstance(one, type) else one for one in TYPES}  # keys name theirs as the lake does
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Frames:
    """What a segment adds to the two tables of its model."""

    predictions: pl.DataFrame
    requests: pl.DataFrame


def frames(read: Read, types: Mapping[str, pl.DataType], stored: Mapping[str, pl.DataType]) -> Frames:
    """The records of a segment.

    A prediction of which a value cannot be held by its column without loss is kept among the requests.

    Args:
        types: that batch scoring gives to the columns; empty for a model that nobody scores.
        stored: the types of the columns that the table of predictions has already.
    """
    guessed = {name: _KINDS.get(kind, pl.String()) for name, kind in read.types.items()}
    wanted = {**guessed, **types, **_PREDICTION, **stored}
    columns: dict[str, list[Any]] = {}
    unfit: set[int] = set()
    for name, dtype in wanted.items():
        columns[name], misfits = _converted([row.get(name) for row in read.predictions], _converter(dtype))
        unfit |= misfits
    kept = [place for place in range(len(read.predictions)) if place not in unfit]
    made = [pl.Series(name, [columns[name][place] for place in kept], dtype=wanted[name]) for name in wanted]
    others = [*read.requests, *(_as_request(read.predictions[place]) for place in sorted(unfit))]
    requests = [
        pl.Series(name, _converted([row[name] for row in others], _converter(dtype))[0], dtype=dtype)
        for name, dtype in _REQUEST.items()
    ]
    return Frames(pl.DataFrame(made), pl.DataFrame(requests))


def _converted(values: Sequence[Any], convert: Callable[[Any], Any]) -> tuple[list[Any], set[int]]:
    """Values of one type, and the places of those that cannot be of it."""
    try:
        return [None if value is None else convert(value) for value in values], set()
    except (TypeError, ValueError, OverflowError):
        found, misfits = list[Any](), set[int]()
        for place, value in enumerate(values):
            try:
                found.append(None if value is None else convert(value))
            except (TypeError, ValueError, OverflowError):
                found.append(None)
                misfits.add(place)
        return found, misfits


def _converter(dtype: pl.DataType) -> Callable[[Any], Any]:
    if isinstance(dtype, pl.Datetime):
        return _moment
    if dtype == pl.Date:
        return _day
    if dtype == pl.String:
        return _text
    if dtype == pl.Boolean:
        return lambda value: bool(_whole(value, 0, 1))
    if dtype.is_integer():
        limit = 2 ** (8 * _BYTES[str(dtype)] - 1)
        return lambda value: _whole(value, -limit, limit - 1)
    return float


_BYTES = {"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # JSON can spell half of a surrogate pair; no column of text can hold it
    return value


def _whole(value: Any, least: int, most: int) -> int:
    found = int(value)
    if isinstance(value, str) or found != value or not least <= found <= most:
        raise ValueError(value)
    return found


def _moment(value: Any) -> datetime:
    """A moment that was written as text, or as microseconds since 1970."""
    if not isinstance(value, str):
        return _EPOCH + timedelta(microseconds=int(value))
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _day(value: Any) -> date:
    """A day that was written as text, or as days since 1970."""
    return date.fromisoformat(value) if isinstance(value, str) else (_EPOCH + timedelta(days=int(value))).date()


def _as_request(row: Row) -> Row:
    told = {name: row[name] for name in row if name not in _PREDICTION}
    kept = {name: row[name] for name in ("model", "version", "epoch", "served_at", "variant")}
    plain = {"status": 200, "content_type": "application/json", "body": json.dumps(told)}
    return {"request_id": row["prediction_id"], **kept, **plain, "answer": json.dumps(row["prediction"])}
