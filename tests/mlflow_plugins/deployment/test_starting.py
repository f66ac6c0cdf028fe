"""The port of a server: nobody else's, and dealt evenly among its workers."""

from __future__ import annotations

import select
import socket

import pytest

from mlflow_plugins.deployment.starting import beside, listen


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


def _waiting(worker):
    found = 0
    while select.select([worker], [], [], 0.2)[0]:
        worker.accept()[0].close()
        found += 1
    return found
