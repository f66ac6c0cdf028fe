"""Bodies of requests, decoded in one call with types made from the signature.

What does not fit the types exactly is nobody's error here: it is unusual, and MLflow's own code answers it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Union

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mlflow_plugins.deployment.columns import Column, Kind

Values = Sequence[Any]
"""One column of a request: floats, integers, bools or texts, with None for a gap."""

_TYPES: dict[Kind, Any] = {
    Kind.DOUBLE: float | None,
    Kind.FLOAT: float | None,
    Kind.LONG: int,
    Kind.INTEGER: int,
    Kind.BOOLEAN: bool,
    Kind.STRING: str | None,
    Kind.DATETIME: str | None,
}
# NumPy, which MLflow uses for these two formats, makes the text 'None' of a missing text.
_NUMPY_TYPES = {**_TYPES, Kind.STRING: str}
_NUL = b"\\u0000"  # NumPy drops a NUL at the end of a text
_KNOWN_SPELLINGS = 64
_UNSPELLABLE = re.compile(r'["\\\x00-\x1f]')  # in a name, msgspec cannot look for it
_astuple = msgspec.structs.astuple


class Decoder:
    """Reads `dataframe_split`, `dataframe_records`, `inputs` and `instances` of scalar columns.

    Attributes:
        columns: the signature.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._names = [column.name for column in columns]
        self._spellings = {json.dumps(self._names).encode(), json.dumps(self._names, separators=(",", ":")).encode()}
        self._decode = msgspec.json.Decoder(_envelope(self.columns)).decode

    def decode(self, body: bytes) -> list[Values] | None:
        """The columns in the order of the signature, each with a value for each row; none if anything is unusual."""
        try:
            found = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        split, records, inputs, instances = _astuple(found)
        if (split is UNSET) + (records is UNSET) + (inputs is UNSET) + (instances is UNSET) != 3:
            return None
        if split is not UNSET:
            return self._split(split)
        if records is not UNSET:
            return _turned(records)
        if _NUL in body:
            return None
        return _turned(instances) if inputs is UNSET else _even(_astuple(inputs))

    def _split(self, split: Any) -> list[Values] | None:
        data, index = split.data, split.index
        if not data or (index is not None and index != list(range(len(data)))) or not self._ours(bytes(split.columns)):
            return None
        return list(zip(*data, strict=True))

    def _ours(self, spelling: bytes) -> bool:
        """Whether these are the names of our columns, in their order; each spelling is read once."""
        if spelling in self._spellings:
            return True
        try:
            same = bool(msgspec.json.decode(spelling) == self._names)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if same and len(self._spellings) < _KNOWN_SPELLINGS:
            self._spellings.add(spelling)
        return same


def _turned(records: Sequence[Any]) -> list[Values] | None:
    return list(zip(*map(_astuple, records), strict=True)) if records else None


def _even(columns: tuple[Values, ...]) -> list[Values] | None:
    rows = len(columns[0])
    return list(columns) if rows and all(len(column) == rows for column in columns) else None


def _envelope(columns: Sequence[Column]) -> type[msgspec.Struct]:
    split = msgspec.defstruct(
        "Split",
        [("data", _many(_row(columns))), ("columns", Raw), ("index", list[int] | None, None)],
        forbid_unknown_fields=True,
    )
    formats: dict[str, Any] = {"dataframe_split": split, "dataframe_records": None, "inputs": None, "instances": None}
    if not any(_UNSPELLABLE.search(column.name) for column in columns):
        formats["dataframe_records"] = _many(_record("Record", columns, _TYPES))
        # NumPy reads moments in its own way, so the two formats that it reads leave them to MLflow.
        if not any(column.kind is Kind.DATETIME for column in columns):
            lists = {kind: _many(type_) for kind, type_ in _NUMPY_TYPES.items()}
            formats["inputs"] = _record("Inputs", columns, lists)
            formats["instances"] = _many(_record("Instance", columns, _NUMPY_TYPES))
    fields = [
        (name, UnsetType if type_ is None else Union[type_, UnsetType], UNSET)  # noqa: UP007  # the types are made here
        for name, type_ in formats.items()
    ]
    return msgspec.defstruct("Body", fields, forbid_unknown_fields=True)


def _many(type_: Any) -> Any:
    return list[type_]


def _row(columns: Sequence[Column]) -> Any:
    return tuple[tuple(_TYPES[column.kind] for column in columns)]  # type: ignore[misc]


def _record(title: str, columns: Sequence[Column], types: dict[Kind, Any]) -> type[msgspec.Struct]:
    """A struct with a field for each column, whatever the column is called."""
    fields = {f"field_{position}": column for position, column in enumerate(columns)}
    return msgspec.defstruct(
        title,
        [(field, types[column.kind]) for field, column in fields.items()],
        rename={field: column.name for field, column in fields.items()},
        forbid_unknown_fields=True,
    )
