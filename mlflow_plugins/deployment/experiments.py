"""A challenger beside the champion: who answers a request, by the unit that it names.

The assignment itself is `lifecycle.experiments`, which anybody can compute again from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from lifecycle.experiments import Experiment, Variant, unit_of
from mlflow_plugins.deployment.asgi import Scope, header
from mlflow_plugins.deployment.served import Served

UNIT_HEADER = b"x-incumbent-unit"
UNIT = "incumbent.unit"
"""Key in the scope of a request under which its unit lies for the request log."""

ReadUnit = Callable[[Scope, bytes], str | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger that answers some of a champion's units.

    Attributes:
        unit: the unit that a request names, or none.
    """

    challenger: Served
    experiment: Experiment
    unit: ReadUnit

    def answering(self, champion: Served, unit: str) -> Served:
        """The version that answers this unit."""
        return self.challenger if self.experiment.assign(unit) is Variant.CHALLENGER else champion


def unit_reader(columns: Sequence[str]) -> ReadUnit:
    """Reads the unit of a request: the header, else the key columns of its rows.

    A request is answered by one version. So one whose rows are of several units, or whose body is not the JSON of
    named columns, names none.
    """
    keys_in = _keys_in(columns) if columns else None

    def read(scope: Scope, body: bytes) -> str | None:
        named = header(scope, UNIT_HEADER)
        if named is not None:
            return named.decode("latin-1") or None
        return keys_in(body) if keys_in is not None else None

    return read


def _keys_in(columns: Sequence[str]) -> Callable[[bytes], str | None]:
    record = _record(columns)
    split = msgspec.defstruct("Split", [("columns", list[str]), ("data", list[list[Raw]])])
    formats: list[Any] = [("dataframe_records", list[record], []), ("instances", list[record], [])]  # type: ignore[valid-type]  # made here
    envelope = msgspec.defstruct("Body", [*formats, ("dataframe_split", split | None, None)])
    decode = msgspec.json.Decoder(envelope).decode

    def read(body: bytes) -> str | None:
        try:
            found: Any = decode(body)
            rows = [_values(row, columns) for row in found.dataframe_records or found.instances]
            if found.dataframe_split is not None:
                rows = _of_split(found.dataframe_split, columns)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, IndexError, KeyError):
            return None  # no unit; whether it is an error is for whoever answers it
        units = {unit_of(row) for row in rows}
        return units.pop() if len(units) == 1 else None

    return read


def _record(columns: Sequence[str]) -> Any:
    """The type of a row: a struct with the keys alone, or every column where msgspec takes no such name for a field."""
    fields = [(f"key_{place}", str | int | float | None, None) for place in range(len(columns))]
    named = {field[0]: column for field, column in zip(fields, columns, strict=True)}
    try:
        # Fields that are not named here are skipped without being read.
        return msgspec.defstruct("Keys", fields, rename=named)
    except ValueError:
        return dict[str, Raw]


def _values(row: Any, columns: Sequence[str]) -> tuple[Any, ...]:
    if isinstance(row, dict):
        return tuple(msgspec.json.decode(row[column], type=str | int | float | None) for column in columns)
    return msgspec.structs.astuple(row)


def _of_split(split: Any, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    places = [split.columns.index(column) for column in columns]
    return [tuple(msgspec.json.decode(row[place]) for place in places) for row in split.data]
