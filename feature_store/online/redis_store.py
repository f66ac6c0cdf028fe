"""The online store of several machines: a Redis server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis.exceptions import LockError, OutOfMemoryError, RedisError
from redis.lock import Lock

from feature_store.online.errors import (
    ReadOnlyStoreError,
    StoreFullError,
    StoreLockedError,
    StoreUnreachableError,
    StoreVersionError,
)
from feature_store.online.store import FORMAT, FORMAT_KEY, Changes

T = TypeVar("T")

_SCANNED_AT_ONCE = 2_000
# A writer that was killed gives the lock up after so many seconds; a living one extends it with every batch.
_LOCK_SECONDS = 60.0


class RedisStore:
    """Records in Redis, under keys that begin with a name, so that several stores share a server.

    A read is one round trip. A batch of changes is one transaction, short enough that readers do not wait for it.

    Args:
        url: such as redis://host:6379/0, or rediss:// with TLS.
        name: what all keys begin with.
        patience: seconds that a writer waits for another one.
        timeout: seconds that a call may wait for an answer of the server.
        readonly: refuse to write.

    Raises:
        StoreUnreachableError: the server does not answer.
        StoreVersionError: the records are of another version.
    """

    batch_records = 2_000

    def __init__(
        self,
        url: str,
        *,
        name: str = "incumbent",
        patience: float = 60.0,
        timeout: float = 2.0,
        readonly: bool = False,
    ) -> None:
        # The address may hold a password, which no message should.
        self._place = urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()
        self._name, self._patience, self._readonly = name.encode() + b":", patience, readonly
        self._client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._held: Lock | None = None
        self._check_format()

    def __repr__(self) -> str:
        return f"RedisStore({self._place!r})"

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore`."""
        if not keys:
            return []
        name = self._name
        try:
            found: list[Any] = self._client.mget([name + key for key in keys])
        except RedisError as error:
            raise StoreUnreachableError(repr(self), error) from error
        return found

    def write(self, changes: Changes) -> None:
        """See `OnlineStore`."""
        if self._readonly:
            raise ReadOnlyStoreError(repr(self))
        name = self._name
        pipeline = self._client.pipeline(transaction=True)
        if changes.delete:
            pipeline.delete(*(name + key for key in changes.delete))
        if changes.put:
            pipeline.mset({name + key: record for key, record in changes.put})
        self._asked(pipeline.execute)
        self._keep_lock()

    def scan(self, prefix: bytes, ending: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore`."""
        cursor, cut = 0, len(self._name)
        pattern = _literally(self._name + prefix) + b"*" + _literally(ending)
        while True:
            cursor, keys = self._page(cursor, pattern)
            found = [key[cut:] for key in keys]
            for key, record in zip(found, self.get_many(found), strict=True):
                if record is not None:
                    yield key, record
            if cursor == 0:
                return

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See `OnlineStore`."""
        if self._readonly:
            raise ReadOnlyStoreError(repr(self))
        if self._held is not None:
            yield
            return
        name = self._name.decode() + "writer"
        lock = self._client.lock(name, timeout=_LOCK_SECONDS, blocking_timeout=self._patience)
        if not self._asked(lock.acquire):
            raise StoreLockedError(repr(self), self._patience)
        self._held = lock
        try:
            yield
        finally:
            self._held = None
            self._let_go(lock)

    def close(self) -> None:
        """See `OnlineStore`."""
        self._client.close()

    def _page(self, cursor: int, pattern: bytes) -> tuple[int, list[bytes]]:
        page: Any = self._asked(lambda: self._client.scan(cursor, pattern, _SCANNED_AT_ONCE))
        return page[0], page[1]

    def _keep_lock(self) -> None:
        if self._held is None:
            return
        try:
            self._held.extend(_LOCK_SECONDS, replace_ttl=True)
        except LockError as error:
            raise StoreLockedError(repr(self), _LOCK_SECONDS) from error
        except RedisError as error:
            raise StoreUnreachableError(repr(self), error) from error

    def _let_go(self, lock: Lock) -> None:
        try:
            lock.release()
        except LockError as error:
            raise StoreLockedError(repr(self), _LOCK_SECONDS) from error
        except RedisError as error:
            raise StoreUnreachableError(repr(self), error) from error

    def _asked(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except OutOfMemoryError as error:
            raise StoreFullError(repr(self), error) from error
        except RedisError as error:
            raise StoreUnreachableError(repr(self), error) from error

    def _check_format(self) -> None:
        found = self.get_many([FORMAT_KEY])[0]
        if found is None and not self._readonly:
            self.write(Changes(put=[(FORMAT_KEY, str(FORMAT).encode())]))
        elif found is not None and found != str(FORMAT).encode():
            raise StoreVersionError(repr(self), found.decode(errors="replace"), FORMAT)


def _literally(text: bytes) -> bytes:
    """A text as a pattern that only it matches."""
    return b"".join(b"\\" + bytes([one]) if one in b"*?[]\\^-" else bytes([one]) for one in text)
