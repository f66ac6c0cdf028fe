"""Records that hold one version, of numbers alone, read all at once.

Most records are of this kind, and most reads find nothing else. So the records of a read are joined and unpacked as
one: whether each is the answer at that moment is asked of all together, and a row of values is one step for all parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from struct import Struct, calcsize
from typing import Any

import numpy as np

Row = tuple[Any, ...]
PlainRows = Callable[[Sequence[bytes | None], int], list[Row] | None]
"""From records and a moment, in microseconds, to rows; None where one must look further."""

_SPAN = 16


@dataclass(frozen=True, slots=True)
class PlainLayout:
    """Where things stand in a record of one version: since when and until when it is the answer, and its values.

    Attributes:
        head: bytes before the values, of which the first 16 are the two moments.
        cells: the values, as `struct` names them.
    """

    head: int
    cells: str

    @property
    def size(self) -> int:
        """Bytes of the record; one with more versions is longer."""
        return self.head + calcsize(f"<{self.cells}")


def plain_row(layouts: Sequence[PlainLayout]) -> PlainRows:
    """How to read the records of several parts for one question.

    What it gives up on: a record that is missing, holds several versions, or is not the answer at that moment.
    """
    size = sum(one.size for one in layouts)
    spans = Struct("<" + "".join(f"qq{one.size - _SPAN}x" for one in layouts)).unpack
    values = _values(layouts).unpack
    places = range(0, 2 * len(layouts), 2)

    def row(raws: Sequence[bytes | None], at: int) -> list[Row] | None:
        try:
            joined = b"".join(raws)  # type: ignore[arg-type]  # a TypeError tells that one is missing
        except TypeError:
            return None
        if len(joined) != size:
            return None
        moments = spans(joined)
        for place in places:
            if not moments[place] <= at < moments[place + 1]:
                return None
        return [values(joined)]

    return row


def plain_rows(layouts: Sequence[PlainLayout]) -> PlainRows:
    """How to read them for many questions, those of one after those of the other; it gives up on the same."""
    size, parts = sum(one.size for one in layouts), len(layouts)
    values, all_answer = _values(layouts).iter_unpack, _answering_all(layouts)

    def rows(raws: Sequence[bytes | None], at: int) -> list[Row] | None:
        try:
            joined = b"".join(raws)  # type: ignore[arg-type]  # a TypeError tells that one is missing
        except TypeError:
            return None
        if len(joined) * parts != size * len(raws) or not all_answer(joined, at):
            return None
        return list(values(joined))

    return rows


def _values(layouts: Sequence[PlainLayout]) -> Struct:
    return Struct("<" + "".join(f"{one.head}x{one.cells}" for one in layouts))


def _answering_all(layouts: Sequence[PlainLayout]) -> Callable[[bytes, int], bool]:
    """Whether all of many joined records are the answer at a moment."""
    starts = list(accumulate((one.size for one in layouts), initial=0))
    names = [f"{name}_{place}" for place in range(len(layouts)) for name in ("since", "until")]
    offsets = [start + offset for start in starts[:-1] for offset in (0, 8)]
    moments = np.dtype({"names": names, "formats": ["<i8"] * len(names), "offsets": offsets, "itemsize": starts[-1]})

    def answering(joined: bytes, at: int) -> bool:
        records = np.frombuffer(joined, moments)
        return not len(records) or all(
            records[since].max() <= at < records[until].min()
            for since, until in zip(names[::2], names[1::2], strict=True)
        )

    return answering
