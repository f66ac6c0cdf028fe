"""Values of the feature store's types as cells of a packed record, and back as Python values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1).toordinal()

_LETTERS: dict[pl.DataType, str] = {
    pl.Boolean(): "?",
    pl.Int8(): "b",
    pl.Int16(): "h",
    pl.Int32(): "i",
    pl.Int64(): "q",
    pl.Float32(): "f",
    pl.Float64(): "d",
    pl.String(): "I",
    pl.Date(): "i",
    pl.Datetime("us", "UTC"): "q",
}


def letter(dtype: pl.DataType) -> str:
    """The type of a cell, as `struct` names it; of text, where it ends among the record's texts."""
    return _LETTERS[dtype]


def numpy_type(dtype: pl.DataType) -> str:
    """The type of a cell, as NumPy names it."""
    return "<" + {"?": "?", "b": "i1", "h": "i2", "i": "i4", "q": "i8", "f": "f4", "d": "f8", "I": "u4"}[letter(dtype)]


def cells(column: pl.Series) -> NDArray[Any]:
    """A column that is no text, as cells; anything where it is null."""
    if column.null_count():
        column = column.fill_null(False) if column.dtype == pl.Boolean else column.to_physical().fill_null(0)
    return column.to_physical().to_numpy()


def as_date(days: int) -> date:
    """The day so many days after 1970-01-01."""
    return date.fromordinal(_FIRST_DAY + days)


def as_datetime(microseconds: int) -> datetime:
    """The moment in UTC so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def as_microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to a moment with a zone."""
    since = moment - _EPOCH
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


def readers(types: Sequence[pl.DataType]) -> list[tuple[int, Callable[[int], Any]]]:
    """The places of cells that are numbers of something else, and how to read them."""
    found: list[tuple[int, Callable[[int], Any]]] = []
    for place, dtype in enumerate(types):
        if dtype == pl.Date:
            found.append((place, as_date))
        elif isinstance(dtype, pl.Datetime):
            found.append((place, as_datetime))
    return found
