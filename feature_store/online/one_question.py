"""The short way of a read: one question, all of whose records tell their values at once.

Most reads while somebody waits are of this kind, and there a microsecond is a third of the answer. So this is a closure
over what it needs, and gives up, for the reader to begin anew, on anything that is not plain: an entity that is
missing, a value that is stale, a null, a row that may be the question's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from feature_store.online.keys import RECORDS, NoEntity, Question, encoder
from feature_store.online.plain_records import PlainRows
from feature_store.online.store import OnlineStore

Row = tuple[Any, ...]
Quick = Callable[[bytes, int], Row | None]
"""From a record and a moment, in microseconds, to the values; None where they are not to be had at once."""
Answer = Callable[[Question, int], list[Row] | None]


def one_question(
    key: Mapping[str, pl.DataType], parts: Sequence[tuple[bytes, Quick]], store: OnlineStore, plain: PlainRows | None
) -> Answer:
    """The values of all parts for one question; None where one must look further.

    Args:
        key: the columns of the entity that all parts are about, with their types.
        parts: of each the ending of its keys, and what reads its records.
        plain: what reads the records of all parts at once.
    """
    keys, get_many = _keys(encoder(RECORDS, key), [ending for ending, _ in parts]), store.get_many
    read = plain or _one_by_one([quick for _, quick in parts])

    def values(question: Question, at: int) -> list[Row] | None:
        try:
            wanted = keys(question)
        except (NoEntity, KeyError):
            return None
        return read(get_many(wanted), at)

    return values


def _keys(encode: Callable[[Question], bytes], endings: Sequence[bytes]) -> Callable[[Question], list[bytes]]:
    if len(endings) == 2:  # as most models have, and a loop would take as long as the rest
        one, other = endings

        def two(question: Question) -> list[bytes]:
            entity = encode(question)
            return [entity + one, entity + other]

        return two

    def every(question: Question) -> list[bytes]:
        entity = encode(question)
        return [entity + ending for ending in endings]

    return every


def _one_by_one(quicks: Sequence[Quick]) -> PlainRows:
    placed = list(enumerate(quicks))

    def read(raws: Sequence[bytes | None], at: int) -> list[Row] | None:
        row: Row = ()
        for place, quick in placed:
            raw = raws[place]
            found = None if raw is None else quick(raw, at)
            if found is None:
                return None
            row += found
        return [row]

    return read


def nothing_at_once(question: Question, at: int) -> list[Row] | None:
    """The short way where there is none."""
    return None
