"""What a column of a frame is: numbers or categories. By its type, never by counting its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NUMBERS = {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}


def values_of(column: pd.Series[Any]) -> NDArray[np.float64] | None:
    """All values of a column of numbers or booleans, nulls as NaN; none for any other column.

    An object column counts as numbers when all its values are, because a frame that came from
    records has such columns where nulls are.
    """
    if column.dtype == np.float64:
        return column.to_numpy()
    if column.dtype == object:
        if pd.api.types.infer_dtype(column, skipna=True) not in _NUMBERS:
            return None
    elif not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)):
        return None
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class SortedNumbers:
    """A column of numbers, sorted once.

    Attributes:
        finite: the finite values, ascending.
        nulls: how many are null.
        infinities: how many are minus and plus infinity.
        foreign: how many are no numbers, where the column is of another type.
    """

    finite: NDArray[np.float64]
    nulls: int = 0
    infinities: tuple[int, int] = (0, 0)
    foreign: int = 0

    @classmethod
    def of(cls, column: pd.Series[Any]) -> SortedNumbers:
        """Sort a column; where it is none of numbers, all its values are foreign."""
        values = values_of(column)
        if values is None:
            nulls = int(column.isna().sum())
            return cls(np.empty(0), nulls, foreign=len(column) - nulls)
        ascending = np.sort(values)  # NaN at the end
        first, last, end = ascending.searchsorted([-np.finfo(np.float64).max, np.inf, np.nan]).tolist()
        return cls(ascending[first:last], len(values) - end, (first, end - last))


def numbers_of(column: pd.Series[Any]) -> NDArray[np.float64] | None:
    """The finite values of a column of numbers or booleans, or none for any other column."""
    values = values_of(column)
    if values is None:
        return None
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]


def counted_texts(column: pd.Series[Any]) -> dict[str, int]:
    """How often each non-null value of any other column occurs, as text, in alphabetical order."""
    codes, values = pd.factorize(column)
    if column.dtype.kind in "Of" and not all(type(value) is str for value in values):
        codes, values = pd.factorize(_as_texts(column))
    counts = np.bincount(codes + 1, minlength=len(values) + 1)[1:].tolist()
    counted: dict[str, int] = {}
    for value, count in zip(values, counts, strict=True):
        counted[str(value)] = counted.get(str(value), 0) + count
    return dict(sorted(counted.items()))


def _as_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Each value as its own text: as values True and 1 are equal, and whichever comes first would stand for both."""
    return column.astype(object).map(str, na_action="ignore")
