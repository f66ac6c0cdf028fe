"""The types that a table keeps, and whether rows fit a table: asked before Delta would cast them silently."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from feature_store.errors import SchemaChangedError

TYPES = (
    *(pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.String, pl.Date),
    pl.Datetime("us", "UTC"),
)


def new_columns(
    table: str, frame: pl.DataFrame, stored: Mapping[str, Any] | None, allow_new: Collection[str]
) -> list[str]:
    """The columns of a frame that the table gets by it.

    Args:
        stored: columns and types of the table; None when there is none yet.
        allow_new: the columns that it may get.

    Raises:
        SchemaChangedError: a column has a type that is not kept, or differs from the stored one.
    """
    given: dict[str, Any] = dict(frame.schema)
    kept = "bool, i8..i64, f32, f64, str, date or datetime[us, UTC]"
    wrong = {name: (dtype, kept) for name, dtype in given.items() if dtype not in TYPES}
    if wrong:
        raise SchemaChangedError(table, wrong)
    if stored is None:
        return []
    new = [name for name in given if name not in stored and name in allow_new]
    differences = {
        name: (given.get(name), stored.get(name))
        for name in {*given, *stored} - set(new)
        if given.get(name) != stored.get(name)
    }
    if differences:
        raise SchemaChangedError(table, differences)
    return new
