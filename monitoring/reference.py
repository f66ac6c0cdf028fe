"""The reference window of a model version: what its features and predictions looked like when it was trained.

It is made once per version and stored with it: a sample of rows, and the profile of all rows. What later windows are
compared with is sorted here, once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from monitoring.bins import Floats
from monitoring.cells import Cells
from monitoring.columns import SortedNumbers, counted_texts
from monitoring.errors import UnreadableProfileError, UnreadableReferenceError
from monitoring.profile import ColumnProfile, NumberProfile, Profile, profile_of_reference
from monitoring.wasserstein import Runs

SAMPLE = 20_000
_META, _HISTORY = b"incumbent.reference", b"incumbent.history"

CellCounts = Mapping[str, Sequence[int]]
"""Rows in each cell of each column of one window."""


@dataclass(frozen=True, slots=True, eq=False)
class NumberReference:
    """A column of numbers.

    Attributes:
        values: the finite values of the sample, ascending.
        std: their population standard deviation; 0 where there are none, not finite where it leaves the doubles.
        cells: the cells of all rows.
        runs: the values' runs, where there are many values.
    """

    values: Floats
    std: float
    cells: Cells
    runs: Runs | None


@dataclass(frozen=True, slots=True, eq=False)
class TextReference:
    """A column of categories.

    Attributes:
        shares: share of each category among the non-null values of the sample.
        rows: non-null values in the sample.
        cells: the cells of all rows.
    """

    shares: Mapping[str, float]
    rows: int
    cells: Cells


ColumnReference = NumberReference | TextReference


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The reference window of one model version.

    Attributes:
        frame: the sample, at most 20,000 rows in their order; what a report shows.
        profile: counts, extremes and sums of all rows; its bins are those of every later window.
        columns: what a window's values are compared with, in column order.
        history: rows in each cell of each column in windows before the reference, oldest first; from them the decision
            rule knows how much windows differ without drift.
    """

    frame: pd.DataFrame
    profile: Profile
    columns: Mapping[str, ColumnReference]
    history: tuple[CellCounts, ...] = ()

    def __iter__(self) -> Iterator[tuple[str, ColumnReference]]:
        return iter(self.columns.items())

    @property
    def rows(self) -> int:
        """How many rows the sample was drawn from."""
        return self.profile.rows

    @classmethod
    def of(
        cls, frame: pd.DataFrame, *, seed: int = 0, sample: int = SAMPLE, earlier: Iterable[pd.DataFrame] = ()
    ) -> Reference:
        """Profile a frame of features and `prediction`; text columns are categories, all others numbers.

        Args:
            frame: rows of the reference window.
            seed: chooses the sample.
            sample: at most so many rows are kept.
            earlier: windows before it, oldest first, each as long as a window will be; columns may be missing.
        """
        frame = frame.rename(columns=str)
        chosen = np.arange(len(frame))
        if len(frame) > sample:
            chosen = np.sort(np.random.default_rng(seed).choice(len(frame), sample, replace=False))
        profile = profile_of_reference(frame)
        history = tuple(_cells_of(window, profile) for window in earlier)
        return cls._of_sample(frame.iloc[chosen].reset_index(drop=True), profile, history)

    @classmethod
    def _of_sample(cls, frame: pd.DataFrame, profile: Profile, history: tuple[CellCounts, ...]) -> Reference:
        columns = {name: _compared_with(frame[name], column) for name, column in profile.columns}
        return cls(frame, profile, columns, history)

    def write(self, target: Path | BinaryIO) -> None:
        """Write the sample as a Parquet file, with the profile in its metadata."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        history = json.dumps(self.history, sort_keys=True).encode()
        meta = {**(table.schema.metadata or {}), _META: self.profile.to_json().encode(), _HISTORY: history}
        pq.write_table(table.replace_schema_metadata(meta), target)

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
            meta = table.schema.metadata or {}
            profile = Profile.from_json(meta[_META].decode())
            history = tuple(json.loads(meta[_HISTORY]))
            return cls._of_sample(table.to_pandas(), profile, history)
        except (OSError, KeyError, ValueError, pa.ArrowException, UnreadableProfileError) as error:
            raise UnreadableReferenceError(str(source), f"{type(error).__name__}: {error}") from error


def _compared_with(column: pd.Series[Any], profile: ColumnProfile) -> ColumnReference:
    """What is kept of a column of the sample, of the kind that it has in all rows."""
    if isinstance(profile, NumberProfile):
        values = SortedNumbers.of(column).finite
        with np.errstate(over="ignore", invalid="ignore"):  # a spread beyond all doubles is no spread to divide by
            std = float(values.std()) if values.size else 0.0
        return NumberReference(values, std, Cells.of(profile), Runs.of(values))
    counted = counted_texts(column)
    rows = sum(counted.values())
    return TextReference({name: count / rows for name, count in counted.items()}, rows, Cells.of(profile))


def _cells_of(window: pd.DataFrame, reference: Profile) -> CellCounts:
    """The columns that the window has."""
    window = window.rename(columns=str)
    known = Profile(tuple((name, column) for name, column in reference.columns if name in window))
    counted = Profile.of(window, known.layout)
    return {
        name: list(Cells.of(reference[name]).counts(column.counts, column.others)) for name, column in counted.columns
    }
