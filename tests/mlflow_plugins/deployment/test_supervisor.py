"""The workers of a server: which end may end all, and who takes the place of whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from mlflow_plugins.deployment.starting import listen

WORKER = """
import os, pathlib, sys, time
slot, folder = os.environ["INCUMBENT_SERVER_SLOT"], pathlib.Path(os.environ["INCUMBENT_SERVER_OPTIONS"])
number = len(list(folder.glob(f"{slot}-*")))
(folder / f"{slot}-{number}-{os.getpid()}").touch()
if f"{slot}-{number}" in sys.argv[1:]:
    sys.exit(3)
time.sleep(600)
"""
SUPERVISOR = """
import sys
from mlflow_plugins.deployment.supervisor import Supervisor
command = [sys.executable, "-c", sys.argv[3], *sys.argv[4:]]
sys.exit(Supervisor(sys.argv[1], int(sys.argv[2]), 2, command).run())
"""


def supervised(folder, *failing):
    """A supervisor of two workers that only note that they were started; some fail at once."""
    with listen("127.0.0.1", 0) as bound:
        told = [str(folder), str(bound.fileno()), WORKER, *failing]
        return subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *told], pass_fds=[bound.fileno()], stderr=subprocess.PIPE
        )


def pid_of(folder, name):
    """The process that noted its start under this name, once it has."""
    waiting = threading.Event()
    while not (found := list(folder.glob(f"{name}-*"))):
        waiting.wait(0.02)
    return int(found[0].name.rpartition("-")[2])


def test_a_replacement_that_cannot_start_is_tried_again_while_the_others_answer(tmp_path):
    supervisor = supervised(tmp_path, "0-1", "0-2")
    first, other = pid_of(tmp_path, "0-0"), pid_of(tmp_path, "1-0")

    os.kill(first, signal.SIGKILL)
    third = pid_of(tmp_path, "0-3")

    for alive in (supervisor.pid, other, third):
        os.kill(alive, 0)
    supervisor.terminate()
    _, told = supervisor.communicate()
    assert supervisor.returncode == 0
    assert told.decode().splitlines() == [
        "incumbent: worker 0 ended with -9 and is started again in 0 s",
        "incumbent: worker 0 ended with 3 and is started again in 1 s",
        "incumbent: worker 0 ended with 3 and is started again in 2 s",
    ]
    assert len(list(tmp_path.glob("1-*"))) == 1


def test_a_server_that_waits_to_try_again_ends_when_it_is_told_to(tmp_path):
    supervisor = supervised(tmp_path, "0-1", "1-1")
    for name in ("0-0", "1-0"):
        os.kill(pid_of(tmp_path, name), signal.SIGKILL)
    for name in ("0-1", "1-1"):
        pid_of(tmp_path, name)

    supervisor.terminate()

    supervisor.communicate()
    assert supervisor.returncode == 0


def test_a_first_worker_that_cannot_start_ends_all_with_its_code(tmp_path):
    supervisor = supervised(tmp_path, "1-0")
    pid_of(tmp_path, "0-0")

    supervisor.communicate()

    assert supervisor.returncode == 3
    assert len(list(tmp_path.glob("*"))) == 2
