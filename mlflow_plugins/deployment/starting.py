"""Starting workers: one listening socket for all, one thread of BLAS and OpenMP in each. Standard library only."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping

OPTIONS, FD, SLOT = "INCUMBENT_SERVER_OPTIONS", "INCUMBENT_SERVER_FD", "INCUMBENT_SERVER_SLOT"
WORKER = [sys.executable, "-m", "mlflow_plugins.deployment.worker"]
WORKERS, READY = "INCUMBENT_SERVER_WORKERS", "INCUMBENT_SERVER_READY"
SUPERVISOR = [sys.executable, "-m", "mlflow_plugins.deployment.supervisor"]
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket that a started process may inherit; port 0 is any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.set_inheritable(True)
    return listening


def beside(bound: socket.socket) -> socket.socket:
    """Another socket of the same port, among which the kernel deals connections; the same one where it does not.

    One that listens already has to stay the only one: what is dealt to it would wait for ever.
    """
    if not sys.platform.startswith("linux") or bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return bound
    # Only now: the port was bound without it, so a second server on the port is still an error.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    another = socket.socket(bound.family, socket.SOCK_STREAM)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    another.bind(bound.getsockname())
    another.set_inheritable(True)
    return another


def environment(options: str, fd: int, slot: int = 0, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker or a supervisor."""
    single = dict.fromkeys(_ONE_THREAD, "1")
    told = {OPTIONS: options, FD: str(fd), SLOT: str(slot), "DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    told["PYTHONFAULTHANDLER"] = "1"  # a worker that a fault of the memory ends says where
    return {**(os.environ if given is None else given), **single, **told}


def say_ready() -> int | None:
    """Tell the supervisor that this worker answers from now on.

    Returns:
        The supervisor's process id, 0 where it has ended by now, none where there never was one.
    """
    saying, supervisor = os.environ.pop(READY, None), os.getppid()
    if saying is None:
        return None
    with os.fdopen(int(saying), "wb", buffering=0) as pipe:
        try:
            pipe.write(b"1")
        except BrokenPipeError:
            return 0
    return supervisor
