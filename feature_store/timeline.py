"""Rows of many entities in order of time, and how far each question can see along them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.errors import ColumnTypeError, MissingColumnsError

Ints = NDArray[np.int64]


def moments(series: pl.Series) -> Ints:
    """Moments as whole microseconds since 1970 (UTC)."""
    return series.to_physical().to_numpy()


def entity_codes(rows: pl.DataFrame, questions: pl.DataFrame, by: Sequence[str], *, told: str) -> tuple[Ints, Ints]:
    """Number the entities of rows, and give each question the number of its own; -1 where there is none.

    A null names no entity. Rows without one get numbers that no question has.
    """
    missing = [name for name in by if name not in questions.columns]
    if missing:
        raise MissingColumnsError(f"questions for {told}", missing, questions.columns)
    if not by:
        return np.zeros(rows.height, np.int64), np.zeros(questions.height, np.int64)
    for name in by:
        if rows.schema[name] != questions.schema[name]:
            raise ColumnTypeError("questions", name, got=questions.schema[name], expected=rows.schema[name])
    entities = rows.select(by).unique(maintain_order=True).with_row_index("_code")
    joined = [
        frame.select(by).join(entities, on=by, how="left", maintain_order="left", nulls_equal=equal)["_code"]
        for frame, equal in ((rows, True), (questions, False))
    ]
    return joined[0].cast(pl.Int64).to_numpy(), joined[1].cast(pl.Int64).fill_null(-1).to_numpy()


class Timeline:
    """Positions of moments among rows that are sorted by entity and then by moment."""

    def __init__(self, codes: Ints, times: Ints) -> None:
        self._moments, ranks = np.unique(times, return_inverse=True)
        self._stride = len(self._moments) + 1
        self._places = codes * self._stride + ranks + 1

    def start(self, codes: Ints) -> Ints:
        """The position of each entity's first row."""
        return np.searchsorted(self._places, codes * self._stride, side="right")

    def upto(self, codes: Ints, times: Ints) -> Ints:
        """The position behind each entity's last row at or before a moment."""
        ranks = np.searchsorted(self._moments, times, side="right")
        return np.searchsorted(self._places, codes * self._stride + ranks, side="right")
