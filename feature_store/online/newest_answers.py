"""Reading records of the newest row at a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

import polars as pl

from feature_store.online.answers import Status, Statuses
from feature_store.online.cells import as_datetime, readers
from feature_store.online.errors import AskedOfThePastError
from feature_store.online.newest_rows import Layout, offsets
from feature_store.online.own_rows import Digests
from feature_store.online.plain_records import PlainLayout
from feature_store.online.plan import NewestRow

# Polars divides a column by one number as a product with its inverse, which may round otherwise than a quotient.
_DAYS = 1.0 / 86_400_000_000.0

Row = tuple[Any, ...]


class NewestAnswers:
    """Answers of one part from its records."""

    def __init__(self, part: NewestRow, types: Mapping[str, pl.DataType]) -> None:
        layout = Layout.of(part, types)
        self._part, self._layout = part, layout
        self._heads = Struct(f"<{len(layout.heads)}q")
        self._place = {name: place for place, name in enumerate(layout.heads)}
        self._cells = Struct(f"<{layout.cells}")
        self._fast = Struct(f"<qq{layout.head - 16}x{layout.cells}").unpack_from
        self._age = Struct("<qq8xq").unpack_from
        self._readers = readers(layout.types)
        self._nothing: Row = (None,) * len(part.names)
        self._decode = self._decoder()
        self.quick = self._quick_answer()
        self.plain = PlainLayout(layout.head, layout.cells) if self._decode is None else None

    def answers(self, raws: Sequence[bytes | None], at: int, own: Digests | None) -> tuple[list[Row], Statuses]:
        """The values for n records read at `at` (microseconds), None where there is no record.

        Args:
            own: the key digest of each question's own row.

        Raises:
            AskedOfThePastError: `at` is before what the record still tells.
        """
        decode = self._decode
        if decode is None:
            unpack = self._fast
            rows: list[Any] = [
                row[2:] if raw is not None and (row := unpack(raw))[0] <= at < row[1] else None for raw in raws
            ]
        else:
            rows = [None if raw is None else decode(raw, at) for raw in raws]
        return (rows, {}) if None not in rows else self._slowly(rows, raws, at, own)

    def _quick_answer(self) -> Callable[[bytes, int], Row | None]:
        """From one record to its first block's values, where that is the answer; None where one must look further."""
        if self._decode is not None:
            return self._decode
        unpack = self._fast

        def values(raw: bytes, at: int) -> Row | None:
            row = unpack(raw)
            return row[2:] if row[0] <= at < row[1] else None

        return values

    def _decoder(self) -> Callable[[bytes, int], Row | None] | None:
        """How to read a record whose first block is the answer, unless its cells are the values already."""
        if not self._layout.columns:
            return self._aged
        if not self._layout.texts and not self._readers:
            return None
        return self._first

    def _aged(self, raw: bytes, at: int) -> Row | None:
        since, until, event = self._age(raw)
        return ((at - event) * _DAYS,) if since <= at < until else None

    def _first(self, raw: bytes, at: int) -> Row | None:
        row = self._fast(raw)
        return self._values(raw, 0, row[2:]) if row[0] <= at < row[1] else None

    def _slowly(
        self, rows: list[Any], raws: Sequence[bytes | None], at: int, own: Digests | None
    ) -> tuple[list[Row], Statuses]:
        statuses = {}
        for place, raw in enumerate(raws):
            if rows[place] is None:
                rows[place], status = self._searched(raw, at, None if own is None else own[place])
                if status is not Status.FOUND:
                    statuses[place] = status
        return rows, statuses

    def _searched(self, raw: bytes | None, at: int, own: int | None) -> tuple[Row, Status]:
        """The answer among all blocks, for what the first one alone does not tell."""
        if raw is None:
            return self._nothing, Status.MISSING
        part, moment = self._part, at - self._part.ago
        since = self._heads.unpack_from(raw)[0]
        if at < since:
            raise AskedOfThePastError(as_datetime(at), as_datetime(since))
        for offset in reversed(offsets(self._layout, raw)):
            heads = self._heads.unpack_from(raw, offset)
            if heads[2] > moment or (part.ago and heads[4] <= moment) or (own is not None and heads[-1] == own):
                continue
            if part.ttl is not None and moment - heads[3] > part.ttl:
                break
            if not part.columns:
                return ((at - heads[3]) * _DAYS,), Status.FOUND
            return self._with_nulls(raw, offset), Status.FOUND
        return self._nothing, Status.STALE

    def _with_nulls(self, raw: bytes, offset: int) -> Row:
        layout = self._layout
        begin = offset + 8 * len(layout.heads)
        nulls = int.from_bytes(raw[begin : begin + layout.nulls], "little")
        row = self._values(raw, offset, self._cells.unpack_from(raw, offset + layout.head))
        return tuple(None if nulls >> place & 1 else value for place, value in enumerate(row)) if nulls else row

    def _values(self, raw: bytes, offset: int, cells: Row) -> Row:
        """Cells as values of their types."""
        if not self._readers and not self._layout.texts:
            return cells
        row = list(cells)
        for place, read in self._readers:
            row[place] = read(row[place])
        start = offset + self._layout.fixed.size
        begin = 0
        for place in self._layout.texts:
            end = cells[place]
            row[place] = raw[start + begin : start + end].decode()
            begin = end
        return tuple(row)
