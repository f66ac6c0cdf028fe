"""The workers of a server: which end may end all, and who takes the place of whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from mlflow_plugins.deployment.starting import listen

# What a worker does is told by its place, its number there, and how it ends: "0-1=3" leaves with 3, "0-1=-9" is killed.
WORKER = """
import os, pathlib, signal, sys, time
slot, folder = os.environ["INCUMBENT_SERVER_SLOT"], pathlib.Path(os.environ["INCUMBENT_SERVER_OPTIONS"])
name = f"{slot}-{len(list(folder.glob(f'{slot}-*')))}"
end = int(dict(told.split("=") for told in sys.argv[1:]).get(name, 0))
if not end:
    os.write(int(os.environ["INCUMBENT_SERVER_READY"]), b"1")
(folder / f"{name}-{os.getpid()}").touch()
if end < 0:
    os.kill(os.getpid(), -end)
if end > 0:
    sys.exit(end)
time.sleep(600)
"""
SUPERVISOR = """
import os, signal, subprocess, sys
from mlflow_plugins.deployment.supervisor import Supervisor

class Popen(subprocess.Popen):
    started = 0

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        Popen.started += 1
        if Popen.started == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen = Popen
command = [sys.executable, "-c", sys.argv[3], *sys.argv[5:]]
sys.exit(Supervisor(sys.argv[1], int(sys.argv[2]), 2, command).run())
"""


def supervised(folder, *ends, told_with=0):
    """A supervisor of two workers that only note that they were started; some end at once.

    With the worker of the number `told_with` SIGTERM comes, when it is there and the supervisor does not know it yet.
    """
    with listen("127.0.0.1", 0) as bound:
        told = [str(folder), str(bound.fileno()), WORKER, str(told_with), *ends]
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
    supervisor = supervised(tmp_path, "0-1=3", "0-2=3")
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


def test_a_worker_that_is_killed_again_and_again_while_it_loads_is_waited_for_ever_longer(tmp_path):
    supervisor = supervised(tmp_path, "0-0=-9", "0-1=-9")
    other, third = pid_of(tmp_path, "1-0"), pid_of(tmp_path, "0-2")

    os.kill(third, signal.SIGKILL)
    fourth = pid_of(tmp_path, "0-3")

    for alive in (supervisor.pid, other, fourth):
        os.kill(alive, 0)
    supervisor.terminate()
    _, told = supervisor.communicate()
    assert supervisor.returncode == 0
    assert told.decode().splitlines() == [
        "incumbent: worker 0 ended with -9 and is started again in 1 s",
        "incumbent: worker 0 ended with -9 and is started again in 2 s",
        "incumbent: worker 0 ended with -9 and is started again in 0 s",
    ]


@pytest.mark.parametrize(("told_with", "started"), [(1, 1), (2, 2), (3, 3)])
def test_a_signal_that_comes_while_a_worker_is_started_leaves_neither_it_nor_the_supervisor(
    tmp_path, told_with, started
):
    supervisor = supervised(tmp_path, told_with=told_with)
    if told_with > 2:
        os.kill(pid_of(tmp_path, "0-0"), signal.SIGKILL)

    supervisor.communicate(timeout=20)  # which ends when nobody holds the other end of its standard error any more

    assert supervisor.returncode == 0
    assert len(list(tmp_path.glob("*"))) <= started


def test_a_server_whose_messages_nobody_reads_any_more_goes_on(tmp_path):
    supervisor = supervised(tmp_path)
    supervisor.stderr.close()

    os.kill(pid_of(tmp_path, "0-0"), signal.SIGKILL)
    second, other = pid_of(tmp_path, "0-1"), pid_of(tmp_path, "1-0")

    for alive in (supervisor.pid, second, other):
        os.kill(alive, 0)
    supervisor.terminate()
    assert supervisor.wait() == 0


def test_a_server_that_waits_to_try_again_ends_when_it_is_told_to(tmp_path):
    supervisor = supervised(tmp_path, "0-1=3", "1-1=3")
    for name in ("0-0", "1-0"):
        os.kill(pid_of(tmp_path, name), signal.SIGKILL)
    for name in ("0-1", "1-1"):
        pid_of(tmp_path, name)

    supervisor.terminate()

    supervisor.communicate()
    assert supervisor.returncode == 0


def test_a_first_worker_that_cannot_start_ends_all_with_its_code(tmp_path):
    supervisor = supervised(tmp_path, "1-0=3")
    pid_of(tmp_path, "0-0")

    supervisor.communicate()

    assert supervisor.returncode == 3
    assert len(list(tmp_path.glob("*"))) == 2
