"""What an online store does: bytes by key, many at once, and one batch of changes that is whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

FORMAT = 3
"""The layout of records and catalog. A store of another one is refused: it is made again by `materialize`."""

FORMAT_KEY = b"\x00format"


@dataclass(frozen=True, slots=True)
class Changes:
    """What one atomic batch does: records put, in any order, and keys deleted."""

    put: Sequence[tuple[bytes, bytes]] = ()
    delete: Sequence[bytes] = ()


class OnlineStore(Protocol):
    """Records by key, shared by many readers and one writer at a time.

    Keys have at most 511 bytes. Every method raises `StoreUnreachableError` where the store cannot be asked:
    that is never an answer, least of all "missing".
    """

    @property
    def batch_records(self) -> int:
        """How many records one batch of changes may hold without keeping readers waiting."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The records of all keys, in their order, as of one moment; None for a key that is not there."""

    def write(self, changes: Changes) -> None:
        """Put and delete, all or nothing, and on disk when this returns (where the store has one).

        Raises:
            StoreFullError: the disk, the map or the memory is full; nothing was changed.
        """

    def scan(self, prefix: bytes, ending: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose keys begin and end so, without keeping writers waiting.

        What is written meanwhile may be seen or not. All keys with that beginning are looked at, however few end so.
        """

    def writing(self) -> AbstractContextManager[object]:
        """A lock that one writer of all processes holds at a time; a killed writer's is given up.

        Raises:
            StoreLockedError: another writer held it for too long.
        """

    def close(self) -> None:
        """Let go of files and connections."""
