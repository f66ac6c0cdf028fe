"""Shadow scoring, as the worker sees it: what was answered goes into a bounded queue, from which a process takes it.

The champion's way of a request pays for one put. The process is started again when it dies, and not more often than
once in a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from asyncio.subprocess import PIPE, Process

import msgspec

from lifecycle.experiments import Variant
from mlflow_plugins.deployment.application import Answered, Application
from mlflow_plugins.deployment.metrics import Gauge
from mlflow_plugins.deployment.options import Access, Rollout, ServerOptions, StoredModel
from mlflow_plugins.deployment.shadow_messages import (
    LENGTH,
    Load,
    Message,
    Question,
    Questions,
    Told,
    Unload,
    frame_of,
    read_told,
)
from mlflow_plugins.deployment.shadow_queue import ShadowQueue
from mlflow_plugins.deployment.starting import OPTIONS

PROCESS = [sys.executable, "-m", "mlflow_plugins.deployment.shadow_process"]
AT_ONCE = 16
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class Shadow:
    """The shadow of one worker."""

    def __init__(self, application: Application, options: ServerOptions) -> None:
        self._application = application
        # The process needs no token and no ledger, so it gets none.
        self._options = msgspec.structs.replace(
            options, models=(), following=None, metrics_folder=None, access=Access(redact=options.access.redact)
        )
        self._rollout: Rollout = options.rollout
        self._queue = ShadowQueue(options.rollout.shadow_queue)
        self._wanted: dict[str, StoredModel] = {}
        self._loaded: dict[str, int] = {}
        self._news = asyncio.Event()
        application.after_answer = self._offer
        application.gauges.append(self._gauges)

    def challenge(self, model: str, stored: StoredModel | None) -> None:
        """Score this model's requests by this version from now on, or no more."""
        if stored is None:
            self._wanted.pop(model, None)
        else:
            self._wanted[model] = stored
        self._news.set()

    def challenger(self, model: str) -> int | None:
        """The version that was asked for last."""
        found = self._wanted.get(model)
        return found.version if found is not None else None

    async def run(self) -> None:
        """Keep the process, for ever."""
        pause = _PAUSE
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                await self._one_process()
            except (OSError, asyncio.IncompleteReadError) as error:
                self._application.problems["shadow"] = f"The shadow's process has ended and is started again: {error}"
            self._loaded.clear()
            lived = asyncio.get_running_loop().time() - begun
            pause = _PAUSE if lived > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _offer(self, answered: Answered) -> None:
        served = answered.served
        if served.variant != Variant.CHAMPION or served.model not in self._wanted:
            return
        if self._rollout.shadow < 1 and random.random() >= self._rollout.shadow:
            return
        headers = [pair for pair in answered.scope["headers"] if pair[0] != b"authorization"]
        dropped = self._queue.put(Question(served.model, headers, answered.request))
        if dropped:
            self._count(served.model, "dropped", dropped)
        self._news.set()

    async def _one_process(self) -> None:
        told = {**os.environ, OPTIONS: self._options.to_json()}
        process = await asyncio.create_subprocess_exec(*PROCESS, stdin=PIPE, stdout=PIPE, env=told)
        self._news.set()
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await self._load(process)
                while questions := self._queue.take(AT_ONCE):
                    await self._score(process, questions)
                    await self._load(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _load(self, process: Process) -> None:
        """Tell the process of versions that came and went."""
        for model in [model for model in self._loaded if model not in self._wanted]:
            await _ask(process, Unload(model))
            del self._loaded[model]
        for model, stored in list(self._wanted.items()):
            if self._loaded.get(model) != stored.version:
                told = await _ask(process, Load(stored))
                self._loaded[model] = stored.version
                problems = self._application.problems
                problems.pop("shadow", None)
                problems.pop(f"version in the shadow of {model}", None)
                if told.problem is not None:
                    problems[f"version in the shadow of {model}"] = (
                        f"Nothing scores in the shadow of {model}. {told.problem}"
                    )

    async def _score(self, process: Process, questions: list[Question]) -> None:
        for model in {question.model for question in questions}:
            ours = [question for question in questions if question.model == model]
            try:
                told = await _ask(process, Questions(ours))
            except (OSError, asyncio.IncompleteReadError):
                self._count(model, "dropped", len(ours))
                raise
            self._count(model, "scored", told.scored)
            self._count(model, "failed", told.failed)

    def _count(self, model: str, outcome: str, more: int) -> None:
        version = self.challenger(model)
        if more and version is not None:
            self._application.counts.shadow[(model, str(version), outcome)] += more

    def _gauges(self) -> list[Gauge]:
        versions = [((model, str(version)), 1.0) for model, version in self._loaded.items()]
        waiting = [((), float(len(self._queue)))]
        return [
            Gauge("incumbent_shadow_model", "Challengers that score answered requests", ("model", "version"), versions),
            Gauge("incumbent_shadow_waiting", "Requests that wait for the shadow", (), waiting),
        ]


async def _ask(process: Process, message: Message) -> Told:
    assert process.stdin is not None  # both are pipes
    assert process.stdout is not None
    process.stdin.write(frame_of(message))
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    return read_told(await process.stdout.readexactly(length))
