"""One canonical text for each part of a specification, by which two of them are compared."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from hashlib import sha256
from typing import Any

import polars as pl

_SHOWN = 12  # letters of a version that people read and tags carry
# How rows are read, and what is expected of them, does not change what those mean that are in the lake.
_ON_THE_WAY_IN = {"read", "expect"}
_DOUBLES = {"Float", "Float64", "Float32"}


def spec_text(part: Any) -> str:
    """A source, spine, label or features as canonical JSON: expressions as Polars writes them, code by its hash.

    What is at its default is left out: a release that adds a field leaves the texts of earlier ones as they are,
    and none changes a default.
    """
    return canonical(_plain(part))


def canonical(plain: Any) -> str:
    """The one way that plain values are written."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def spec_digest(part: Any) -> str:
    """The SHA-256 of the canonical text."""
    return sha256(spec_text(part).encode()).hexdigest()


def view_version(view: Any) -> str:
    """The version of a feature view: by content, so that a changed definition is a new version."""
    return spec_digest(view)[:_SHOWN]


def code_hash(function: Callable[..., Any]) -> str:
    """The SHA-256 of a function's source; of its bytecode, where the source cannot be read."""
    try:
        text = inspect.getsource(function).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = repr(function).encode() if code is None else code.co_code + repr(code.co_consts).encode()
    return sha256(text).hexdigest()


def _plain(part: Any) -> Any:
    match part:
        case pl.Expr():
            return _expression(part)
        case Mapping():
            return {"in_order": [[str(key), _plain(value)] for key, value in part.items()]}
        case list() | tuple():
            return [_plain(one) for one in part]
        case _ if is_dataclass(part) and not isinstance(part, type):
            return {type(part).__name__: _fields(part)}
        case _ if callable(part):
            # Where a function lies does not change what it means, and a model file's module has a name of its own.
            return {"function": part.__qualname__, "sha256": code_hash(part)}
    return _plain_value(part)


def _expression(part: pl.Expr) -> dict[str, Any]:
    tree = json.loads(part.meta.serialize(format="json"))
    # JSON has no word for inf and NaN: Polars writes null for each, and only what it shows tells them apart.
    return {"expression": tree, "shown": str(part)} if _lacks_a_number(tree) else {"expression": tree}


def _lacks_a_number(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any((word in _DOUBLES and part is None) or _lacks_a_number(part) for word, part in tree.items())
    return isinstance(tree, list) and any(map(_lacks_a_number, tree))


def _fields(part: Any) -> dict[str, Any]:
    """The fields of a specification that are not at their default, so that a later release may have more of them."""
    told = {one: _plain(getattr(part, one.name)) for one in fields(part) if one.name not in _ON_THE_WAY_IN}
    return {one.name: plain for one, plain in told.items() if plain != _default(one)}


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return _plain(field.default_factory())
    return MISSING if field.default is MISSING else _plain(field.default)


def _plain_value(value: Any) -> Any:
    match value:
        case Enum():
            return value.name
        case timedelta():
            return f"{value // timedelta(microseconds=1)}us"
        case datetime() | date() | time():
            return value.isoformat()
    return value
