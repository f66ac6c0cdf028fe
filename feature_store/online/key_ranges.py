"""A view cut into ranges of its records' keys, so that a run holds the rows of one range at a time.

Ranges follow each other in the order of the store, so that records are appended and a run that was killed is taken up
behind the last key that it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl

from feature_store.online.keys import RECORDS, encode_all
from feature_store.online.plan import Part
from feature_store.storage.lake import Lake
from feature_store.storage.reach import EVERYTHING, Reach
from feature_store.storage.tables import KEY, read_whole, scanned, table_of, with_derived

_SAMPLED_A_RANGE = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entities whose records are to be written.

    Attributes:
        keys: their records' keys; None for every entity.
        behind: of these, only those behind this key.
        besides: keys that are wanted wherever they stand.
    """

    keys: pl.Series | None = None
    behind: bytes = b""
    besides: pl.Series | None = None

    @property
    def all(self) -> bool:
        """Whether every entity is wanted."""
        return self.keys is None and not self.behind

    def among(self, keys: pl.Series) -> pl.Series:
        """Whether each key is wanted."""
        found = keys.is_not_null() if self.keys is None else keys.is_in(self.keys.implode())
        if self.behind:
            found &= keys > _one(self.behind)
        return found if self.besides is None else found | keys.is_in(self.besides.implode())


@dataclass(frozen=True, slots=True)
class ToldBy:
    """The entities that some rows have ever told about.

    Attributes:
        rows: their key digests.
    """

    rows: pl.Series

    @property
    def by(self) -> tuple[str, ...]:
        """A row is known by its own key."""
        return ()

    def holds(self, frame: pl.DataFrame) -> pl.Series:
        """See `Entities`."""
        return frame[KEY].is_in(self.rows.implode())


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The wanted entities whose keys lie behind `after`, up to and with `last`; None for no end.

    Attributes:
        ending, by: what a key is made of.
    """

    ending: bytes
    by: tuple[str, ...]
    wanted: Wanted = Wanted()
    after: bytes = b""
    last: bytes | None = None

    def holds(self, frame: pl.DataFrame) -> pl.Series:
        """See `Entities`."""
        keys = encode_all(RECORDS, frame, self.by, self.ending)
        return self.wanted.among(keys) & _between(keys, self.after, self.last)

    @property
    def reach(self) -> Reach:
        """The rows of these entities."""
        whole = self.wanted.all and not self.after and self.last is None
        return EVERYTHING if whole else Reach(entities=self)


def key_ranges(part: Part, ending: bytes, wanted: Wanted, lake: Lake, rows: int) -> list[KeyRange]:
    """Ranges of about so many rows each; more where one entity has more.

    A part whose columns become known later is one range: its rows are put together from several tables.
    """
    whole = KeyRange(ending, part.by, wanted)
    if lake.height(table_of(part.source)) <= rows or read_whole(part.source, [*part.by, *part.inputs]):
        return [whole]
    every = max(1, rows // _SAMPLED_A_RANGE)
    sample = _sampled(whole, part, lake, every)
    count = -(-len(sample) * every // rows)
    ends = [sample[place * len(sample) // count] for place in range(1, count)]
    edges = [b"", *dict.fromkeys(ends), None]
    return [_cut(whole, after or b"", last) for after, last in pairwise(edges)]


def _cut(whole: KeyRange, after: bytes, last: bytes | None) -> KeyRange:
    """A part of a range, which looks rows up among no more keys than it needs."""
    keys, besides = (
        None if found is None else found.filter(_between(found, after, last))
        for found in (whole.wanted.keys, whole.wanted.besides)
    )
    return replace(whole, wanted=replace(whole.wanted, keys=keys, besides=besides), after=after, last=last)


def _between(keys: pl.Series, after: bytes, last: bytes | None) -> pl.Series:
    found = keys > _one(after)
    return found if last is None else found & (keys <= _one(last))


def _sampled(whole: KeyRange, part: Part, lake: Lake, every: int) -> list[bytes]:
    """The sorted keys of one in so many wanted rows, chosen by digest: rows may stand in any pattern."""
    source, table = part.source, table_of(part.source)
    with lake.reading(table):
        rows = scanned(source, lake, part.by, whole.reach).filter(pl.col(KEY) % every == 0)
        found = rows.collect(engine="streaming")
    keys = encode_all(RECORDS, with_derived(source, found, part.by), part.by, whole.ending)
    return keys.drop_nulls().sort().to_list()


def _one(key: bytes) -> pl.Series:
    # A series of one: bytes alone would be read as a series of whole numbers.
    return pl.Series([key], dtype=pl.Binary)
