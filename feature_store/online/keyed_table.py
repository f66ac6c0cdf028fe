"""Values by key in an online store, replaced as a whole: a reader sees one table or the next, never half of each.

A table is written under a generation of its own. Its head, which is put last, names the generation; a read asks for
the head together with the keys, as of one moment, so that a table that was replaced meanwhile is noticed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

import polars as pl

from feature_store.online.catalog import types_of
from feature_store.online.errors import NoKeyedTableError
from feature_store.online.keys import NoEntity, Question, encode_all, encoder
from feature_store.online.store import Changes, OnlineStore

_RECORDS, _HEADS = b"\x03", b"\x04"
Rows = tuple[pl.DataFrame, Sequence[bytes]]
"""Some keys, a column for each part, and the value of each; keys with a null are left out."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is told about a table.

    Attributes:
        generation: in hexadecimal.
        types: of the columns of its key.
        facts: the writer's own, of JSON.
    """

    generation: str
    types: Mapping[str, str]
    rows: int
    facts: Mapping[str, Any]

    def prefix(self, name: str) -> bytes:
        """What the keys of its records begin with."""
        return _RECORDS + _digest(name) + bytes.fromhex(self.generation)


def replace_table(
    store: OnlineStore, name: str, rows: Iterable[Rows], types: Mapping[str, pl.DataType], facts: Mapping[str, Any]
) -> Head:
    """Write a table, then let it take the place of the one before.

    Raises:
        StoreLockedError, StoreFullError, StoreUnreachableError: the table before is still the one that is read.
    """
    texts = {column: str(dtype) for column, dtype in types.items()}
    head = Head(secrets.token_hex(6), texts, 0, dict(facts))
    with store.writing():
        count = 0
        for keys, values in rows:
            count += _put(store, head.prefix(name), keys.select(list(types)), values)
        head = Head(head.generation, texts, count, head.facts)
        store.write(Changes(put=[(_HEADS + _digest(name), json.dumps(asdict(head)).encode())]))
        _sweep(store, name, head)
    return head


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A table as it was last seen: its head as it is stored and as it is read, and how its keys are encoded."""

    raw: bytes
    head: Head
    encode: Callable[[Question], bytes]


class KeyedTable:
    """Reads one table, whichever generation it is in; several threads may do so at once."""

    def __init__(self, store: OnlineStore, name: str) -> None:
        self._store, self._name = store, name
        self._known: _Known | None = None  # replaced as a whole

    def head(self) -> Head:
        """What is told about the table at this moment.

        Raises:
            NoKeyedTableError: it was never written.
            StoreUnreachableError: the store does not answer.
        """
        return self._now().head

    def read(self, questions: Sequence[Question]) -> tuple[Head, list[bytes | None]]:
        """The values of some keys, None for those that are not there, and the table that they are of.

        Raises:
            As `head` does; ColumnTypeError: a part of a key has another type.
        """
        return self.answer(lambda head: questions)

    def answer(self, ask: Callable[[Head], Sequence[Question]]) -> tuple[Head, list[bytes | None]]:
        """The same where the questions depend on what the key of the table is.

        Args:
            ask: questions to a table with this head; what it raises is raised, unless the table was replaced.
        """
        while True:
            known = self._known or self._now()
            try:
                keys = [_key(known.encode, one) for one in ask(known.head)]
            except Exception:
                if self._now().raw == known.raw:
                    raise
                continue  # the questions are of the key that the table has by now
            raw, *found = self._store.get_many([_HEADS + _digest(self._name), *keys])
            if raw == known.raw:
                return known.head, found
            self._look(raw)

    def _now(self) -> _Known:
        return self._look(self._store.get_many([_HEADS + _digest(self._name)])[0])

    def _look(self, raw: bytes | None) -> _Known:
        if raw is None:
            raise NoKeyedTableError(self._name, repr(self._store))
        head = Head(**json.loads(raw))
        self._known = known = _Known(raw, head, encoder(head.prefix(self._name), types_of(head.types)))
        return known


def _key(encode: Callable[[Question], bytes], question: Question) -> bytes:
    try:
        return encode(question)
    except NoEntity:
        return _RECORDS  # no record has so short a key


def _put(store: OnlineStore, prefix: bytes, keys: pl.DataFrame, values: Sequence[bytes]) -> int:
    encoded = encode_all(prefix, keys, keys.columns)
    pairs = [(key, value) for key, value in zip(encoded, values, strict=True) if key is not None]
    for begin in range(0, len(pairs), store.batch_records):
        store.write(Changes(put=pairs[begin : begin + store.batch_records]))
    return len(pairs)


def _sweep(store: OnlineStore, name: str, head: Head) -> None:
    """Remove what earlier generations, and runs that were killed, have left."""
    current = head.prefix(name)
    old = (key for key, _ in store.scan(_RECORDS + _digest(name)) if not key.startswith(current))
    while page := list(islice(old, store.batch_records)):
        store.write(Changes(delete=page))


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()
