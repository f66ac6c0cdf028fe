"""The versions of rows that an online record is made of: by entity, then from the oldest to the newest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from feature_store.online.keys import RECORDS, encode_all
from feature_store.point_in_time.timeline import Ints, moments
from feature_store.storage.tables import KEY, ROW, superseded

FOREVER = int(np.iinfo(np.int64).max)
ENTITY = "_entity"


@dataclass(frozen=True, slots=True)
class SortedRows:
    """m versions in the order of entity, event time, availability and content; microseconds since 1970 (UTC).

    Attributes:
        frame: their columns.
        keys: of the records of the n entities, sorted.
        starts: n + 1 positions: the rows of entity i are `starts[i]` to `starts[i + 1]`.
        event: when each happened.
        seen: from when on it has happened and is available.
        gone: when a correction replaced it; FOREVER where none had, by `as_of`.
        as_of: the moment by which rows were available.
    """

    frame: pl.DataFrame
    keys: list[bytes]
    starts: Ints
    event: Ints
    seen: Ints
    gone: Ints
    as_of: int

    @classmethod
    def of(cls, facts: pl.DataFrame, ending: bytes, by: Sequence[str], as_of: int) -> SortedRows:
        """The versions that were available at `as_of` and have an entity, from `tables.facts`."""
        rows = superseded(facts)
        rows = rows.with_columns(encode_all(RECORDS, rows, by, ending).alias(ENTITY))
        late = moments(rows["available_at"]) > as_of
        if late.any() or rows[ENTITY].null_count():
            rows = rows.filter(pl.Series(~late) & pl.col(ENTITY).is_not_null())
        return cls.sorted(_in_order(rows), as_of)

    @classmethod
    def sorted(cls, rows: pl.DataFrame, as_of: int) -> SortedRows:
        """The same of rows that stand in order already, with the key of each in `_entity`."""
        entity = rows[ENTITY]
        first = np.flatnonzero((entity != entity.shift(1)).fill_null(True).to_numpy())
        event = moments(rows["event_time"])
        gone = np.full(rows.height, FOREVER)
        replaced = rows["superseded_at"]
        if replaced.null_count() < rows.height:
            gone = moments(replaced.fill_null(replaced.max())).copy()
            gone[replaced.is_null().to_numpy() | (gone > as_of)] = FOREVER
        seen = np.maximum(event, moments(rows["available_at"]))
        keys = entity.gather(first).to_list() if len(first) < rows.height else entity.to_list()
        return cls(rows, keys, np.append(first, rows.height), event, seen, gone, as_of)

    @property
    def sizes(self) -> Ints:
        """How many rows each entity has."""
        return np.diff(self.starts)

    @property
    def single(self) -> bool:
        """Whether each entity has one row."""
        return len(self.keys) == len(self.event) and bool((self.sizes == 1).all())

    @property
    def digests(self) -> Ints:
        """The key digest of each row."""
        return self.frame[KEY].to_numpy()

    def each(self, of_entity: Ints) -> Ints:
        """A number per entity as one per row."""
        return of_entity if self.single else np.repeat(of_entity, self.sizes)

    def most(self, numbers: Ints, least: int) -> Ints:
        """The largest number of each entity's rows, at least `least`."""
        if not len(self.keys):
            return np.empty(0, np.int64)
        return np.maximum(np.maximum.reduceat(numbers, self.starts[:-1]), least)

    def keeping(self, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> SortedRows:
        """Only some of the rows; an entity may be left without any."""
        if kept.all():
            return self
        counts = np.concatenate([[0], np.cumsum(kept)])
        frame = self.frame.filter(pl.Series(kept))
        one = (self.event[kept], self.seen[kept], self.gone[kept])
        return SortedRows(frame, self.keys, counts[self.starts], *one, self.as_of)

    def chunks(self, rows: int) -> Iterator[SortedRows]:
        """Pieces of whole entities with about so many rows each."""
        first = 0
        while first < len(self.keys):
            last = int(np.searchsorted(self.starts, self.starts[first] + rows, side="right")) - 1
            last = min(max(last, first + 1), len(self.keys))
            yield self._slice(first, last)
            first = last

    def _slice(self, first: int, last: int) -> SortedRows:
        low, high = int(self.starts[first]), int(self.starts[last])
        one = (self.event[low:high], self.seen[low:high], self.gone[low:high])
        frame = self.frame[low:high]
        return SortedRows(frame, self.keys[first:last], self.starts[first : last + 1] - low, *one, self.as_of)


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    entity = rows[ENTITY]
    order = [ENTITY, "event_time", "available_at", ROW]
    if entity.n_unique() < rows.height:
        return rows.sort(order)
    return rows if entity.is_sorted() else rows.sort(ENTITY)
