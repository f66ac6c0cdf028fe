"""The columns of a signature that the fast path understands: named, flat, scalar."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import Model


class Kind(StrEnum):
    """Column types of MLflow, by MLflow's names; others stay on MLflow's own path."""

    DOUBLE = "double"
    FLOAT = "float"
    LONG = "long"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a model."""

    name: str
    kind: Kind


def columns_of(described: Model) -> tuple[Column, ...] | None:
    """Input columns in the order of the signature; none where something about them is unusual.

    Unusual are: no signature, tensors, nested or binary types, columns without a name or with the same one, columns
    that may be left out, parameters, and signatures made from type hints.
    """
    schema = described.get_input_schema()
    if schema is None or described.get_params_schema() is not None or described._is_signature_from_type_hint():
        return None
    if schema.is_tensor_spec() or not schema.has_input_names() or not all(spec.required for spec in schema.inputs):
        return None
    names, kinds = schema.input_names(), [getattr(spec.type, "name", "") for spec in schema.inputs]
    if len(set(names)) != len(names) or not set(kinds) <= set(Kind):
        return None
    return tuple(Column(name, Kind(kind)) for name, kind in zip(names, kinds, strict=True))
