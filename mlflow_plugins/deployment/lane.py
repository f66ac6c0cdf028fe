"""The one thread in which a worker's models predict, and the requests that wait for it.

Natural batching: a request that finds the thread idle starts at once; those that come meanwhile wait, and where the
model is row-independent they are answered by one call. Nobody waits for a batch to fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_plugins.deployment.asgi import Receive, has_gone
from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import ClientGoneError

MAX_ROWS = 4096


@dataclass(slots=True)
class _Job:
    served: Served
    values: Sequence[Values]
    receive: Receive
    answer: asyncio.Future[Any]

    @property
    def rows(self) -> int:
        return len(self.values[0])


class Lane:
    """Predictions one after the other, each for one request or for all that waited.

    Attributes:
        batches: calls of a model so far.
        dropped: requests whose client went before its turn came.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting: deque[_Job] = deque()
        self._busy = False
        self.batches = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def predict(self, served: Served, values: Sequence[Values], receive: Receive) -> Any:
        """Wait for the turn, and answer what the model answers.

        Raises:
            ClientGoneError: the client closed the connection meanwhile.
            Exception: whatever the model raised.
        """
        loop = asyncio.get_running_loop()
        job = _Job(served, values, receive, loop.create_future())
        self._waiting.append(job)
        if not self._busy:
            self._start(loop)
        return await job.answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs = self._take()
        self._busy = bool(jobs)
        if not jobs:
            return
        self.batches += 1
        run = loop.run_in_executor(self._executor, _answers, jobs)
        run.add_done_callback(lambda done: self._finished(loop, jobs, done))

    def _finished(self, loop: asyncio.AbstractEventLoop, jobs: list[_Job], done: asyncio.Future[list[Any]]) -> None:
        for job, answer in zip(jobs, done.result(), strict=True):
            if job.answer.done():
                continue
            if isinstance(answer, Exception):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)
        self._start(loop)

    def _take(self) -> list[_Job]:
        first = self._next()
        if first is None:
            return []
        jobs, rows = [first], first.rows
        if first.served.tier is not Tier.MICROBATCH:
            return jobs
        others: deque[_Job] = deque()
        while self._waiting and rows < MAX_ROWS:
            job = self._next()
            if job is None:
                break
            if job.served is first.served:
                jobs.append(job)
                rows += job.rows
            else:
                others.append(job)
        self._waiting.extendleft(reversed(others))
        return jobs

    def _next(self) -> _Job | None:
        """The next whose client is still there."""
        while self._waiting:
            job = self._waiting.popleft()
            if job.answer.done():
                continue
            if not has_gone(job.receive):
                return job
            self.dropped += 1
            job.answer.set_exception(ClientGoneError())
        return None


def _answers(jobs: Sequence[_Job]) -> list[Any]:
    """An answer or an error for each; runs in the thread."""
    if len(jobs) > 1:
        together = _try(jobs[0].served, [_joined(parts) for parts in zip(*(job.values for job in jobs), strict=True)])
        if isinstance(together, np.ndarray) and len(together) == sum(job.rows for job in jobs):
            ends = np.cumsum([job.rows for job in jobs])
            return np.split(together, ends[:-1])
    # One by one also where the rows of one request made the whole batch fail.
    return [_try(job.served, job.values) for job in jobs]


def _joined(parts: Sequence[Values]) -> list[Any]:
    return [value for part in parts for value in part]


def _try(served: Served, values: Sequence[Values]) -> Any:
    assert served.predict is not None  # only decoded requests come here
    try:
        return served.predict(values)
    except Exception as error:  # noqa: BLE001  # whatever the model raises is handed to the request that asked
        return error
