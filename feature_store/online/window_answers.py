"""Finishing windows at the moment of a read: from tiles where that is enough, otherwise row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

import polars as pl

from feature_store.definitions.aggregates import Kind
from feature_store.online.answers import Status, Statuses
from feature_store.online.cells import as_datetime
from feature_store.online.errors import AskedOfThePastError
from feature_store.online.own_rows import Digests
from feature_store.online.plan import InWindow
from feature_store.online.tiled_windows import Asked, TiledWindows
from feature_store.online.window_layout import HEAD, SERIES, series_of
from feature_store.online.window_record import Column, Record
from feature_store.online.window_values import empty, finish

Row = tuple[Any, ...]


class WindowAnswers:
    """Answers of one part from its records."""

    def __init__(self, part: InWindow, inputs: Mapping[str, pl.DataType], types: Mapping[str, pl.DataType]) -> None:
        self._layouts, series = series_of(part, dict(inputs))
        self._over, self._own, self._count = part.over, part.own, len(part.aggregates)
        self._by_series: list[list[Asked]] = [[] for _ in self._layouts]
        nothing = []
        for place, ((_, aggregate), one) in enumerate(zip(part.aggregates, series, strict=True)):
            dtype = types[part.names[place]]
            nothing.append(empty(aggregate.kind, dtype))
            if one is not None:  # a length needs no values
                done = finish(aggregate.kind, self._layouts[one], dtype)
                self._by_series[one].append(Asked(place, aggregate.kind, done))
        self._nothing: Row = tuple(nothing) * len(part.over)
        texts = any(layout.texts for layout in self._layouts)
        pairs = list(zip(self._layouts, self._by_series, strict=True))
        tiled = TiledWindows(pairs, part.over, self._count, own=part.own)
        self.quick = _no_answer if texts else tiled.answer
        self.plain = None
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
        quick = self.quick
        for place, raw in enumerate(raws):
            if raw is None:
                rows.append(self._nothing)
                statuses[place] = Status.MISSING
                continue
            key = None if mine is None else mine[place]
            tiled = quick(raw, at, key)
            if tiled is not None:
                rows.append(tiled)
                continue
            row, empties = self._answer(raw, at, key)
            rows.append(row)
            if empties:
                odd = [Status.STALE if number in empties else Status.FOUND for number in range(len(self._over))]
                statuses[place] = tuple(one for one in odd for _ in range(self._count))
        return rows, statuses

    def _answer(self, raw: bytes, at: int, own: int | None) -> tuple[Row, list[int]]:
        """Row by row."""
        head = self._unpack(raw)
        if at < head[0]:
            raise AskedOfThePastError(as_datetime(at), as_datetime(head[0]))
        record = Record(raw, head, self._layouts, self._own)
        high = record.upto(at, record.rows)
        answer: list[Any] = []
        empties = []
        for number, over in enumerate(self._over):
            low = record.upto(at - over, high)
            apart = None if own is None or low == high else record.place_of(own, low, high)
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
        for column, asked in zip(record.columns, self._by_series, strict=True):
            values = column.taken(*column.among(low, high))
            for one in asked:
                taken = _newest(column, low, high) if one.kind is Kind.LAST else values
                found[one.place] = one.finish(taken, len(values), high - low)
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


def _no_answer(raw: bytes, at: int, own: int | None = None) -> Row | None:
    return None


def _newest(column: Column, low: int, high: int) -> list[Any]:
    """The value of the newest row, if there is a row and it has one."""
    if low == high:
        return []
    value = column.of_row(high - 1)
    return [] if value is None else [value]
