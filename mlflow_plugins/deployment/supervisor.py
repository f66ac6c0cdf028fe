"""Several workers on one port: starts them, starts a dead one again, and hands the signal to end on.

Where the kernel deals connections among sockets of one port, each worker has one of its own. Of a socket that is shared
the worker that happens to be awake takes everything, and connections that are kept alive stay with it.

It imports nothing heavy: its memory is Python's own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from mlflow_plugins.deployment.starting import FD, OPTIONS, WORKER, WORKERS, beside, environment

_PAUSE = 0.1
_YOUNG = 300.0  # a worker that dies earlier than this did not start


class Supervisor:
    """The workers of one server."""

    def __init__(self, options: str, fd: int, count: int) -> None:
        self._options = options
        self._bound = socket.socket(fileno=fd)  # keeps the port, and nobody listens on it
        self._workers = {slot: self._start(slot) for slot in range(count)}
        self._ending = False

    def run(self) -> int:
        """Watch the workers until they were told to end; the exit code of one that could not start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        code = 0
        while self._workers:
            time.sleep(_PAUSE)
            for slot, (worker, started) in list(self._workers.items()):
                if worker.poll() is None:
                    continue
                if self._ending:
                    del self._workers[slot]
                elif time.monotonic() - started < _YOUNG and worker.returncode > 0:
                    del self._workers[slot]
                    code = worker.returncode
                    self._end(signal.SIGTERM, None)
                else:
                    sys.stderr.write(f"incumbent: worker {slot} ended with {worker.returncode} and is started again\n")
                    self._workers[slot] = self._start(slot)
        return code

    def _start(self, slot: int) -> tuple[subprocess.Popen[bytes], float]:
        listening = beside(self._bound)
        fd = listening.fileno()
        worker = subprocess.Popen(WORKER, env=environment(self._options, fd, slot), pass_fds=[fd])
        if listening is not self._bound:
            listening.close()  # what is dealt to a worker must not wait where the worker has died
        return worker, time.monotonic()

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        for worker, _ in self._workers.values():
            if worker.poll() is None:
                worker.send_signal(number)


if __name__ == "__main__":
    sys.exit(Supervisor(os.environ[OPTIONS], int(os.environ[FD]), int(os.environ[WORKERS])).run())
