"""What an aggregate makes of the values of a window, as `aggregates` says it, one window at a time."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

import polars as pl

from feature_store.definitions.aggregates import Kind
from feature_store.online.cells import as_date, as_datetime
from feature_store.online.window_layout import SeriesLayout
from feature_store.point_in_time.exact import exact_mean, exact_moments, exact_std, exact_sum, whole_sum

Finish = Callable[[list[Any], int, int], Any]
"""From the values that are not null (or, for sums and extremes, what stands for them), how many there are, and how
many rows, to the answer."""

_FLOAT32 = Struct("<f")
_COUNTED = (Kind.LEN, Kind.COUNT, Kind.N_UNIQUE)


def empty(kind: Kind, dtype: pl.DataType) -> Any:
    """The answer over a window without rows."""
    if kind in _COUNTED:
        return 0
    if kind is Kind.SUM:
        return 0.0 if dtype.is_float() else 0
    return None


def finish(kind: Kind, layout: SeriesLayout | None, dtype: pl.DataType) -> Finish:
    """How an aggregate is made of values.

    Args:
        dtype: of the answer.
    """
    if layout is None:
        return lambda values, count, rows: rows
    answer = _answers(kind, layout)
    as_type = _as_type(dtype)
    if as_type is None or kind in _COUNTED:
        return answer

    def typed(values: list[Any], count: int, rows: int) -> Any:
        found = answer(values, count, rows)
        return None if found is None else as_type(found)

    return typed


def _answers(kind: Kind, layout: SeriesLayout) -> Finish:
    if layout.is_float and kind in _OF_FLOATS:
        return _OF_FLOATS[kind]
    return _OF_ALL[kind]


def _float_sum(values: list[float], count: int, rows: int) -> float:
    return exact_sum(values)


def _float_mean(values: list[float], count: int, rows: int) -> float | None:
    return exact_mean(exact_sum(values), count)


def _whole_mean(values: list[int], count: int, rows: int) -> float | None:
    return exact_mean(sum(values), count)


def _least(values: list[float], count: int, rows: int) -> float | None:
    """The least that is no NaN, if there is one; a zero without sign."""
    return _extreme(min, values) if values else None


def _most(values: list[float], count: int, rows: int) -> float | None:
    """The most that is no NaN, if there is one; a zero without sign."""
    return _extreme(max, values) if values else None


def _extreme(choose: Callable[[list[float]], float], values: list[float]) -> float:
    found = choose(values)
    if found != found:  # a NaN stays chosen only where it comes first
        found = choose([one for one in values if one == one] or values)
    return found + 0.0


def _kinds(values: list[Any], count: int, rows: int) -> int:
    return len(set(values)) + (count < rows)


def _kinds_of_floats(values: list[float], count: int, rows: int) -> int:
    numbers = {one for one in values if one == one}
    return len(numbers) + any(one != one for one in values) + (count < rows)


def _as_type(dtype: pl.DataType) -> Callable[[Any], Any] | None:
    """From a number of the record to a value of the answer's type."""
    if dtype == pl.Float32:
        return _rounded
    if dtype == pl.Boolean:
        return bool
    if dtype == pl.Date:
        return as_date
    return as_datetime if isinstance(dtype, pl.Datetime) else None


def _rounded(value: float) -> float:
    """A double as the nearest single, as a double."""
    try:
        return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


_OF_FLOATS: dict[Kind, Finish] = {
    Kind.SUM: _float_sum,
    Kind.MEAN: _float_mean,
    Kind.MIN: _least,
    Kind.MAX: _most,
    Kind.N_UNIQUE: _kinds_of_floats,
}
_OF_ALL: dict[Kind, Finish] = {
    Kind.LEN: lambda values, count, rows: rows,
    Kind.COUNT: lambda values, count, rows: count,
    Kind.SUM: lambda values, count, rows: whole_sum(values),
    Kind.MEAN: _whole_mean,
    Kind.STD: lambda values, count, rows: exact_std(exact_moments(values)),
    Kind.MIN: lambda values, count, rows: min(values, default=None),
    Kind.MAX: lambda values, count, rows: max(values, default=None),
    Kind.LAST: lambda values, count, rows: values[0] if values else None,
    Kind.N_UNIQUE: _kinds,
}
