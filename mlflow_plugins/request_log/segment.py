"""One file of the request log: lines that one process appends, and nobody changes.

While its writer lives the file is locked; a file without a lock is finished, whether it was closed or its writer was
killed. The folder has to be on a disk of this machine, where a lock ends with the process that holds it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

ENDING = ".jsonl"


class Segment:
    """A segment that is being written.

    Attributes:
        name: the first part of the id of every prediction in it.
        size: bytes of whole lines.
        is_whole: whether nothing else is in the file, so that another line may follow.
        born: when it was begun, on the clock of whoever rolls it.
    """

    def __init__(self, folder: Path, name: str, born: float) -> None:
        self.name, self.born, self.size = name, born, 0
        self.is_whole = True
        self._synced = -1
        self._path, self._named = folder / f"{name}{ENDING}", False
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{name}.new"
        self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            # Locked before it has its name: nobody ever sees it unlocked while it is written.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            fresh.rename(self._path)
        except OSError:
            os.close(self._file)
            fresh.unlink(missing_ok=True)
            raise

    def append(self, lines: bytes) -> int:
        """Write whole lines with one call, and return where they begin.

        Raises:
            OSError: they were not written, and nothing of them is left in a file that is still whole.
        """
        offset = self.size
        written = os.write(self._file, lines)
        if written == len(lines):
            self.size = offset + written
            return offset
        self.is_whole = False
        os.ftruncate(self._file, offset)
        self.is_whole = True
        raise OSError(f"only {written} of {len(lines)} bytes were written: no space is left")

    @property
    def is_synced(self) -> bool:
        """Whether nothing was written since it was last brought to disk."""
        return self._synced == self.size

    def sync(self) -> None:
        """Wait until what was written is on disk, and the folder knows of the file."""
        self._synced = self.size
        os.fdatasync(self._file)
        if self._named:
            return
        self._named = True
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Finish it: from now on it may be read and removed by others."""
        os.close(self._file)
        if self.size == 0:
            self._path.unlink(missing_ok=True)


class Finished:
    """A segment that nobody writes any more, taken by one reader at a time."""

    def __init__(self, path: Path, file: int) -> None:
        self.path, self._file = path, file

    @classmethod
    def taken(cls, path: Path) -> Finished | None:
        """Take it; none while its writer or another reader holds it, or when it is gone by now."""
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        if os.fstat(file).st_nlink == 0:  # the reader before us was done with it
            os.close(file)
            return None
        return cls(path, file)

    @property
    def name(self) -> str:
        """The segment's name."""
        return self.path.name.removesuffix(ENDING)

    def lines(self) -> tuple[list[tuple[int, bytes]], int]:
        """Every whole line with the offset at which it begins, and the bytes of a last line that was torn."""
        content = self.path.read_bytes()
        found, begin = [], 0
        for line in content.split(b"\n")[:-1]:
            found.append((begin, line))
            begin += len(line) + 1
        return found, len(content) - begin

    def remove(self) -> None:
        """Remove the file, which is in the lake by now."""
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others take it."""
        os.close(self._file)


def segments(folder: Path) -> list[Path]:
    """The segments of a folder, oldest first."""
    return sorted(folder.glob(f"*{ENDING}"))
