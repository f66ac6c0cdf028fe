"""Packing the rows of windows, with their tiles, into one record per entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.definitions.aggregates import Kind
from feature_store.definitions.spec_text import spec_text
from feature_store.online.cells import cells
from feature_store.online.plan import InWindow
from feature_store.online.sorted_rows import FOREVER, SortedRows
from feature_store.online.tiles import Ranges, accumulated, accumulated_parts, fits, float_parts, reduced
from feature_store.online.window_layout import HEAD, SERIES, SeriesLayout, series_of, tile_length
from feature_store.point_in_time.timeline import Ints, moments

Mask = NDArray[np.bool_]
Words = NDArray[np.int64]

# Reads a little before the moment of writing stay exact: clocks of two machines differ.
_SLACK = 3_600_000_000
_ROWS_A_TILE = 4


@dataclass(frozen=True, slots=True)
class _Block:
    """A field of all records: so many words for each entity, one entity's words after the other."""

    sizes: Ints
    words: Words


def pack(part: InWindow, rows: SortedRows, types: Mapping[str, pl.DataType]) -> list[tuple[bytes, bytes]]:
    """One record per entity with a row that some window may need.

    Args:
        rows: every version of the entities' rows, with the part's inputs.
        types: of those inputs.
    """
    lasting = rows.gone == FOREVER
    young = moments(rows.frame["event_time"]) > rows.as_of - max(part.over) - _SLACK
    since = _exact_from(rows, lasting, young)
    kept = rows.keeping(lasting & young)
    tiles = _Tiles.of(kept, tile_length(part))
    layouts, _ = series_of(part, dict(types))
    packed = [_Series.of(one, kept, tiles) for one in layouts]
    sizes = kept.sizes
    heads = [since, sizes, tiles.counts, *(word for one in packed for word in one.head)]
    blocks = [_Block(np.full(len(sizes), len(heads)), np.stack(heads, axis=1).ravel()), _Block(sizes, kept.event)]
    if part.own:
        blocks.append(_Block(sizes, kept.digests))
    blocks += [tiles.first_rows, *(block for one in packed for block in one.blocks)]
    words, ends = _laid_out(blocks)
    octets, edges = words.tobytes(), (8 * ends).tolist()
    tails = [one.tail for one in packed if one.tail is not None]
    return [
        (key, octets[low:high] + b"".join([tail[place] for tail in tails]))
        for place, (key, low, high, count) in enumerate(zip(kept.keys, edges, edges[1:], sizes.tolist(), strict=False))
        if count
    ]


def last_answer(part: InWindow, raw: bytes) -> int:
    """The last moment, in microseconds, at which a record has a row in a window."""
    series = {spec_text(one.values) for _, one in part.aggregates if one.values is not None}
    head = HEAD + SERIES * len(series)
    rows = int.from_bytes(raw[8:16], "little")
    return int.from_bytes(raw[8 * (head + rows - 1) :][:8], "little", signed=True) + max(part.over) - 1


def _exact_from(rows: SortedRows, lasting: Mask, young: Mask) -> Ints:
    """For each entity the moment from which on the rows that are kept are all that matter."""
    available = moments(rows.frame["available_at"])
    since = rows.most(np.where(lasting & young, available, 0), 0)
    since = np.maximum(since, rows.most(np.where(lasting, 0, rows.gone), 0))
    return np.maximum(since, rows.most(np.where(young, 0, rows.as_of - _SLACK), 0))


def _laid_out(blocks: list[_Block]) -> tuple[Words, Ints]:
    """All records as words, one after the other, and where each begins and the last ends."""
    ends = np.concatenate([[0], np.cumsum(sum(block.sizes for block in blocks))])
    words = np.zeros(int(ends[-1]), np.int64)
    begin = ends[:-1].copy()
    for block in blocks:
        words[_positions(begin, block.sizes)] = block.words
        begin += block.sizes
    return words, ends


def _positions(begin: Ints, sizes: Ints) -> Ints:
    """The positions `begin, begin + 1, ...` of each entity, so many as its size."""
    before = np.cumsum(sizes) - sizes
    return np.repeat(begin - before, sizes) + np.arange(int(sizes.sum()))


@dataclass(frozen=True, slots=True)
class _Tiles:
    """The tiles of all entities that have any.

    Attributes:
        counts: how many each entity has; 0 where its rows are too few.
        entity: of each tile.
        rows: of each tile, as positions among all rows.
        first_rows: of each tile within its entity, and how many rows there are.
    """

    counts: Ints
    entity: Ints
    rows: Ranges
    first_rows: _Block

    @classmethod
    def of(cls, rows: SortedRows, length: int) -> _Tiles:
        sizes = rows.sizes
        entity = np.repeat(np.arange(len(sizes)), sizes)
        # A tile is (k * length, (k + 1) * length], open and closed as windows are.
        number = (rows.event - 1) // length
        changes = np.ones(len(number), np.bool_)
        changes[1:] = (number[1:] != number[:-1]) | (entity[1:] != entity[:-1])
        counts = np.bincount(entity[changes], minlength=len(sizes))
        dense = sizes >= _ROWS_A_TILE * counts
        first = np.flatnonzero(changes & dense[entity]) if len(entity) else np.empty(0, np.int64)
        counts = np.where(dense & (sizes > 0), counts, 0)
        of = entity[first]
        high = np.append(first[1:], 0)
        last = np.append(of[1:] != of[:-1], True) if len(first) else np.empty(0, np.bool_)
        high = high[: len(first)]
        high[last] = rows.starts[1:][of[last]]
        ranges = Ranges(first, high)
        return cls(counts, of, ranges, starts_within(counts, first - rows.starts[of], sizes))


