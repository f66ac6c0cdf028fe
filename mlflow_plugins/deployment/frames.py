"""Decoded columns as the DataFrame that MLflow's parsing and schema enforcement would make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.errors import UnusualValueError

# Beyond this a double does not hold every integer, and MLflow's order of conversions matters.
_EXACT = 2**53
# pandas reads all texts of a column in the form of the first: 01/02/2013 is in February beside 13/02/2013, and in
# January alone. Texts of this form mean the same in any company.
_MOMENT = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2}([T ][0-9:.]*)?")


def to_frame(columns: Sequence[Column], values: Sequence[Values]) -> pd.DataFrame:
    """One column for each of the signature, in its dtype.

    Raises:
        UnusualValueError: MLflow should answer.
    """
    return pd.DataFrame({column.name: _array(column, given) for column, given in zip(columns, values, strict=True)})


def _array(column: Column, given: Values) -> Any:
    array = _ARRAYS[column.kind](given)
    if array is None:
        raise UnusualValueError(column.name)
    return array


def _doubles(given: Values) -> Any:
    return np.array(given, dtype=np.float64)


def _floats(given: Values) -> Any:
    wide = np.array(given, dtype=np.float64)
    return None if (np.abs(wide) >= _EXACT).any() else wide.astype(np.float32)


def _longs(given: Values) -> Any:
    return np.array(given, dtype=np.int64) if _within(given, _EXACT) else None


def _integers(given: Values) -> Any:
    return np.array(given, dtype=np.int32) if _within(given, np.iinfo(np.int32).max) else None


def _within(given: Values, limit: int) -> bool:
    return all(-limit <= value <= limit for value in given)


def _booleans(given: Values) -> Any:
    return np.array(given, dtype=np.bool_)


def _texts(given: Values) -> Any:
    texts = np.empty(len(given), dtype=object)
    texts[:] = given
    return texts


def _moments(given: Values) -> Any:
    if not all(text is None or _MOMENT.fullmatch(text) for text in given):
        return None
    try:
        parsed = pd.to_datetime(pd.Series(given, dtype=object))
    except (ValueError, OverflowError):
        return None
    return parsed.to_numpy() if parsed.dtype == np.dtype("datetime64[ns]") else None


# Each gives none for a value that is left to MLflow.
_ARRAYS: dict[Kind, Callable[[Values], Any]] = {
    Kind.DOUBLE: _doubles,
    Kind.FLOAT: _floats,
    Kind.LONG: _longs,
    Kind.INTEGER: _integers,
    Kind.BOOLEAN: _booleans,
    Kind.STRING: _texts,
    Kind.DATETIME: _moments,
}
