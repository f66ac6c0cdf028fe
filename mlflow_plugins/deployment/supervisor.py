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
from collections.abc import Sequence
from types import FrameType

from mlflow_plugins.deployment.starting import FD, OPTIONS, WORKER, WORKERS, beside, environment

_PAUSE = 0.1
_YOUNG = 300.0  # a worker that fails earlier than this did not start
_LONGEST = 60.0


class Supervisor:
    """The workers of one server.

    A worker of the first generation that cannot start ends the server: what it was told to serve is not to be had. One
    that takes the place of a worker that served is tried again and again, each time after twice the pause, while the
    others answer.
    """

    def __init__(self, options: str, fd: int, count: int, command: Sequence[str] = WORKER) -> None:
        self._options, self._command = options, command
        self._bound = socket.socket(fileno=fd)  # keeps the port, and nobody listens on it
        self._workers = {slot: self._start(slot) for slot in range(count)}
        self._failed: dict[int, int] = {}  # how often in a row, of the places in which a worker has served
        self._due: dict[int, float] = {}
        self._ending = False

    def run(self) -> int:
        """Watch the workers until they were told to end; the exit code of one that could not start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        code = 0
        while self._workers or (self._due and not self._ending):
            time.sleep(_PAUSE)
            for slot, (worker, started) in list(self._workers.items()):
                if worker.poll() is not None:
                    del self._workers[slot]
                    code = self._replace(slot, worker.returncode, time.monotonic() - started) or code
            for slot in [slot for slot, due in self._due.items() if due <= time.monotonic() and not self._ending]:
                del self._due[slot]
                try:
                    self._workers[slot] = self._start(slot)
                except OSError as error:  # no memory or no file descriptor now; the others answer meanwhile
                    self._again(slot, f"could not be started ({error})", failed=self._failed[slot] + 1)
        return code

    def _replace(self, slot: int, code: int, age: float) -> int:
        """Have another started in its place, or end all where a first one did not start; the code to end with."""
        if self._ending:
            return 0
        did_not_start = age < _YOUNG and code > 0
        if did_not_start and slot not in self._failed:
            self._end(signal.SIGTERM, None)
            return code
        self._again(slot, f"ended with {code}", failed=self._failed.get(slot, 0) + 1 if did_not_start else 0)
        return 0

    def _again(self, slot: int, told: str, failed: int) -> None:
        """Have another started: at once after a worker that served, else after twice the pause of the time before."""
        self._failed[slot] = failed
        pause = min(2.0 ** min(failed - 1, 10), _LONGEST) if failed else 0.0
        self._due[slot] = time.monotonic() + pause
        sys.stderr.write(f"incumbent: worker {slot} {told} and is started again in {pause:g} s\n")

    def _start(self, slot: int) -> tuple[subprocess.Popen[bytes], float]:
        listening = beside(self._bound)
        fd = listening.fileno()
        worker = subprocess.Popen(self._command, env=environment(self._options, fd, slot), pass_fds=[fd])
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
