"""Rows of many entities in order of time, and how far each question can see along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.errors import ColumnTypeError, MissingColumnsError

Ints = NDArray[np.int64]

ELSEWHERE, NOWHERE = -1, -2
"""The numbers of a row that no question asks for, and of a question that names no entity."""

_ROOM = 2**62
_DENSE = 2**22
_MANY = 2**31


def moments(series: pl.Series) -> Ints:
    """Moments as whole microseconds since 1970 (UTC)."""
    return series.to_physical().to_numpy()


def joinable(series: pl.Series) -> pl.Series:
    """Values that are equal when they are the same: doubles as their bits, for all NaN are one and so are both zeros.

    Polars joins NaN with NaN in most frames, but not in those of one row.
    """
    if not series.dtype.is_float():
        return series
    doubles = series.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
    words = np.where(np.isnan(doubles), np.nan, doubles).view(np.int64)
    return pl.Series(series.name, words).set(series.is_null(), None)


class Asked:
    """Questions, with the entities that they name numbered once for all the tables they are joined with."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self._numbered: dict[str, tuple[_Numbers, Ints]] = {}

    def codes(self, rows: pl.DataFrame, by: Sequence[str], *, told: str) -> tuple[Ints, Ints]:
        """The numbers of the rows' entities and of the questions'; equal ones are 0 or more and mean one entity.

        A null names no entity: a question with one has `NOWHERE`, a row with one `ELSEWHERE`.

        Raises:
            MissingColumnsError: the questions lack a column.
            ColumnTypeError: a column has another type in the questions than in the rows.
        """
        self._check(rows, by, told)
        theirs, ours = np.zeros(rows.height, np.int64), np.zeros(self.frame.height, np.int64)
        size = 1
        for name in by:
            numbers, asked = self._column(name)
            size *= max(numbers.size, 1)
            theirs = _combined(theirs, numbers.of(rows[name]), numbers.size, ELSEWHERE)
            ours = _combined(ours, asked, numbers.size, NOWHERE)
            if size > _MANY:  # times the numbers of one more column, or of so many moments, it still fits in 64 bits
                theirs, ours, size = _renumbered(theirs, ours)
        return theirs, ours

    def _check(self, rows: pl.DataFrame, by: Sequence[str], told: str) -> None:
        missing = [name for name in by if name not in self.frame.columns]
        if missing:
            raise MissingColumnsError(f"questions for {told}", missing, self.frame.columns)
        for name in by:
            if rows.schema[name] != self.frame.schema[name]:
                raise ColumnTypeError("questions", name, got=self.frame.schema[name], expected=rows.schema[name])

    def _column(self, name: str) -> tuple[_Numbers, Ints]:
        if name not in self._numbered:
            numbers = _Numbers(self.frame[name])
            self._numbered[name] = numbers, numbers.of(self.frame[name])
        return self._numbered[name]


def entity_codes(rows: pl.DataFrame, questions: pl.DataFrame, by: Sequence[str], *, told: str) -> tuple[Ints, Ints]:
    """The numbers of the entities of rows and questions, as `Asked.codes` gives them."""
    return Asked(questions).codes(rows, by, told=told)


