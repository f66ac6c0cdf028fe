"""The port of a server: nobody else's, and dealt evenly among its workers."""

from __future__ import annotations

import os
import select
import socket

import pytest

from mlflow_plugins.deployment.starting import READY, beside, listen, say_ready


def test_connections_are_dealt_among_the_workers_and_the_port_stays_ours():
    with listen("127.0.0.1", 0) as bound:
        workers = [beside(bound), beside(bound)]
        for worker in workers:
            worker.listen(64)
        port = bound.getsockname()[1]
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        counts = [_waiting(worker) for worker in workers]

        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", port)
        workers[0].close()
        later = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        left = _waiting(workers[1])

    assert sum(counts) == 40
    assert min(counts) > 5
    assert left == 10
    for each in (*clients, *later, workers[1]):
        each.close()


def test_a_worker_tells_its_supervisor_that_it_answers_and_learns_whether_there_is_one(monkeypatch):
    alone = say_ready()
    read, write = os.pipe()
    monkeypatch.setenv(READY, str(write))

    supervisor = say_ready()
    told = os.read(read, 9), os.read(read, 9)  # and nothing more can come
    os.close(read)
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setenv(READY, str(write))
    gone = say_ready()

    assert (alone, supervisor, gone) == (None, os.getppid(), 0)
    assert told == (b"1", b"")
    assert READY not in os.environ


def _waiting(worker):
    found = 0
    while select.select([worker], [], [], 0.2)[0]:
        worker.accept()[0].close()
        found += 1
    return found
