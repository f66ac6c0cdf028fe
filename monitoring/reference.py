"""The reference window of a model version: what its features and predictions looked like when it was trained.

It is made once per version and stored with it. What later windows are compared with is sorted here, once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring.columns import numbers_of, shares_of, texts_of
from monitoring.errors import UnreadableReferenceError

SAMPLE = 20_000
_META = b"incumbent.reference"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class NumberReference:
    """A column of numbers.

    Attributes:
        values: the finite values of the sample, ascending.
        std: their population standard deviation; 0 where there are none.
        null_share: share of nulls among all rows.
    """

    values: Floats
    std: float
    null_share: float


@dataclass(frozen=True, slots=True, eq=False)
class TextReference:
    """A column of categories.

    Attributes:
        shares: share of each category among the non-null values of the sample.
        rows: non-null values in the sample.
        null_share: share of nulls among all rows.
    """

    shares: Mapping[str, float]
    rows: int
    null_share: float


ColumnReference = NumberReference | TextReference


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The reference window of one model version.

    Attributes:
        frame: the sample, at most 20,000 rows in their order; what a report shows.
        rows: how many rows it was drawn from.
        columns: one profile per column, in column order.
    """

    frame: pd.DataFrame
    rows: int
    columns: Mapping[str, ColumnReference]

    def __iter__(self) -> Iterator[tuple[str, ColumnReference]]:
        return iter(self.columns.items())

    @classmethod
    def of(cls, frame: pd.DataFrame, *, seed: int = 0, sample: int = SAMPLE) -> Reference:
        """Profile a frame of features and `prediction`; text columns are categories, all others numbers."""
        chosen = np.arange(len(frame))
        if len(frame) > sample:
            chosen = np.sort(np.random.default_rng(seed).choice(len(frame), sample, replace=False))
        nulls = {str(name): float(frame[name].isna().mean()) if len(frame) else 0.0 for name in frame.columns}
        return cls._profiled(frame.iloc[chosen].reset_index(drop=True), len(frame), nulls)

    @classmethod
    def _profiled(cls, frame: pd.DataFrame, rows: int, nulls: Mapping[str, float]) -> Reference:
        frame = frame.rename(columns=str)
        return cls(frame, rows, {name: _profile(frame[name], nulls[name]) for name in frame.columns})

    def write(self, target: Path | BinaryIO) -> None:
        """Write the sample as a Parquet file; everything else is in its metadata or follows from it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        nulls = {name: column.null_share for name, column in self.columns.items()}
        meta = json.dumps({"rows": self.rows, "nulls": nulls}).encode()
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), _META: meta}), target)

    @classmethod
    def read(cls, source: Path | BinaryIO) -> Reference:
        """Read what `write` wrote.

        Raises:
            UnreadableReferenceError: it is another file, or damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(source)
            meta = json.loads((table.schema.metadata or {})[_META])
            return cls._profiled(table.to_pandas(), meta["rows"], meta["nulls"])
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise UnreadableReferenceError(str(source), f"{type(error).__name__}: {error}") from error


def _profile(column: pd.Series[Any], null_share: float) -> ColumnReference:
    numbers = numbers_of(column)
    if numbers is None:
        texts = texts_of(column)
        return TextReference(shares_of(texts), len(texts), null_share)
    values = np.sort(numbers)
    return NumberReference(values, float(values.std()) if values.size else 0.0, null_share)
