"""Finishing windows at the moment of a read, from the rows and tiles of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

import polars as pl

from feature_store.aggregates import Kind
from feature_store.online.answers import Status, Statuses
from feature_store.online.cells import as_datetime
from feature_store.online.errors import AskedOfThePastError
from feature_store.online.own_rows import Digests
from feature_store.online.plan import InWindow
from feature_store.online.window_layout import HEAD, SERIES, series_of
from feature_store.online.window_record import Column, Record, opened
from feature_store.online.window_values import Finish, empty, finish

Row = tuple[Any, ...]

_TILED = frozenset({Kind.SUM, Kind.MEAN, Kind.MIN, Kind.MAX})
_COUNTED = frozenset({Kind.LEN, Kind.COUNT})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One aggregate: where its answer stands among those of a window, and how it is made."""

    place: int
    kind: Kind
    finish: Finish


class WindowAnswers:
    """Answers of one part from its records."""

    def __init__(self, part: InWindow, inputs: Mapping[str, pl.DataType], types: Mapping[str, pl.DataType]) -> None:
        self._layouts, series = series_of(part, dict(inputs))
        self._over, self._own, self._count = part.over, part.own, len(part.aggregates)
        self._lengths: list[int] = []
        self._by_series: list[list[_Asked]] = [[] for _ in self._layouts]
        nothing = []
        for place, ((_, aggregate), one) in enumerate(zip(part.aggregates, series, strict=True)):
            dtype = types[part.names[place]]
            nothing.append(empty(aggregate.kind, dtype))
            if one is None:
                self._lengths.append(place)
            else:
                done = finish(aggregate.kind, self._layouts[one], dtype)
                self._by_series[one].append(_Asked(place, aggregate.kind, done))
        self._nothing: Row = tuple(nothing) * len(part.over)
        self._unpack = Struct(f"<{HEAD + SERIES * len(self._layouts)}q").unpack_from

    def answers(self, raws: Sequence[bytes | None], at: int, own: Digests | None) -> tuple[list[Row], Statuses]:
        """The values for n records read at `at` (microseconds), those of no rows where there is no record.

        Raises:
            AskedOfThePastError: `at` is before what the record still tells.
            SumOverflowError: a sum of whole numbers is beyond 64 bits.
        """
        rows: list[Row] = []
        statuses: dict[int, Status | tuple[Status, ...]] = {}
        mine = own if self._own else None
        for place, raw in enumerate(raws):
            if raw is None:
                rows.append(self._nothing)
                statuses[place] = Status.MISSING
                continue
            row, empties = self._answer(raw, at, place, mine)
            rows.append(row)
            if empties:
                odd = [Status.STALE if number in empties else Status.FOUND for number in range(len(self._over))]
                statuses[place] = tuple(one for one in odd for _ in range(self._count))
        return rows, statuses

    def _answer(self, raw: bytes, at: int, place: int, own: Digests | None) -> tuple[Row, list[int]]:
        head = self._unpack(raw)
        if at < head[0]:
            raise AskedOfThePastError(as_datetime(at), as_datetime(head[0]))
        record = opened(raw, head, self._layouts, self._own)
        high = record.upto(at, record.rows)
        answer: list[Any] = []
        empties = []
        for number, over in enumerate(self._over):
            low = record.upto(at - over, high)
            apart = None if own is None or low == high else record.place_of(own[place], low, high)
            if apart is None:
                answer += self._window(record, low, high)
            else:
                answer += self._without(record, (low, apart, high))
            if high - low == (apart is not None):
                empties.append(number)
        return tuple(answer), empties

    def _window(self, record: Record, low: int, high: int) -> list[Any]:
        """The aggregates over the rows from `low` to `high`."""
        found: list[Any] = [high - low] * self._count
        tiles = record.tiles_within(low, high)
        for column, asked in zip(record.columns, self._by_series, strict=True):
            first, last = column.among(low, high)
            values: list[Any] | None = None
            edges = _edges(column, tiles, first, last) if tiles[0] < tiles[1] else None
            for one in asked:
                kind, inside = one.kind, None
                if kind in _COUNTED:
                    found[one.place] = one.finish([], last - first, high - low)
                    continue
                if kind is Kind.LAST:
                    found[one.place] = one.finish(_newest(column, low, high), last - first, high - low)
                    continue
                if edges is not None and kind in _TILED:
                    inside = column.summands(kind, *tiles)
                if inside is None or edges is None:
                    values = column.taken(first, last) if values is None else values
                    inside = values
                else:
                    inside += edges
                found[one.place] = one.finish(inside, last - first, high - low)
        return found

    def _without(self, record: Record, rows: tuple[int, int, int]) -> list[Any]:
        """The aggregates over the rows from the first to the last place, without the one between."""
        low, apart, high = rows
        found: list[Any] = [high - low - 1] * self._count
        for column, asked in zip(record.columns, self._by_series, strict=True):
            values = column.taken(*column.among(low, apart)) + column.taken(*column.among(apart + 1, high))
            newest = _newest(column, low, apart) if apart + 1 == high else _newest(column, apart + 1, high)
            for one in asked:
                taken = newest if one.kind is Kind.LAST else values
                found[one.place] = one.finish(taken, len(values), high - low - 1)
        return found


def _edges(column: Column, tiles: tuple[int, int], first: int, last: int) -> list[Any]:
    """The values of a window that stand before and behind its whole tiles."""
    return column.taken(first, column.first_value(tiles[0])) + column.taken(column.first_value(tiles[1]), last)


def _newest(column: Column, low: int, high: int) -> list[Any]:
    """The value of the newest row, if there is a row and it has one."""
    if low == high:
        return []
    value = column.of_row(high - 1)
    return [] if value is None else [value]
