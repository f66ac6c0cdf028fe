"""One process of a machine at a time writes to a table, and the others can say who."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from feature_store.errors import TableLockedError
from feature_store.storage.storage_trouble import Trouble


class TableLock:
    """A lock as a context manager; it may be nested, and ends with the process that holds it, however that ends.

    The lock is this machine's: writers on other machines are met by trying again, which the log of a Delta table
    allows.

    Raises:
        TableLockedError: another process held it for `seconds`.
        LakeAccessError: the folder of locks may not be written to.
    """

    def __init__(self, path: Path, trouble: Trouble, seconds: float) -> None:
        self._trouble, self._seconds = trouble, seconds
        self._lock = FileLock(path)
        self._holder = path.with_suffix(".holder")

    def __enter__(self) -> TableLock:
        with self._trouble:
            try:
                self._lock.acquire(timeout=self._seconds)
            except Timeout as error:
                raise TableLockedError(self._trouble.table, self._seconds, self._held_by()) from error
            if self._lock.lock_counter == 1:
                self._holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def _held_by(self) -> str | None:
        try:
            return self._holder.read_text() or None
        except FileNotFoundError:
            return None


def lock_path(root: str, table: str, folder: str | Path | None) -> Path:
    """Where the lock of a table is: in `folder`, else beside the tables, else in this machine's temporary folder."""
    name = hashlib.sha256(f"{root}/{table}".encode()).hexdigest()[:16]
    if folder is None and "://" not in root:
        folder = Path(root) / ".locks"
    place = Path(tempfile.gettempdir() if folder is None else folder)
    place.mkdir(parents=True, exist_ok=True)
    return place / f"incumbent-lake-{name}.lock"
