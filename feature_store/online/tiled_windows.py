"""Windows finished from tiles: what a read does where all rows of a record have happened and none is left out.

A tile's numbers are those of all rows from its first one on to the newest. So a window is the first whole tile in
it, and the few rows before that tile, however long the window is. Every other read (a row that is still to happen,
an own row, texts, an empty window) goes row by row through `window_record`, and both finish values by the same
functions. This code runs for every record of every read, so it spells out what a class would hide.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

from feature_store.definitions.aggregates import Kind
from feature_store.online.window_layout import HEAD, SERIES, SeriesLayout
from feature_store.online.window_values import Finish

# Of so few rows the values are quicker than a tile.
_FEW = 16
_NO_TILE = -1
_KEY = Struct("<q").pack

Words = Any
"""A record as 64-bit words: a memoryview of whole numbers, or of doubles."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One aggregate: where its answer stands among those of a window, and how it is made."""

    place: int
    kind: Kind
    finish: Finish


class TiledWindows:
    """All windows of one part.

    Args:
        series: the layout of each, and what is made of it.
        over: the windows' lengths in microseconds.
        count: how many aggregates each window has.
        own: whether records hold the keys of rows.
    """

    def __init__(
        self, series: Sequence[tuple[SeriesLayout, Sequence[Asked]]], over: Sequence[int], count: int, *, own: bool
    ) -> None:
        self._series = tuple(_Series(place, *one) for place, one in enumerate(series))
        self._over, self._count, self._own = tuple(over), count, own
        self._events = HEAD + SERIES * len(series)

    def answer(self, raw: bytes, at: int, own: int | None = None) -> tuple[Any, ...] | None:
        """The aggregates of every window in turn; None where they must be found row by row.

        Args:
            own: the key of the question's own row.
        """
        view = memoryview(raw)
        words, events = view.cast("q"), self._events
        rows = words[1]
        behind = events + rows
        if at < words[0] or words[behind - 1] > at:
            return None
        if own is not None and raw.find(_KEY(own), 8 * behind, 8 * (behind + rows)) >= 0:
            return None
        doubles = view.cast("d")
        firsts = behind + rows if self._own else behind
        found: list[Any] = []
        for over in self._over:
            low = bisect_right(words, at - over, events, behind) - events
            if low == rows:
                return None
            found += self._window(words, doubles, firsts, low)
        return tuple(found)

    def _window(self, words: Words, doubles: Words, firsts: int, low: int) -> list[Any]:
        """The aggregates over the rows from `low` to the newest."""
        rows, tiles = words[1], words[2]
        tile, edge, place = _NO_TILE, rows, firsts
        if tiles:
            place += tiles + 1
            if rows - low > _FEW:
                tile = bisect_left(words, low, firsts, place) - firsts
                edge = words[firsts + tile]
                if tile == tiles:
                    tile = _NO_TILE
        found, views, window = [rows - low] * self._count, (words, doubles), (low, edge, tile)
        for series in self._series:
            place = series.answer(found, views, place, window)
        return found


