"""Several workers on one port: starts them, starts a dead one again, and hands the signal to end on.

Where the kernel deals connections among sockets of one port, each worker has one of its own. Of a socket that is shared
the worker that happens to be awake takes everything, and connections that are kept alive stay with it.

It imports nothing heavy: its memory is Python's own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple

from mlflow_plugins.deployment.starting import FD, OPTIONS, READY, WORKER, WORKERS, beside, environment

_PAUSE = 0.1
_LONGEST = 60.0


class _Worker(NamedTuple):
    """A worker, and the end of a pipe into which it says that it answers."""

    process: subprocess.Popen[bytes]
    said: int

    def was_ready(self) -> bool:
        """Whether it had ever come so far as to answer; to be asked once, when it has ended."""
        os.set_blocking(self.said, False)
        try:
            return bool(os.read(self.said, 1))
        except BlockingIOError:  # it said nothing, and a process that it started still holds the other end
            return False
        finally:
            os.close(self.said)


class Supervisor:
    """The workers of one server.

    A worker of the first generation that cannot start and says so by its code ends the server: what it was told to
    serve is not to be had. Any other that ends is replaced: at once where it had become ready, else, whatever ended it,
    again and again after twice the pause, while the others answer.
    """

    def __init__(self, options: str, fd: int, count: int, command: Sequence[str] = WORKER) -> None:
        self._options, self._command = options, command
        self._bound = socket.socket(fileno=fd)  # keeps the port, and nobody listens on it
        self._workers: dict[int, _Worker] = {}
        self._due = dict.fromkeys(range(count), 0.0)  # when the places without a worker get one
        self._failed: dict[int, int] = {}  # how often in a row, of the places in which a worker has ended
        self._signals: list[int] = []  # that came and are not handed on yet
        self._ending = False

    def run(self) -> int:
        """Start the workers and watch them until they were told to end; the exit code of one that could not start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        code = 0
        try:
            while self._workers or (self._due and not self._ending):
                self._start_those_due()
                time.sleep(_PAUSE)
                self._hand_on()
                for slot, worker in list(self._workers.items()):
                    if worker.process.poll() is not None:
                        del self._workers[slot]
                        code = self._replace(slot, worker.process.returncode, worker.was_ready()) or code
        finally:
            self._end(signal.SIGTERM)  # where something went wrong here, nobody would watch them any more
        return code

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Only note a signal: a worker that is being started at this moment has no place yet, and would miss it."""
        self._signals.append(number)
        self._ending = True

    def _hand_on(self) -> None:
        while self._signals:
            self._end(self._signals.pop(0))

    def _end(self, number: int) -> None:
        self._ending = True
        for worker in self._workers.values():
            worker.process.send_signal(number)  # which does nothing where it has ended

    def _start_those_due(self) -> None:
        for slot in [slot for slot, due in self._due.items() if due <= time.monotonic()]:
            if self._ending:
                return
            del self._due[slot]
            try:
                self._workers[slot] = self._start(slot)
            except OSError as error:  # no memory or no file descriptor now; the others answer meanwhile
                self._again(slot, f"could not be started ({error})", failed=self._failed.get(slot, 0) + 1)

    def _replace(self, slot: int, code: int, was_ready: bool) -> int:
        """Have another started in its place, or end all where a first one could not start; the code to end with."""
        if self._ending:
            return 0
        if code > 0 and not was_ready and slot not in self._failed:
            self._end(signal.SIGTERM)
            return code
        self._again(slot, f"ended with {code}", failed=0 if was_ready else self._failed.get(slot, 0) + 1)
        return 0

    def _again(self, slot: int, told: str, failed: int) -> None:
        """Have another started: at once after a worker that was ready, else after twice the pause before."""
        self._failed[slot] = failed
        pause = min(2.0 ** min(failed - 1, 10), _LONGEST) if failed else 0.0
        self._due[slot] = time.monotonic() + pause
        with contextlib.suppress(OSError):  # who read it has gone, which is no reason to end the server
            sys.stderr.write(f"incumbent: worker {slot} {told} and is started again in {pause:g} s\n")

    def _start(self, slot: int) -> _Worker:
        said, saying = os.pipe()
        try:
            return _Worker(self._process(slot, saying), said)
        except OSError:
            os.close(said)
            raise
        finally:
            os.close(saying)

    def _process(self, slot: int, saying: int) -> subprocess.Popen[bytes]:
        listening = beside(self._bound)
        fd = listening.fileno()
        told = {**environment(self._options, fd, slot), READY: str(saying)}
        try:
            return subprocess.Popen(self._command, env=told, pass_fds=[fd, saying])
        finally:
            if listening is not self._bound:
                listening.close()  # what is dealt to a worker must not wait where the worker has died


if __name__ == "__main__":
    sys.exit(Supervisor(os.environ[OPTIONS], int(os.environ[FD]), int(os.environ[WORKERS])).run())
