"""A frame as a matrix of numbers, coded as its reference window taught: what fitted watchers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring.columns import numbers_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How each column becomes a number.

    Attributes:
        columns: name of each column, in order, with its categories, most frequent first; none for numbers.
    """

    columns: Mapping[str, tuple[str, ...] | None]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Encoding:
        """Learn the categories of a frame; what is no number is a category."""
        return cls({str(name): _categories(frame[name]) for name in frame.columns})

    def matrix(self, frame: pd.DataFrame) -> Floats:
        """Rows x columns; NaN for null, infinite, a category that the reference did not hold, and a missing column."""
        coded = [self._coded(frame, name, categories) for name, categories in self.columns.items()]
        return np.column_stack(coded) if coded else np.empty((len(frame), 0))

    def _coded(self, frame: pd.DataFrame, name: str, categories: tuple[str, ...] | None) -> Floats:
        if name not in frame:
            return np.full(len(frame), np.nan)
        column = frame[name]
        if categories is not None:
            found = pd.Index(categories).get_indexer(
                pd.Index(column.astype(object).where(column.isna(), column.astype(str)))
            )
            return np.where(found < 0, np.nan, found.astype(np.float64))
        if numbers_of(column) is None:
            return np.full(len(frame), np.nan)
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)

    def plain(self) -> list[list[Any]]:
        """What JSON can hold; the way back is `from_plain`."""
        return [[name, None if categories is None else list(categories)] for name, categories in self.columns.items()]

    @classmethod
    def from_plain(cls, plain: list[list[Any]]) -> Encoding:
        """Read what `plain` wrote."""
        return cls({str(name): None if found is None else tuple(map(str, found)) for name, found in plain})


def _categories(column: pd.Series[Any]) -> tuple[str, ...] | None:
    if numbers_of(column) is not None:
        return None
    counts = column.dropna().astype(str).value_counts()
    return tuple(sorted(counts.index, key=lambda name: (-counts[name], name)))