class _Series:
    """One column of values, and its aggregates by what they are made from."""

    def __init__(self, number: int, layout: SeriesLayout, asked: Sequence[Asked]) -> None:
        self._head, self._is_float = HEAD + SERIES * number, layout.is_float
        self._parts, self._sums = int(layout.float_sums), int(layout.float_sums or layout.whole_sums)
        self._extremes = len(layout.kinds & {Kind.MIN, Kind.MAX})
        self._summed = _of(asked, Kind.SUM, Kind.MEAN)
        self._least, self._most = _of(asked, Kind.MIN), _of(asked, Kind.MAX)
        self._counted, self._newest = _of(asked, Kind.COUNT), _of(asked, Kind.LAST)
        self._by_value = _of(asked, Kind.STD, Kind.N_UNIQUE)
        self._others = bool(self._counted or self._newest or self._by_value)

    def answer(self, found: list[Any], views: tuple[Words, Words], place: int, window: tuple[int, int, int]) -> int:
        """Put the aggregates over a window where they belong.

        Args:
            views: the record as whole numbers and as doubles.
            place: where the words of this series begin.
            window: its first row, the row at which its first whole tile begins, and that tile.

        Returns:
            Where the next series begins.
        """
        words, head, (first, edge, tile) = views[0], self._head, window
        rows, tiles, size = words[1], words[2], words[head]
        length = rows - first
        if size < rows:
            place, first, edge = _among(words, place, size, window)
        typed, behind = views[self._is_float], place + size
        tiled = behind + self._parts * (words[head + 1] + (tiles > 0)) + self._sums * tiles
        values = typed[place + first : place + edge].tolist()
        series = (typed, place + first, behind, values, tile, size - first, length)
        if self._summed:
            self._put_sums(found, words, series)
        if self._extremes:
            self._put_extremes(found, words, series, tiled)
        if self._others:
            self._put_others(found, words, series)
        end: int = tiled + self._extremes * tiles
        return end

    def _put_sums(self, found: list[Any], words: Words, series: _Placed) -> None:
        typed, first, behind, values, tile, count, rows = series
        if tile >= 0:
            if self._is_float:
                parts = behind + words[2] + 1
                values = values + typed[parts + words[behind + tile] : parts + words[behind + tile + 1]].tolist()
            elif words[self._head + 1]:  # the sums of tiles might not have fitted
                values = typed[first:behind].tolist()
            else:
                values = [*values, words[behind + tile]]
        for place, finish in self._summed:
            found[place] = finish(values, count, rows)

    def _put_extremes(self, found: list[Any], words: Words, series: _Placed, tiled: int) -> None:
        typed, first, behind, values, tile, count, rows = series
        if tile >= 0 and words[self._head] < words[1]:  # a tile may be without a value
            values, tile = typed[first:behind].tolist(), _NO_TILE
        for place, finish in self._least:
            found[place] = finish(values if tile < 0 else [*values, typed[tiled + tile]], count, rows)
        if self._least:
            tiled += words[2]
        for place, finish in self._most:
            found[place] = finish(values if tile < 0 else [*values, typed[tiled + tile]], count, rows)

    def _put_others(self, found: list[Any], words: Words, series: _Placed) -> None:
        """What no tile helps with."""
        typed, first, behind, _, _, count, rows = series
        for place, finish in self._counted:
            found[place] = finish([], count, rows)
        if self._newest:
            newest = [typed[behind - 1]] if count and self._newest_has_value(words, behind) else []
            for place, finish in self._newest:
                found[place] = finish(newest, count, rows)
        if self._by_value:
            values = typed[first:behind].tolist()
            for place, finish in self._by_value:
                found[place] = finish(values, count, rows)

    def _newest_has_value(self, words: Words, behind: int) -> bool:
        rows, size = words[1], words[self._head]
        if size == rows:
            return True
        starts = words[2] + 1 if words[2] else 0
        return bool(words[behind - size - starts - 1] == rows - 1)


_Placed = tuple[Words, int, int, list[Any], int, int, int]
"""The words of one series, its first value in the window and the place behind its values, those before the first whole
tile, that tile, and how many values and rows the window has."""


def _of(asked: Iterable[Asked], *kinds: Kind) -> list[tuple[int, Finish]]:
    return [(one.place, one.finish) for one in asked if one.kind in kinds]


def _among(words: Words, place: int, size: int, window: tuple[int, int, int]) -> tuple[int, int, int]:
    """Where some rows have no value: where the values begin, and the first one and the edge among them."""
    first, _, tile = window
    low = bisect_left(words, first, place, place + size) - place
    edge = size if tile < 0 else words[place + size + tile]
    return place + size + (words[2] + 1 if words[2] else 0), low, edge
