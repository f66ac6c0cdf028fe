"""Values to JSON and back: the one form in which evidence and decisions are stored and compared.

Dataclasses become objects with their field names, a union's member is named by `type`, moments are ISO 8601 UTC,
lengths of time are seconds. Keys are sorted and floats are written with as many digits as they need to
come back the same, so equal values are equal bytes.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

from lifecycle.errors import RecordFormatError
from lifecycle.moments import iso, parse_moment

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Turn a value of the loop into what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value


def to_bytes(value: object) -> bytes:
    """Write a value as canonical JSON: sorted keys, no spaces, no NaN."""
    plain = to_plain(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def from_plain(wanted: type[T], plain: Any) -> T:
    """Read a dataclass back from what `to_plain` made of it.

    A field with a default may be missing: it came after the record was written, and the default says so.

    Raises:
        RecordFormatError: a field without a default is missing, or one is of another kind.
    """
    return typing.cast(T, _read(wanted, plain, wanted.__name__))


def _read(wanted: Any, plain: Any, where: str) -> Any:
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return _read_union(typing.get_args(wanted), plain, where)
    if origin is tuple:
        (inner, *_) = typing.get_args(wanted)
        return tuple(_read(inner, item, where) for item in plain)
    if dataclasses.is_dataclass(wanted):
        return _read_dataclass(typing.cast(Any, wanted), plain, where)
    return _read_scalar(wanted, plain, where)


def _read_scalar(wanted: Any, plain: Any, where: str) -> Any:
    if wanted is datetime:
        return parse_moment(plain)
    if wanted is timedelta:
        return timedelta(seconds=plain)
    if wanted is float and isinstance(plain, int):
        return float(plain)
    if isinstance(wanted, type) and not isinstance(plain, wanted):
        raise RecordFormatError(where, f"expected {wanted.__name__}, found {plain!r}")
    return plain


def _read_union(members: tuple[Any, ...], plain: Any, where: str) -> Any:
    if plain is None and type(None) in members:
        return None
    solid = [member for member in members if member is not type(None)]
    if len(solid) == 1:
        return _read(solid[0], plain, where)
    for member in solid:
        if isinstance(plain, dict) and plain.get("type") == member.__name__:
            return _read(member, plain, where)
    raise RecordFormatError(where, f"{plain!r} is none of {[member.__name__ for member in solid]}")


@lru_cache
def _field_types(wanted: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(wanted)
    return {field.name: hints[field.name] for field in dataclasses.fields(wanted)}


def _without_default(wanted: Any) -> list[str]:
    nothing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(wanted) if f.default is nothing and f.default_factory is nothing]


def _read_dataclass(wanted: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict) or plain.get("type") != wanted.__name__:
        raise RecordFormatError(where, f"expected a {wanted.__name__}, found {plain!r:.80}")
    hints = _field_types(wanted)
    missing = [name for name in _without_default(wanted) if name not in plain]
    if missing:
        raise RecordFormatError(where, f"{missing} missing")
    return wanted(**{name: _read(hints[name], plain[name], f"{where}.{name}") for name in hints if name in plain})
