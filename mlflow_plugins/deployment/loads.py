"""Loading a version beside the event loop: one at a time, given up where it is not wanted any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any

from mlflow_plugins.deployment.aside import aside, brisk
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import StoredModel
from mlflow_plugins.deployment.served import Served

REST_LONGEST = 60.0
_REST_FIRST = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A version that could not be loaded, and when it may be tried again: its files may be mended meanwhile."""

    target: Hashable
    error: Exception
    rest: float
    until: float


class Loading:
    """The version that is being loaded for one role of one model."""

    def __init__(self) -> None:
        self._target: Hashable = None
        self._task: asyncio.Task[Served] | None = None
        self._failure: Failure | None = None

    def take(self, target: Hashable) -> Served | None:
        """The version, once it is loaded; none while it is not.

        Raises:
            Exception: what kept it from being loaded.
        """
        if self._task is None or self._target != target or not self._task.done():
            return None
        task, self._task = self._task, None
        error = task.exception()
        if error is None:
            self._failure = None
            return task.result()
        if not isinstance(error, Exception):
            raise error
        raise self._failed(target, error)

    async def go_on(self, target: Hashable, load: Callable[[], Coroutine[Any, Any, Served]], seconds: float) -> None:
        """Load it, and wait for it so long; what was being loaded for another target is given up.

        Raises:
            Exception: what kept it from being loaded, until it is time to try again.
        """
        failure = self._failure
        if failure is not None and failure.target == target and asyncio.get_running_loop().time() < failure.until:
            raise _bare(failure.error)
        if self._task is None or self._target != target:
            self.give_up()
            self._target, self._task = target, asyncio.create_task(load())
        await asyncio.wait({self._task}, timeout=seconds)

    def give_up(self) -> None:
        """Nothing is wanted; a thread that still loads ends by itself, and nobody takes what it has."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    def _failed(self, target: Hashable, error: Exception) -> Exception:
        before = self._failure
        again = before is not None and before.target == target
        rest = min(2 * before.rest, REST_LONGEST) if before is not None and again else _REST_FIRST
        self._failure = Failure(target, _bare(error), rest, asyncio.get_running_loop().time() + rest)
        return error


def _bare(error: BaseException) -> Exception:
    """Without the frames that it went through: they hold what was loaded."""
    told: BaseException | None = error
    while told is not None:
        told.__traceback__ = None
        told = told.__cause__ or told.__context__
    assert isinstance(error, Exception)  # others are not kept
    return error


async def load_aside(locate: Callable[[], StoredModel]) -> Served:
    """Find a version and load it in a thread, while the event loop goes on."""

    def load() -> Served:
        with brisk():
            return load_served(locate())

    return await aside(load)
