"""One file of the request log: lines that one process appends, and nobody changes.

While its writer lives the file is locked; a file without a lock is finished, whether it was closed or its writer was
killed. The folder has to be on a disk of this machine, where a lock ends with the process that holds it.

A line is not written by a call to the system but copied into a part of the file that the process has in its memory.
What was copied is the system's, as what was written: it outlives the process. The room for it is taken from the disk
beforehand, so that a full disk is an error there and no fault of the memory; a file whose writer was killed ends with
what of that room no line had filled: zeros.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path

ENDING = ".jsonl"
_ROOM = 1 << 20  # bytes that are taken from the disk at a time
_PAGE = mmap.ALLOCATIONGRANULARITY


class Segment:
    """A segment that is being written.

    Attributes:
        name: the first part of the id of every prediction in it.
        size: bytes of its lines.
        born: when it was begun, on the clock of whoever rolls it.
    """

    def __init__(self, folder: Path, name: str, born: float) -> None:
        self.name, self.born, self.size = name, born, 0
        self._mapped: mmap.mmap | None = None
        self._copy: Callable[[bytes], int]
        self._end = 0  # of the part of the file that is mapped
        self._synced = -1
        self._path, self._named = folder / f"{name}{ENDING}", False
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{name}.new"
        self._file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Locked before it has its name: nobody ever sees it unlocked while it is written.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            fresh.rename(self._path)
        except OSError:
            os.close(self._file)
            fresh.unlink(missing_ok=True)
            raise

    def append(self, lines: bytes) -> int:
        """Add whole lines, and return where they begin.

        Raises:
            OSError: there is no room for them; nothing of them is in the file.
        """
        offset = self.size
        end = offset + len(lines)
        if end > self._end:
            self._make_room(end)
        self._copy(lines)  # behind the last
        self.size = end
        return offset

    def _make_room(self, end: int) -> None:
        """Map another part of the file, which reaches so far at least."""
        begin = self.size - self.size % _PAGE
        room = max(end - begin, _ROOM)
        try:
            os.posix_fallocate(self._file, begin, room)
        except OSError:  # the little that is needed may still be there
            room = end - begin
            os.posix_fallocate(self._file, begin, room)
        mapped = mmap.mmap(self._file, room, offset=begin)
        self._unmap()
        mapped.seek(self.size - begin)
        self._mapped, self._copy, self._end = mapped, mapped.write, begin + room

    def _unmap(self) -> None:
        if self._mapped is not None:
            self._mapped.close()
            self._mapped = None

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
        self._unmap()
        try:
            os.ftruncate(self._file, self.size)  # where that fails, zeros follow the lines, as after a kill
        finally:
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
        content = self.path.read_bytes().rstrip(b"\0")
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
