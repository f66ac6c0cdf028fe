"""Requests that wait for the one predicting thread: batched, split again, and dropped when nobody waits."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mlflow_plugins.deployment.lane import Lane
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import ClientGoneError


async def nobody(scope, receive, send):
    raise AssertionError("MLflow is not asked here")


def served_by(predict, tier=Tier.MICROBATCH):
    return Served("m", 1, 0, "", tier, (), None, predict, nobody, ())


async def staying():
    await asyncio.Event().wait()


async def gone():
    return {"type": "http.disconnect"}


class Gate:
    """A model that answers each row with ten times its id, the first time only when it is let."""

    def __init__(self):
        self.open = threading.Event()
        self.sizes = []

    def predict(self, values):
        assert self.open.wait(30)
        self.sizes.append(len(values[0]))
        if -1 in values[0]:
            raise ValueError("a row that cannot be answered")
        return np.array(values[0], dtype=float) * 10


async def asked(lane, served, requests, gate, receive=staying):
    """Ask all at once; the first is being predicted while the others queue up."""
    tasks = [asyncio.create_task(lane.predict(served, [ids], receive)) for ids in requests]
    await asyncio.sleep(0)
    gate.open.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_queued_up_is_answered_by_one_call_and_each_gets_its_own_rows():
    gate, lane = Gate(), Lane(ThreadPoolExecutor(1))
    requests = [[1000 * at + row for row in range(1 + at % 4)] for at in range(40)]

    answers = asyncio.run(asked(lane, served_by(gate.predict), requests, gate))

    assert [answer.tolist() for answer in answers] == [[10.0 * row for row in ids] for ids in requests]
    assert gate.sizes == [1, sum(map(len, requests[1:]))]
    assert lane.batches == 2


def test_without_the_verdict_each_request_is_a_call():
    gate, lane = Gate(), Lane(ThreadPoolExecutor(1))

    asyncio.run(asked(lane, served_by(gate.predict, Tier.TYPED), [[1], [2], [3]], gate))

    assert gate.sizes == [1, 1, 1]


def test_a_row_that_fails_fails_its_own_request_only():
    gate, lane = Gate(), Lane(ThreadPoolExecutor(1))

    first, good, bad, other = asyncio.run(asked(lane, served_by(gate.predict), [[1], [2], [-1], [3]], gate))

    assert (first.tolist(), good.tolist(), other.tolist()) == ([10.0], [20.0], [30.0])
    assert isinstance(bad, ValueError)


def test_versions_are_not_mixed_in_a_batch():
    gate, lane = Gate(), Lane(ThreadPoolExecutor(1))
    one = served_by(gate.predict)
    two = replace(one, version=2, predict=lambda values: np.array(values[0], dtype=float) * -1)

    async def both():
        tasks = [asyncio.create_task(lane.predict((one, two)[at % 2], [[at]], staying)) for at in range(8)]
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(both())

    assert [answer.tolist() for answer in answers] == [[-at if at % 2 else at * 10.0] for at in range(8)]


def test_the_work_of_clients_that_went_is_dropped():
    gate, lane = Gate(), Lane(ThreadPoolExecutor(1))

    async def some_go():
        served = served_by(gate.predict, Tier.TYPED)
        stays = [asyncio.create_task(lane.predict(served, [[at]], staying)) for at in range(2)]
        goes = asyncio.create_task(lane.predict(served, [[7]], gone))
        await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(ClientGoneError):
            await goes
        return [(await task).tolist() for task in stays]

    assert asyncio.run(some_go()) == [[0.0], [10.0]]
    assert gate.sizes == [1, 1]
    assert lane.dropped == 1


def test_a_request_that_is_no_longer_awaited_is_not_computed():
    gate, lane = Gate(), Lane(ThreadPoolExecutor(1))

    async def one_is_cancelled():
        served = served_by(gate.predict, Tier.TYPED)
        first, second = (asyncio.create_task(lane.predict(served, [[at]], staying)) for at in (1, 2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        return (await first).tolist()

    assert asyncio.run(one_is_cancelled()) == [10.0]
    assert gate.sizes == [1]