class _Numbers:
    """The different values of a column of the questions, numbered from 0."""

    def __init__(self, asked: pl.Series) -> None:
        values = joinable(asked.drop_nulls())
        self._least: int | None = None
        self._names: pl.Enum | None = None
        if values.dtype == pl.String:
            values = values.unique(maintain_order=True)
            self._names, self.size = pl.Enum(values), len(values)
            return
        if values.dtype.is_integer() and len(values):
            least, most = int(values.min()), int(values.max())  # type: ignore[arg-type]
            if most - least < _DENSE:
                self._least, self.size = least, most - least + 1
                return
        self._values = values.unique(maintain_order=True).alias("value").to_frame().with_row_index("number")
        self.size = self._values.height

    def of(self, series: pl.Series) -> Ints:
        """The number of each value; -1 for null and for what no question names."""
        if self._names is not None:
            return series.cast(self._names, strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
        series = joinable(series)
        if self._least is not None:
            # Below the least it stays negative only after the clip, because a difference may not fit.
            inside = series.is_between(self._least, self._least + self.size - 1)
            return (series.cast(pl.Int64).set(~inside, None) - self._least).fill_null(-1).to_numpy()
        joined = series.alias("value").to_frame().join(self._values, on="value", how="left", maintain_order="left")
        return joined["number"].cast(pl.Int64).fill_null(-1).to_numpy()


def _combined(so_far: Ints, numbers: Ints, size: int, unknown: int) -> Ints:
    return np.where((so_far < 0) | (numbers < 0), unknown, so_far * max(size, 1) + numbers)


def _renumbered(theirs: Ints, ours: Ints) -> tuple[Ints, Ints, int]:
    """The same entities with small numbers."""
    kept = np.unique(ours[ours >= 0])
    found = [np.searchsorted(kept, np.maximum(codes, 0)) for codes in (theirs, ours)]
    there = kept[np.minimum(found[0], len(kept) - 1)] == theirs if len(kept) else np.zeros(len(theirs), bool)
    return np.where(there, found[0], ELSEWHERE), np.where(ours >= 0, found[1], NOWHERE), len(kept)


class Grid:
    """One whole number for an entity and a moment, in the order of entities and then of moments."""

    def __init__(self, codes: Ints, times: Ints) -> None:
        self._ranks: Ints | None = None
        self._first = int(times.min()) if len(times) else 0
        span = int(times.max()) - self._first if len(times) else 0
        self._beyond = int(codes.max()) + 1 if len(codes) else 0
        entities = self._beyond + 2
        self._step = 1
        if span >= _ROOM // entities:
            self._step = max(int(np.gcd.reduce(times - self._first)), 1)
        self._stride = span // self._step + 2
        if self._stride >= _ROOM // entities:
            self._ranks = np.unique(times)
            self._stride = len(self._ranks) + 1

    def places(self, codes: Ints, times: Ints) -> Ints:
        """The numbers. A moment between two of the grid counts as the earlier one.

        All entities beyond those of the grid are one, behind them: with numbers of their own they might not fit.
        """
        codes = np.minimum(codes, self._beyond)
        if self._ranks is not None:
            return codes * self._stride + np.searchsorted(self._ranks, times, side="right")
        slots = np.clip(times, self._first - self._step, self._first + self._step * self._stride) - self._first
        if self._step != 1:
            slots //= self._step
        slots += 1
        np.minimum(slots, self._stride - 1, out=slots)
        slots += codes * self._stride
        return slots


@dataclass(frozen=True, slots=True)
class Timeline:
    """Positions of moments among rows that are sorted by entity and then by moment.

    Attributes:
        order: the rows' indices in that order.
        places: their numbers on the grid, never decreasing.
    """

    grid: Grid
    order: Ints
    places: Ints

    @classmethod
    def of(cls, codes: Ints, times: Ints, ties: Sequence[Ints] = ()) -> Timeline:
        """Rows of these entities and moments; those that are equal in both follow `ties`, least important first."""
        grid = Grid(codes, times)
        places = grid.places(codes, times)
        order: Ints = np.argsort(places)
        ordered = places[order]
        return cls(grid, _settled(order, ordered, ties) if ties else order, ordered)

    def upto(self, codes: Ints, times: Ints) -> Ints:
        """The position behind each entity's last row at or before a moment."""
        return upto_places(self.places, self.grid.places(codes, times))


def _settled(order: Ints, ordered: Ints, ties: Sequence[Ints]) -> Ints:
    """The same order, with rows at one place in the order of `ties`."""
    same = ordered[1:] == ordered[:-1]
    # Rows that no question asks for stand first, below 0; nobody sees in what order.
    same[: np.searchsorted(ordered, 0)] = False
    if same.any():
        places = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[places]
        order[places] = rows[np.lexsort((*(tie[rows] for tie in ties), ordered[places]))]
    return order


def upto_places(places: Ints, asked: Ints) -> Ints:
    """How many of the places, which never decrease, are at or before each one that is asked for."""
    if (asked[1:] >= asked[:-1]).all():
        return np.searchsorted(places, asked, side="right")
    # Sorting first is several times faster than jumping about in memory.
    order = np.argsort(asked)
    found = np.empty(len(asked), np.int64)
    found[order] = np.searchsorted(places, asked[order], side="right")
    return found
