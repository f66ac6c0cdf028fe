"""One record of a window's rows, as it is looked into; see `window_layout` for where things stand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from feature_store.aggregates import Kind
from feature_store.online.window_layout import HEAD, SERIES, SeriesLayout

_FEW = 16


class Record:
    """Rows and tiles of one entity. Places are words from the beginning."""

    __slots__ = ("columns", "doubles", "events", "firsts", "keys", "raw", "rows", "tiles", "whole")

    def __init__(self, raw: bytes, head: tuple[int, ...], own: bool) -> None:
        view = memoryview(raw)
        view = view if not len(raw) & 7 else view[: len(raw) & ~7]
        self.raw, self.whole, self.doubles = raw, view.cast("q"), view.cast("d")
        self.rows, self.tiles = head[1], head[2]
        self.events = len(head)
        self.keys = self.events + self.rows
        self.firsts = self.keys + (self.rows if own else 0)
        self.columns: list[Column] = []

    def upto(self, moment: int, high: int) -> int:
        """How many of the first `high` rows happened at or before a moment."""
        return bisect_right(self.whole, moment, self.events, self.events + high) - self.events

    def place_of(self, key: int, low: int, high: int) -> int | None:
        """The place of a row among those from `low` to `high`."""
        keys = self.whole[self.keys + low : self.keys + high].tolist()
        return low + keys.index(key) if key in keys else None

    def tiles_within(self, low: int, high: int) -> tuple[int, int]:
        """The whole tiles among the rows from `low` to `high`; none where the rows are quicker."""
        if not self.tiles or high - low <= _FEW:
            return 0, 0
        begin, end = self.firsts, self.firsts + self.tiles + 1
        first = bisect_left(self.whole, low, begin, end) - begin
        last = bisect_right(self.whole, high, begin, end) - begin - 1
        return first, max(first, last)


class Column:
    """One series of one record."""

    __slots__ = ("_first_values", "_numbers", "_record", "_tiled", "layout", "odd", "parts", "size", "values")

    def __init__(self, record: Record, layout: SeriesLayout, head: tuple[int, int, int], place: int) -> None:
        self._record, self.layout = record, layout
        self.size, self.parts, self.odd = head
        starts = record.tiles + 1 if record.tiles else 0
        self._numbers = self._first_values = 0
        if self.size < record.rows:
            self._numbers, self._first_values = place, place + self.size
            place += self.size + starts
        self.values = place
        self._tiled = place + self.size

    @property
    def end(self) -> int:
        """The place behind all words of this series."""
        layout, tiles = self.layout, self._record.tiles
        place = self._after_sums
        place += tiles * len(layout.kinds & {Kind.MIN, Kind.MAX})
        return place + (self.parts if layout.texts else 0)

    def among(self, low: int, high: int) -> tuple[int, int]:
        """The values of the rows from `low` to `high`."""
        if not self._numbers:
            return low, high
        begin, end = self._numbers, self._numbers + self.size
        whole = self._record.whole
        return bisect_left(whole, low, begin, end) - begin, bisect_left(whole, high, begin, end) - begin

    def taken(self, first: int, last: int) -> list[Any]:
        """Some values: floats, or whole numbers."""
        words = self._record.doubles if self.layout.is_float else self._record.whole
        return words[self.values + first : self.values + last].tolist()

    def summands(self, kind: Kind, first: int, last: int) -> list[Any] | None:
        """What whole tiles are for `sum`, `mean`, `min` or `max`; None where they are of no use."""
        record, layout = self._record, self.layout
        if kind is Kind.MIN or kind is Kind.MAX:
            if self._numbers or self.odd:
                return None
            place = self._after_sums + (record.tiles if kind is Kind.MAX and Kind.MIN in layout.kinds else 0)
            words = record.doubles if layout.is_float else record.whole
            return words[place + first : place + last].tolist()
        if not layout.is_float:
            return None if self.parts else record.whole[self._tiled + first : self._tiled + last].tolist()
        low, high = record.whole[self._tiled + first], record.whole[self._tiled + last]
        place = self._tiled + record.tiles + 1
        return record.doubles[place + low : place + high].tolist()

    def first_value(self, tile: int) -> int:
        """The first value of a tile; how many values there are, behind the last one."""
        record = self._record
        return record.whole[(self._first_values or record.firsts) + tile]

    def of_row(self, row: int) -> Any:
        """The value of one row, None where it has none."""
        first, last = self.among(row, row + 1)
        if first == last:
            return None
        value = self.taken(first, last)[0]
        return self._text(value) if self.layout.texts else value

    @property
    def text_bytes(self) -> int:
        """How many bytes the texts of this series have."""
        return self._record.whole[self.end - 1] if self.layout.texts and self.parts else 0

    def _text(self, number: int) -> str:
        record, ends = self._record, self.end - self.parts
        earlier = record.columns[: record.columns.index(self)]
        start = 8 * record.columns[-1].end + sum(one.text_bytes for one in earlier)
        begin = record.whole[ends + number - 1] if number else 0
        return record.raw[start + begin : start + record.whole[ends + number]].decode()

    @property
    def _after_sums(self) -> int:
        layout, tiles = self.layout, self._record.tiles
        if layout.float_sums:
            return self._tiled + (tiles + 1 if tiles else 0) + self.parts
        return self._tiled + (tiles if layout.whole_sums else 0)


def opened(raw: bytes, head: tuple[int, ...], layouts: list[SeriesLayout], own: bool) -> Record:
    """A record with its series."""
    record = Record(raw, head, own)
    place = record.firsts + (record.tiles + 1 if record.tiles else 0)
    found = record.columns
    for number, layout in enumerate(layouts):
        at = HEAD + SERIES * number
        column = Column(record, layout, (head[at], head[at + 1], head[at + 2]), place)
        found.append(column)
        if number + 1 < len(layouts):
            place = column.end
    return record
