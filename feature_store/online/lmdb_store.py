"""The online store of one machine: an LMDB file, read by many processes at once."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import lmdb
from filelock import FileLock, Timeout

from feature_store.online.errors import (
    ReadOnlyStoreError,
    StoreFullError,
    StoreLockedError,
    StoreUnreachableError,
    StoreVersionError,
)
from feature_store.online.store import FORMAT, FORMAT_KEY, Changes

_FIRST_MAP = 1 << 30
_SCANNED_AT_ONCE = 2_000


class LmdbStore:
    """Records in an LMDB file. Readers block neither the writer nor each other, and a commit is on disk.

    A process may open an LMDB file only once, so that all stores of one path share it. A read lasts as long as
    its call: no snapshot is kept open, so space that a writer freed is used again.

    Args:
        path: the folder of the file; made when it is not there, unless `readonly`.
        readonly: refuse to write.
        patience: seconds that a writer waits for another one.
        limit: bytes beyond which the file may not grow.
    """

    batch_records = 250_000

    def __init__(
        self, path: str | Path, *, readonly: bool = False, patience: float = 60.0, limit: int = 1 << 40
    ) -> None:
        self.path = Path(path).resolve()
        self._readonly, self._patience, self._limit = readonly, patience, limit
        self._file = _File.opened(self.path, min(_FIRST_MAP, limit), make=not readonly)
        self._lock = FileLock(self.path / "writer.lock") if not readonly else None
        self._check_format()

    def __repr__(self) -> str:
        return f"LmdbStore({str(self.path)!r})"

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore`."""
        file = self._file
        file.resizing.acquire()  # a `with` takes a tenth of a microsecond longer
        try:
            transaction = file.environment.begin()
            try:
                return list(map(transaction.get, keys))
            finally:
                transaction.abort()
        except lmdb.MapResizedError:
            file.environment.set_mapsize(0)
        except lmdb.Error as error:
            raise StoreUnreachableError(repr(self), error) from error
        finally:
            file.resizing.release()
        return self.get_many(keys)

    def write(self, changes: Changes) -> None:
        """See `OnlineStore`."""
        if self._readonly:
            raise ReadOnlyStoreError(repr(self))
        put = sorted(changes.put)
        while True:
            try:
                self._write(put, changes.delete)
            except lmdb.MapFullError as error:
                self._grow(error)
            except lmdb.MapResizedError:
                self._file.resize(0)
            except (lmdb.DiskError, lmdb.Error, OSError) as error:
                raise StoreFullError(repr(self), error) from error
            else:
                return

    def scan(self, prefix: bytes, ending: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore`."""
        start, found = prefix, True
        while found:
            page = self._page(start, prefix)
            yield from (record for record in page if record[0].endswith(ending))
            found = len(page) == _SCANNED_AT_ONCE
            start = page[-1][0] + b"\x00" if page else start

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See `OnlineStore`."""
        if self._lock is None:
            raise ReadOnlyStoreError(repr(self))
        try:
            self._lock.acquire(timeout=self._patience)
        except Timeout as error:
            raise StoreLockedError(repr(self), self._patience) from error
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """See `OnlineStore`."""
        self._file.close()

    def _write(self, put: Sequence[tuple[bytes, bytes]], delete: Sequence[bytes]) -> None:
        with self._file.environment.begin(write=True) as transaction:
            for key in delete:
                transaction.delete(key)
            if put:
                cursor = transaction.cursor()
                # Behind the last key there is no page to search or split.
                behind = bisect_right(put, cursor.key(), key=itemgetter(0)) if cursor.last() else 0
                cursor.putmulti(put[:behind])
                cursor.putmulti(put[behind:], append=True)

    def _grow(self, error: Exception) -> None:
        size = self._file.environment.info()["map_size"]
        if size >= self._limit:
            raise StoreFullError(repr(self), f"its limit of {self._limit} bytes is reached") from error
        self._file.resize(min(2 * size, self._limit))

    def _page(self, start: bytes, prefix: bytes) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = []
        with self._file.resizing, self._file.environment.begin() as transaction:
            cursor = transaction.cursor()
            if not cursor.set_range(start):
                return page
            for key, value in cursor:
                if len(page) == _SCANNED_AT_ONCE or not key.startswith(prefix):
                    break
                page.append((key, value))
        return page

    def _check_format(self) -> None:
        found = self.get_many([FORMAT_KEY])[0]
        if found is None and not self._readonly:
            self.write(Changes(put=[(FORMAT_KEY, str(FORMAT).encode())]))
        elif found is not None and found != str(FORMAT).encode():
            self.close()
            raise StoreVersionError(repr(self), found.decode(errors="replace"), FORMAT)


class _File:
    """An LMDB environment, opened once in a process and shared by the stores of its path."""

    _open: ClassVar[dict[tuple[int, Path], _File]] = {}
    _opening = threading.Lock()

    def __init__(self, path: Path, environment: Any) -> None:
        self.path, self.environment = path, environment
        self.resizing = threading.Lock()
        self.users = 0

    @classmethod
    def opened(cls, path: Path, size: int, *, make: bool) -> _File:
        with cls._opening:
            # After a fork the parent's environment must not be used.
            token = (os.getpid(), path)
            if token not in cls._open:
                cls._open[token] = cls(path, _environment(path, size, make))
            file = cls._open[token]
            file.users += 1
            return file

    def resize(self, size: int) -> None:
        """Change the map while nobody of this process reads; 0 takes the size another process has given it."""
        with self.resizing:
            self.environment.set_mapsize(size)

    def close(self) -> None:
        with self._opening:
            self.users -= 1
            if self.users == 0:
                self._open.pop((os.getpid(), self.path), None)
                self.environment.close()


def _environment(path: Path, size: int, make: bool) -> Any:
    if not make and not (path / "data.mdb").exists():
        raise StoreUnreachableError(f"LmdbStore({str(path)!r})", "there is no such file")
    try:
        path.mkdir(parents=True, exist_ok=True)
        # A writer's environment takes no lock before it writes, and a process can have only one.
        readonly = not os.access(path, os.W_OK)
        environment = lmdb.open(str(path), map_size=size, readonly=readonly, max_readers=1024, create=make)
        environment.reader_check()
    except (lmdb.VersionMismatchError, lmdb.InvalidError) as error:
        raise StoreVersionError(f"LmdbStore({str(path)!r})", error, f"LMDB {lmdb.version()}") from error
    except (lmdb.Error, OSError) as error:
        raise StoreUnreachableError(f"LmdbStore({str(path)!r})", error) from error
    return environment
