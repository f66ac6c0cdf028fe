"""How the rows of a window are laid out in a record, for those who write it and those who read it.

A record holds the rows of one entity that some window may still need, column by column, from the oldest to the
newest, so that a read finds `(t - over, t]` by two binary searches. Where rows are dense they are also cut into
tiles, aligned in time, and summed up from each tile's first row on to the newest: a read then takes one such sum, and
single rows only before it. The sums are exact, so that neither tiles nor their edges show in an answer. Every field is
a word of 64 bits, little-endian:

    since, rows, tiles                       the head
    values, parts          per series        how many values are not null; parts or texts
    event times            per row
    keys                   per row           digests, where a question may be one of the rows
    first rows             tiles + 1
    and for each series:
    row numbers            per value         where some are null
    first values           tiles + 1         where some are null
    values
    first parts            tiles + 1         sums of floats: the parts of each exact sum
    parts
    sums                   per tile          sums of whole numbers
    least, most            per tile
    ends of texts          per text          where values are texts, numbered in the order of the first row with each

and then the texts, in UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from feature_store.definitions.aggregates import Aggregate, Kind
from feature_store.definitions.spec_text import spec_text
from feature_store.online.plan import InWindow

HEAD = 3
SERIES = 2

_SECOND = 1_000_000
_TILES = [
    seconds * _SECOND
    for seconds in (1, 5, 15, 60, 300, 900, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 7 * 86_400, 28 * 86_400)
]


@dataclass(frozen=True, slots=True)
class SeriesLayout:
    """One column of values, and what is made of it.

    Attributes:
        values: the expression over rows.
        kinds: of the aggregates that run over it.
        dtype: of the values.
        float_sums, whole_sums: whether tiles have sums, as parts or as one number each.
        texts: whether the record holds texts.
    """

    values: pl.Expr
    kinds: frozenset[Kind]
    dtype: pl.DataType
    is_text: bool = field(init=False)
    is_float: bool = field(init=False)
    float_sums: bool = field(init=False)
    whole_sums: bool = field(init=False)
    texts: bool = field(init=False)

    def __post_init__(self) -> None:
        is_text, is_float = self.dtype == pl.String, self.dtype.is_float()
        summed = bool(self.kinds & {Kind.SUM, Kind.MEAN})
        told = {
            "is_text": is_text,
            "is_float": is_float,
            "float_sums": summed and is_float,
            "whole_sums": summed and not is_float and not is_text,
            "texts": is_text and Kind.LAST in self.kinds,
        }
        for name, value in told.items():
            object.__setattr__(self, name, value)

    def words_of_sums(self, tiles: int, parts: int) -> int:
        """How many words behind the values are sums of tiles."""
        return self.float_sums * (parts + (tiles > 0)) + (self.float_sums or self.whole_sums) * tiles

    def words_of_tiles(self, tiles: int, parts: int) -> int:
        """How many words stand behind the values in all."""
        extremes = tiles * len(self.kinds & {Kind.MIN, Kind.MAX})
        return self.words_of_sums(tiles, parts) + extremes + (parts if self.texts else 0)


def series_of(part: InWindow, types: dict[str, pl.DataType]) -> tuple[list[SeriesLayout], list[int | None]]:
    """The different columns that the aggregates run over, and which one each aggregate takes; None for `len`."""
    found: dict[str, list[Aggregate]] = {}
    for _, aggregate in part.aggregates:
        if aggregate.values is not None:
            found.setdefault(_text(aggregate), []).append(aggregate)
    nothing = pl.DataFrame(schema=types)
    layouts = []
    for aggregates in found.values():
        values = aggregates[0].values
        assert values is not None
        dtype = nothing.select(values.alias("value")).schema["value"]
        layouts.append(SeriesLayout(values, frozenset(one.kind for one in aggregates), dtype))
    texts = list(found)
    return layouts, [None if one.values is None else texts.index(_text(one)) for _, one in part.aggregates]


def tile_length(part: InWindow) -> int:
    """Microseconds: about a 24th of the shortest window, but at most some 96 tiles for the longest."""
    wanted = max(min(part.over) / 24, max(part.over) / 96)
    return max([one for one in _TILES if one <= wanted], default=_TILES[0])


def _text(aggregate: Aggregate) -> str:
    assert aggregate.values is not None
    return spec_text(aggregate.values)
