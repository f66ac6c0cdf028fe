"""The canonical text of a specification, read back: no user file is run for it, and no code in the text is.

An expression that holds Python code is refused, since reading it would run what the text holds. A function is not in
the text, only its name and the hash of its source; it is found among the functions that are loaded already.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import time, timedelta
from io import StringIO
from typing import Any

import polars as pl

from feature_store.definitions import feature_view, source, spine
from feature_store.definitions.source import ALL, INGESTED, Source
from feature_store.definitions.spec_text import code_hash, spec_text
from feature_store.errors import SpecNotReadableError
from feature_store.offline import labels

_KINDS = {
    name: kind
    for module in (source, spine, labels, feature_view)
    for name, kind in vars(module).items()
    if is_dataclass(kind)
}
_MICROSECONDS = re.compile(r"-?\d+us")
_NAMED = {("Source", "key", "ALL"): ALL, ("Source", "available_at", "INGESTED"): INGESTED}


def read_spec(text: str) -> Any:
    """The source, spine, label or features that `spec_text` wrote.

    A source that was read back knows what its rows mean, not where they come from: its `read` refuses.

    Raises:
        SpecNotReadableError: a function is not loaded, or the text holds Python code or a word of another release.
    """
    made = _made(json.loads(text))
    if spec_text(made) != text:
        raise SpecNotReadableError("it", "means something else in this release", "Use the release that wrote it")
    return made


def _made(plain: Any) -> Any:
    match plain:
        case {"expression": tree}:
            return _expression(tree, plain.get("shown"))
        case {"in_order": pairs}:
            return {key: _made(value) for key, value in pairs}
        case {"function": name, "sha256": digest}:
            return _function(name, digest)
        case dict():
            ((kind, values),) = plain.items()
            return _part(kind, values)
        case list():
            return tuple(_made(one) for one in plain)
        case str() if _MICROSECONDS.fullmatch(plain):
            return timedelta(microseconds=int(plain.removesuffix("us")))
    return plain


def _part(name: str, values: Mapping[str, Any]) -> Any:
    kind: Any = _KINDS.get(name)
    known = {one.name: str(one.type) for one in fields(kind)} if kind else {}
    if not kind or not set(values) <= set(known):
        raise SpecNotReadableError(repr(name), "is no word of this release", "Use the release that wrote it")
    given = {}
    for field, plain in values.items():
        value = time.fromisoformat(plain) if known[field] == "time" else _made(plain)
        given[field] = _NAMED.get((name, field, value), value) if isinstance(value, str) else value
    return kind(**given, **({"read": _refuse} if kind is Source else {}))


def _expression(tree: Any, shown: str | None) -> pl.Expr:
    if shown is not None:
        fix = "Write it as a function that the model file defines"
        raise SpecNotReadableError(shown, "holds inf or NaN, which its text does not tell", fix)
    if _holds_code(tree):
        fix = "Write it with Polars' own words, or as a function that the model file defines"
        raise SpecNotReadableError("an expression", "holds Python code, which is never run from a text", fix)
    return pl.Expr.deserialize(StringIO(json.dumps(tree)), format="json")


def _holds_code(tree: Any) -> bool:
    """Whether any word of an expression stands for pickled Python, whatever it is called there."""
    if isinstance(tree, dict):
        return any("Anonymous" in word or "Python" in word or _holds_code(part) for word, part in tree.items())
    return isinstance(tree, list) and any(map(_holds_code, tree))


def _function(name: str, digest: str) -> Callable[..., Any]:
    for module in list(sys.modules.values()):
        found = vars(module).get(name) if hasattr(module, "__dict__") else None
        if callable(found) and code_hash(found) == digest:
            return found  # type: ignore[no-any-return]  # callable is all that is known
    fix = "Load the model file that defines it first: load_model(PATH)"
    raise SpecNotReadableError(f"function {name!r}", "is not loaded, or is another one by now", fix)


def _refuse() -> Any:
    fix = "Ingest with the model file; this source only reads what the lake holds"
    raise SpecNotReadableError("a source", "was read from a text, and has no function that reads rows", fix)
