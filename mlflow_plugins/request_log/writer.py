"""The request log of one worker: a record is written before its answer is sent."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.errors import RequestNotLoggedError
from mlflow_plugins.request_log.asked import Asked
from mlflow_plugins.request_log.lines import Lines, Undecoded
from mlflow_plugins.request_log.options import Durability, LogOptions
from mlflow_plugins.request_log.segment import Segment

CHAMPION = "champion"
_HELD_SECONDS = 0.1  # for so long a record may wait in memory at `async`
_log = logging.getLogger(__name__)


def now() -> int:
    """Microseconds since 1970 (UTC): the clock of the shell."""
    return time.time_ns() // 1000


def model_folder(root: Path, model: str) -> Path:
    """Where the segments of a model lie."""
    return root / quote(model, safe=" ")


class RequestLog:
    """Appends records, one segment for each model at a time; a thread brings them to disk.

    Attributes:
        clock: nanoseconds since 1970 (UTC).
        written: records so far.
        lost: records of answers that were given although nothing was written; only at `async`.
        failed: records that could not be written, so that no answer was given.
        trouble: why the last try to write failed; none since one succeeded.
    """

    def __init__(self, options: LogOptions, clock: Callable[[], int] = time.time_ns) -> None:
        self.options, self.clock = options, clock
        self.written = self.lost = self.failed = 0
        self.trouble: str | None = None
        self._root = Path(options.folder)
        self._probe = self._root / f"probe-{secrets.token_hex(4)}.new"
        self._roll_bytes = options.roll_bytes
        self._waits = options.durability is Durability.FSYNC
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="request log", daemon=True)

    def start(self) -> None:
        """Begin to bring what is written to disk."""
        self._thread.start()

    def answered(
        self,
        served: Served,
        values: Sequence[Values],
        answer: bytes,
        asked: Asked | Undecoded | None = None,
        variant: str = CHAMPION,
    ) -> bytes:
        """Log a request that was decoded, and return its id; empty where it was lost and may be.

        Raises:
            RequestNotLoggedError: the record is not there, so the answer must not be given.
        """
        with self._lock:
            stream = self._streams.get(served.model) or self._begun(served.model)
            try:
                turned = served is stream.served and variant == stream.variant
                lines = stream.known if turned else stream.lines(served, variant)
                line = lines.line(self.clock() // 1000, values, answer, asked)
                offset = stream.append(line)
                if self._waits:
                    stream.sync()
            except OSError as error:
                return self._not_written(stream, error)
            self.written += 1
            self.trouble = None
            if offset + len(line) > self._roll_bytes:
                stream.served = None
            return b"%b%d" % (stream.name, offset)

    def undecoded(self, served: Served, asked: Undecoded, variant: str = CHAMPION) -> bytes:
        """Log any other request, as `answered` does."""
        return self.answered(served, (), b"", asked, variant)

    def close(self) -> None:
        """Bring everything to disk, and finish all segments."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for stream in self._streams.values():
                self._flush(stream)
                stream.retire()
        self._sync()

    def _begun(self, model: str) -> _Stream:
        stream = self._streams[model] = _Stream(model_folder(self._root, model), self.options)
        return stream

    def _not_written(self, stream: _Stream, error: OSError) -> bytes:
        self._count_dropped(stream)
        if self.trouble is None:
            _log.error("The request log in %s cannot be written: %s", self._root, error)
        self.trouble = str(error)
        if self.options.durability is Durability.ASYNC:
            self.lost += 1
            return b""
        self.failed += 1
        raise RequestNotLoggedError(str(self._root), error) from error

    def _keep(self) -> None:
        seconds = self.options.sync_seconds
        pause = min(seconds, _HELD_SECONDS) if self.options.durability is Durability.ASYNC else seconds
        due = time.monotonic() + seconds
        while not self._ended.wait(pause):
            if time.monotonic() + pause / 2 < due:
                self._flush_all()
                continue
            self._sync()
            due = time.monotonic() + seconds

    def _flush_all(self) -> None:
        with self._lock:
            for stream in self._streams.values():
                self._flush(stream)

    def _sync(self) -> None:
        """Write what waits, finish what is old, and bring the rest to disk; requests go on meanwhile."""
        with self._lock:
            streams = list(self._streams.values())
            for stream in streams:
                self._flush(stream)
            kept = [segment for stream in streams for segment in stream.to_sync()]
            retired = [segment for stream in streams for segment in stream.take_retired()]
        for segment in retired:
            self._tried(segment.sync)
            self._tried(segment.close)
        for segment in kept:
            self._tried(segment.sync)
        if self.trouble is not None:
            self._try_again()

    def _flush(self, stream: _Stream) -> None:
        try:
            stream.flush()
        except OSError as error:
            stream.retire()  # the ids that were given name places in it that nothing will stand at
            self._count_dropped(stream)
            self._not_written_later(error)
        if stream.is_old():
            stream.retire()

    def _count_dropped(self, stream: _Stream) -> None:
        self.lost += stream.dropped
        self.written -= stream.dropped
        stream.dropped = 0

    def _not_written_later(self, error: OSError) -> None:
        _log.error("The request log in %s lost records: %s", self._root, error)
        self.trouble = str(error)

    def _tried(self, work: Callable[[], None]) -> None:
        """Do what concerns one segment; where it fails its lines are still there, and the thread has others."""
        try:
            work()
        except OSError as error:
            self._not_written_later(error)

    def _try_again(self) -> None:
        """See whether the disk takes a page by now, so that `/ready` says so without waiting for a request."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            try:
                with self._probe.open("wb") as probe:
                    probe.write(bytes(4096))
                    probe.flush()
                    os.fsync(probe.fileno())
            finally:
                self._probe.unlink(missing_ok=True)
        except OSError as error:  # also where nothing can be removed, as on a disk that has become read-only
            self.trouble = str(error)
        else:
            self.trouble = None


class _Stream:
    """The segments of one model, one after the other; the caller holds the lock.

    Attributes:
        name: of the segment that is written, with the dot that stands before an offset in it.
        append: adds a line to the segment that `lines` has begun, and returns where it will stand; OSError where it was
            not written.
        served, variant, known: of the last line, and what wrote it; no version where the next line needs a look at the
            segment first.
        waiting: records that wait to be written, at `async`.
        dropped: such records that could not be, and are not counted yet.
    """

    def __init__(self, folder: Path, options: LogOptions) -> None:
        self.name = b""
        self.append: Callable[[bytes], int] = self._keep_one
        self.served: Served | None = None
        self.variant = ""
        self.known: Lines
        self.waiting = self.dropped = 0
        self._folder, self._options = folder, options
        self._later = options.durability is Durability.ASYNC
        self._segment: Segment | None = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._lines: dict[tuple[int, int, str], Lines] = {}
        self._retired: list[Segment] = []

    def lines(self, served: Served, variant: str) -> Lines:
        """What writes the lines of a version; it is described before its first line in a segment.

        Raises:
            OSError: no segment could be begun.
        """
        if self._segment is None or self._segment.size + self._buffered > self._options.roll_bytes:
            self._begin()
        key = (served.version, served.epoch, variant)
        known = self._lines.get(key)
        if known is None:
            known = Lines(served, variant, len(self._lines), self._options.redacted)
            self._describe(known)
            self._lines[key] = known
        self.served, self.variant, self.known = served, variant, known
        return known

    def _describe(self, known: Lines) -> None:
        segment = self._segment
        assert segment is not None  # it was just begun, or there was one
        if self._later:
            self._keep(segment, known.description)
        else:
            segment.append(known.description)

    def _keep_one(self, line: bytes) -> int:
        segment = self._segment
        assert segment is not None  # the caller asked for lines first
        self.waiting += 1
        return self._keep(segment, line)

    def _keep(self, segment: Segment, line: bytes) -> int:
        offset = segment.size + self._buffered
        self._buffer.append(line)
        self._buffered += len(line)
        return offset

    def sync(self) -> None:
        """Wait for the disk."""
        if self._segment is not None:
            self._segment.sync()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OSError: it was not written; nothing waits any more.
        """
        lines, waiting = self._buffer, self.waiting
        self._buffer, self._buffered, self.waiting = [], 0, 0
        if not lines or self._segment is None:
            return
        try:
            self._segment.append(b"".join(lines))
        except OSError:
            self.dropped += waiting
            raise

    def is_old(self) -> bool:
        """Whether the segment has been open for as long as it may."""
        return self._segment is not None and time.monotonic() - self._segment.born > self._options.roll_seconds

    def retire(self) -> None:
        """Finish the segment; the next line begins another."""
        if self._segment is not None:
            self._retired.append(self._segment)
        self._segment = self.served = None
        self._lines = {}

    def to_sync(self) -> list[Segment]:
        """What was written and is not on disk yet."""
        return [self._segment] if self._segment is not None and not self._segment.is_synced else []

    def take_retired(self) -> list[Segment]:
        """The finished segments, for the thread that closes them."""
        found, self._retired = self._retired, []
        return found

    def _begin(self) -> None:
        try:
            self.flush()
        finally:
            self.retire()
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(5)}"
        self._segment = Segment(self._folder, name, time.monotonic())
        self.name = name.encode() + b"."
        if not self._later:
            self.append = self._segment.append
