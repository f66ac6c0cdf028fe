"""Records of the newest row: packed for all entities at once, answered one by one.

A record is one block per version that some later question may see, from the lowest rank to the highest, ranked
by (event time, availability, content). As it is mostly one block, that one says for how long it is the answer: a
read between `since` and `until` unpacks it, and is done. Little-endian:

    since until seen event [gone] [key]   int64; microseconds since 1970 (UTC), and a digest
    nulls                                 one bit per column
    [size]                                uint32, of the block, where columns hold text
    a cell per column                     text: where it ends among the texts
    [texts]                               UTF-8
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_store.online.cells import cells, letter, numpy_type
from feature_store.online.plan import NewestRow
from feature_store.online.sorted_rows import FOREVER, SortedRows
from feature_store.point_in_time.timeline import Ints

Record = tuple[bytes, bytes]
Mask = NDArray[np.bool_]
Blocks = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in a block.

    Attributes:
        heads: the names of the leading int64s.
        nulls: bytes of the null bits.
        texts: the columns that are text.
    """

    heads: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[pl.DataType, ...]
    nulls: int
    texts: tuple[int, ...]

    @classmethod
    def of(cls, part: NewestRow, types: Mapping[str, pl.DataType]) -> Layout:
        heads = ["since", "until", "seen", "event", *(["gone"] if part.ago else []), *(["key"] if part.own else [])]
        kinds = tuple(types[name] for name in part.columns)
        texts = tuple(place for place, dtype in enumerate(kinds) if dtype == pl.String)
        return cls(tuple(heads), part.columns, kinds, -(-len(kinds) // 8), texts)

    @property
    def head(self) -> int:
        """Bytes before the cells."""
        return 8 * len(self.heads) + self.nulls + (4 if self.texts else 0)

    @property
    def cells(self) -> str:
        return "".join(letter(dtype) for dtype in self.types)

    @property
    def fixed(self) -> Struct:
        """All of a block but the texts: the leading numbers, null bits, size, cells."""
        size = "I" if self.texts else ""
        return Struct(f"<{len(self.heads)}q{self.nulls}s{size}{self.cells}")


def pack(part: NewestRow, rows: SortedRows, types: Mapping[str, pl.DataType]) -> list[Record]:
    """One record per entity.

    Args:
        rows: every version of the entities' rows, with the part's columns.
        types: of those columns.
    """
    layout = Layout.of(part, types)
    moment = rows.as_of - part.ago
    exact_from = _exact_from(rows, moment)
    kept = rows.keeping(_needed(part, rows, moment))
    blocks = _blocks(part, layout, kept, (exact_from + part.ago, moment))
    return _records(layout, kept, blocks)


def offsets(layout: Layout, raw: bytes) -> list[int]:
    """Where the blocks of a record begin."""
    size = layout.fixed.size
    if not layout.texts:
        return list(range(0, len(raw), size))
    found, offset = [], 0
    while offset < len(raw):
        found.append(offset)
        offset += int.from_bytes(raw[offset + layout.head - 4 : offset + layout.head], "little")
    return found


def last_answer(part: NewestRow, layout: Layout, raw: bytes) -> int:
    """The last moment, in microseconds, at which a record may have an answer."""
    # The block of the highest rank is the last one, and no row happened after it.
    event = int.from_bytes(raw[offsets(layout, raw)[-1] + 24 :][:8], "little", signed=True)
    return FOREVER if part.ttl is None else event + part.ttl + part.ago


def _exact_from(rows: SortedRows, moment: int) -> Ints:
    """For each entity the moment from which on the rows that are kept are all that matter."""
    seen = np.where((rows.seen <= moment) & (rows.gone > moment), rows.seen, 0)
    if (rows.gone == FOREVER).all():
        return rows.most(seen, 0) if len(seen) > len(rows.keys) else seen
    return rows.most(np.maximum(seen, np.where(rows.gone <= moment, rows.gone, 0)), 0)


def _needed(part: NewestRow, rows: SortedRows, moment: int) -> Mask:
    """The versions that a question at `moment` or later may have as its answer."""
    count = len(rows.seen)
    alive: Mask = rows.gone > moment
    if count == len(rows.keys):
        return alive
    comes = np.maximum(rows.seen, moment)
    lasting = rows.gone == FOREVER
    if part.own:
        # Whichever row is the question's own, the best of the others is among the two best.
        present = lasting & (comes == moment)
        counts = np.cumsum(present)
        better = rows.each(counts[rows.starts[1:] - 1]) - counts
        alive &= ~present | (better < 2)
        return alive
    # A better row that comes no later and lasts for ever beats this one for good.
    frame = pl.DataFrame({"comes": np.where(lasting, comes, FOREVER), "entity": rows.each(np.arange(len(rows.keys)))})
    beaten_from = frame.select(pl.col("comes").cum_min(reverse=True).shift(-1).over("entity").fill_null(FOREVER))
    needed: Mask = alive & (comes < beaten_from.to_series().to_numpy())
    return needed


def _blocks(part: NewestRow, layout: Layout, rows: SortedRows, since: tuple[Ints, int]) -> Blocks:
    """The fixed parts of all blocks."""
    heads = [(name, "<i8") for name in layout.heads]
    fields = [*heads, ("nulls", "u1", (layout.nulls,)), *([("size", "<u4")] if layout.texts else [])]
    blocks = np.zeros(
        rows.frame.height, [*fields, *((f"cell{place}", numpy_type(one)) for place, one in enumerate(layout.types))]
    )
    for place, name in enumerate(part.columns):
        column = rows.frame[name]
        if place not in layout.texts:
            blocks[f"cell{place}"] = cells(column)
        if column.null_count():
            blocks["nulls"][:, place // 8] |= column.is_null().to_numpy().astype(np.uint8) << np.uint8(place % 8)
    blocks["since"] = rows.each(since[0])
    blocks["seen"], blocks["event"] = rows.seen, rows.event
    if part.ago:
        blocks["gone"] = rows.gone
    if part.own:
        blocks["key"] = rows.digests
    blocks["until"] = _until(part, rows, since[1])
    nulls = blocks["nulls"].any(axis=1)
    blocks["until"][nulls] = blocks["since"][nulls]
    return blocks


def _until(part: NewestRow, rows: SortedRows, moment: int) -> Ints:
    """For the first row of each entity: up to when it is the answer, without a look at the others; else 0."""
    until = np.zeros(len(rows.seen), np.int64)
    if part.own:
        return until
    some = rows.sizes > 0
    first, following = rows.starts[:-1][some], rows.starts[1:][some]
    ends = np.full(len(first), FOREVER) if part.ttl is None else rows.event[first] + part.ttl + 1
    several = following > first + 1
    if several.any():
        nexts = np.append(rows.seen, FOREVER)
        nexts[first] = FOREVER
        ends[several] = np.minimum(ends, np.minimum.reduceat(nexts, first))[several]
    ends = np.minimum(ends, rows.gone[first])
    shifted = np.where(ends == FOREVER, FOREVER, ends + part.ago)
    until[first] = np.where(rows.seen[first] <= moment, shifted, 0)
    return until


def _records(layout: Layout, rows: SortedRows, blocks: Blocks) -> list[Record]:
    width = blocks.dtype.itemsize
    if not layout.texts and rows.single:
        return list(zip(rows.keys, blocks.view(f"V{width}").tolist(), strict=True))
    if layout.texts:
        octets, ends = _with_texts(layout, rows, blocks)
    else:
        octets, ends = blocks.tobytes(), np.arange(len(blocks) + 1) * width
    edges = ends[rows.starts].tolist()
    return [(key, octets[low:high]) for key, low, high in zip(rows.keys, edges, edges[1:], strict=False) if low < high]


def _with_texts(layout: Layout, rows: SortedRows, blocks: Blocks) -> tuple[bytes, Ints]:
    """All blocks with their texts, one after the other, and where each begins."""
    texts = [rows.frame[layout.columns[place]].cast(pl.Binary) for place in layout.texts]
    end = np.zeros(len(blocks), np.int64)
    for place, text in zip(layout.texts, texts, strict=True):
        end += text.bin.size().fill_null(0).cast(pl.Int64).to_numpy()
        blocks[f"cell{place}"] = end
    width = blocks.dtype.itemsize
    blocks["size"] = width + end
    offsets = np.arange(len(blocks) + 1, dtype=np.int64) * width
    fixed = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(blocks), [None, pa.py_buffer(offsets), pa.py_buffer(blocks.tobytes())]
    )
    filled = [text.fill_null(b"").to_arrow() for text in texts]
    joined = pc.binary_join_element_wise(fixed, *filled, pa.scalar(b"", pa.large_binary()))
    octets = b"" if joined.buffers()[2] is None else joined.buffers()[2].to_pybytes()
    return octets, np.concatenate([[0], np.cumsum(width + end)])
