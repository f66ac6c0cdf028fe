"""One record of a window's rows, looked into row by row; see `window_layout` for where things stand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from feature_store.online.window_layout import HEAD, SERIES, SeriesLayout


class Record:
    """Rows of one entity. Places are words from the beginning."""

    __slots__ = ("columns", "doubles", "events", "keys", "raw", "rows", "tiles", "whole")

    def __init__(self, raw: bytes, head: tuple[int, ...], layouts: list[SeriesLayout], own: bool) -> None:
        view = memoryview(raw)
        view = view if not len(raw) & 7 else view[: len(raw) & ~7]
        self.raw, self.whole, self.doubles = raw, view.cast("q"), view.cast("d")
        self.rows, self.tiles = head[1], head[2]
        self.events = len(head)
        self.keys = self.events + self.rows
        place = self.keys + (self.rows if own else 0) + (self.tiles + 1 if self.tiles else 0)
        self.columns: list[Column] = []
        for number, layout in enumerate(layouts):
            at = HEAD + SERIES * number
            column = Column(self, layout, (head[at], head[at + 1]), place)
            self.columns.append(column)
            place = column.end

    def upto(self, moment: int, high: int) -> int:
        """How many of the first `high` rows happened at or before a moment."""
        return bisect_right(self.whole, moment, self.events, self.events + high) - self.events

    def place_of(self, key: int, low: int, high: int) -> int | None:
        """The place of a row among those from `low` to `high`."""
        keys = self.whole[self.keys + low : self.keys + high].tolist()
        return low + keys.index(key) if key in keys else None


class Column:
    """One series of one record."""

    __slots__ = ("_numbers", "_record", "end", "layout", "parts", "size", "values")

    def __init__(self, record: Record, layout: SeriesLayout, head: tuple[int, int], place: int) -> None:
        self._record, self.layout = record, layout
        self.size, self.parts = head
        self._numbers = 0
        if self.size < record.rows:
            self._numbers = place
            place += self.size + (record.tiles + 1 if record.tiles else 0)
        self.values = place
        self.end = place + self.size + layout.words_of_tiles(record.tiles, self.parts)

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
