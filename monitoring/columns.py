"""What a column of a frame is: numbers or categories. By its type, never by counting its values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def numbers_of(column: pd.Series[Any]) -> NDArray[np.float64] | None:
    """The finite values of a column of numbers or booleans, or none for any other column.

    An object column counts as numbers when all its values are, because a frame that came from
    records has such columns where nulls are.
    """
    if column.dtype == object:
        found = pd.api.types.infer_dtype(column, skipna=True)
        if found not in {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}:
            return None
    elif not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)):
        return None
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    finite: NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def texts_of(column: pd.Series[Any]) -> pd.Series[str]:
    """The non-null values of any other column, as text."""
    return column.dropna().astype(str)


def shares_of(values: pd.Series[str]) -> dict[str, float]:
    """Share of each category, categories in alphabetical order."""
    counts = values.value_counts(normalize=True).sort_index()
    return {str(name): float(share) for name, share in counts.items()}