def starts_within(counts: Ints, firsts: Ints, sizes: Ints) -> _Block:
    """For each entity with tiles, where each tile begins among its items, and how many items there are."""
    lengths = np.where(counts > 0, counts + 1, 0)
    words = np.zeros(int(lengths.sum()), np.int64)
    begin = np.cumsum(lengths) - lengths
    words[_positions(begin, counts)] = firsts
    some = counts > 0
    words[(begin + counts)[some]] = sizes[some]
    return _Block(lengths, words)


@dataclass(frozen=True, slots=True)
class _Series:
    """One series of all entities.

    Attributes:
        head: two words per entity.
        tail: the texts of each entity.
    """

    head: tuple[Ints, Ints]
    blocks: list[_Block]
    tail: list[bytes] | None

    @classmethod
    def of(cls, layout: SeriesLayout, rows: SortedRows, tiles: _Tiles) -> _Series:
        column = rows.frame.select(layout.values.alias("value"))["value"]
        if column.len() != rows.frame.height:
            column = column.new_from_index(0, rows.frame.height)
        present = column.is_not_null().to_numpy()
        before = np.concatenate([[0], np.cumsum(present)])
        starts = before[rows.starts]
        sizes = np.diff(starts)
        holed = sizes < rows.sizes
        ranges = Ranges(before[tiles.rows.low], before[tiles.rows.high])
        blocks = _where_null(rows, tiles, (present, holed), ranges.low - starts[tiles.entity])
        tail, dictionary = None, None
        if layout.is_text:
            values, dictionary, tail = _numbered(column.drop_nulls(), starts, keep=layout.texts)
        else:
            values = _numbers(layout, column.drop_nulls())
        blocks.append(_Block(sizes, values.view(np.int64)))
        parts, more = _tile_blocks(layout, values, ranges, tiles)
        blocks += more
        if dictionary is not None:
            parts = dictionary.sizes
            blocks.append(dictionary)
        return cls((sizes, parts), blocks, tail)


def _numbers(layout: SeriesLayout, column: pl.Series) -> NDArray[Any]:
    if layout.is_float:
        return column.cast(pl.Float64).to_numpy().copy()
    return cells(column).astype(np.int64)


def _where_null(rows: SortedRows, tiles: _Tiles, where: tuple[Mask, Mask], firsts: Ints) -> list[_Block]:
    """Which rows have values, for entities where not all have."""
    present, holed = where
    number = np.arange(len(present)) - np.repeat(rows.starts[:-1], rows.sizes)
    sizes = np.zeros(len(holed), np.int64)
    of_row = np.repeat(holed, rows.sizes)
    numbers = number[present & of_row]
    counted = np.bincount(np.repeat(np.arange(len(holed)), rows.sizes)[present], minlength=len(holed))
    sizes[holed] = counted[holed]
    counts = np.where(holed, tiles.counts, 0)
    return [_Block(sizes, numbers), starts_within(counts, firsts[holed[tiles.entity]], sizes)]


def _tile_blocks(
    layout: SeriesLayout, values: NDArray[Any], ranges: Ranges, tiles: _Tiles
) -> tuple[Ints, list[_Block]]:
    """What tiles keep of the values from their first row on, and how many parts the sums of each entity have."""
    none = np.zeros(len(tiles.counts), np.int64)
    blocks = []
    parts = none
    if layout.float_sums:
        found, counts = accumulated_parts(*float_parts(values, ranges), tiles.counts)
        parts = np.bincount(tiles.entity, weights=counts, minlength=len(none)).astype(np.int64)
        begins = np.cumsum(counts) - counts
        first = np.repeat((np.cumsum(parts) - parts), tiles.counts)
        blocks += [starts_within(tiles.counts, begins - first, parts), _Block(parts, found.view(np.int64))]
    if layout.whole_sums:
        # Where a sum might not fit, parts is 1 and says that the tiles' sums are of no use.
        fit = fits(values)
        parts = none if fit else none + 1
        sums = reduced(np.add, values, ranges) if fit else np.zeros(len(ranges.low), np.int64)
        blocks.append(_Block(tiles.counts, accumulated(np.add, sums, tiles.counts)))
    for kind, float_, whole in ((Kind.MIN, np.fmin, np.minimum), (Kind.MAX, np.fmax, np.maximum)):
        if kind in layout.kinds:
            operation = float_ if layout.is_float else whole
            found = accumulated(operation, reduced(operation, values, ranges), tiles.counts)
            blocks.append(_Block(tiles.counts, found.view(np.int64)))
    return parts, blocks


def _numbered(column: pl.Series, starts: Ints, *, keep: bool) -> tuple[Words, _Block | None, list[bytes] | None]:
    """Texts as numbers within their entity; with where each text ends, and the texts, if they are to be kept."""
    entity = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    frame = pl.DataFrame({"entity": entity, "text": column.cast(pl.Binary)})
    kinds = frame.unique(maintain_order=True).with_columns(number=pl.int_range(pl.len()).over("entity"))
    numbers = frame.join(kinds, on=["entity", "text"], how="left", maintain_order="left")["number"]
    values = numbers.cast(pl.Int64).to_numpy().copy()
    if not keep:
        return values, None, None
    ends = kinds.select(pl.col("text").bin.size().cum_sum().over("entity").cast(pl.Int64)).to_series().to_numpy()
    counts = np.bincount(kinds["entity"].to_numpy(), minlength=len(starts) - 1)
    tail = [b""] * (len(starts) - 1)
    for place, texts in kinds.group_by("entity", maintain_order=True).agg("text").iter_rows():
        tail[place] = b"".join(texts)
    return values, _Block(counts, ends), tail
