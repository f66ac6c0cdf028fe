"""Peak resident memory of this process and all its children, sampled."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

_EVERY = 0.5  # seconds


class PeakMemory:
    """Watches the process tree for the duration of a block.

    Attributes:
        peak_mb: the largest sum of resident sizes that was seen, in MB; pages that processes share count in each.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        root = psutil.Process()
        while True:
            self.peak_mb = max(self.peak_mb, _resident(root) / 1e6)
            if self._stop.wait(_EVERY):
                return


def _resident(root: psutil.Process) -> int:
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended between listing and looking
    return total
