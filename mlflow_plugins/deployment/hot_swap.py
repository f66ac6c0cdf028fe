"""Hot swap: a worker follows the ledger, and exchanges its champion between two requests.

A new epoch's version is loaded, verified and warmed up in a thread. When it is ready the ledger is looked at once more,
and only what it says then is published, by one assignment of the routes. Whatever fails, what is served goes on, and
`/ready`, `/models` and the metrics say why. The champion before stays loaded, so that a rollback needs no load.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NamedTuple

from lifecycle.errors import UnreachableError
from mlflow_plugins.answers import without_secret
from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.aside import aside
from mlflow_plugins.deployment.follower import Follower
from mlflow_plugins.deployment.lineup import Lineup, routes_of
from mlflow_plugins.deployment.loads import load_aside
from mlflow_plugins.deployment.metrics import Gauge
from mlflow_plugins.deployment.options import ServerOptions, StoredModel
from mlflow_plugins.deployment.shadow import Shadow
from mlflow_plugins.deployment.targets import Targets
from mlflow_plugins.errors import OlderEpochError, SignatureChangedError

_log = logging.getLogger(__name__)
_REGISTRY_PAUSE = 3  # looks at the ledger for one at the registry, which costs ten times as much


class Duty(NamedTuple):
    """Something to look at again and again.

    Attributes:
        what: as a problem with it is told.
        pause: the longest time between two looks, in seconds.
        awaited: whether no request is let in before the first look.
    """

    what: str
    model: str
    look: Callable[[], Awaitable[None]]
    pause: float
    awaited: bool = True


class HotSwap:
    """The versions that one worker serves."""

    def __init__(self, application: Application, options: ServerOptions) -> None:
        self._application = application
        self._options = options
        self._lines: list[Follower | Lineup] = []  # a lineup that nobody follows is of a version asked for by number
        self._shadow = Shadow(application, options) if options.following and options.rollout.shadow else None
        self._begun = False
        application.gauges.append(self._gauges)

    async def begin(self, loaded: Callable[[], object] = lambda: None) -> None:
        """Load what the options name, go on to what the ledger says by now, and let requests in.

        Args:
            loaded: called when all is there, and just before requests are let in.

        Raises:
            Exception: a version that was named could not be loaded.
        """
        following = self._options.following
        targets = Targets(following) if following is not None else None
        for stored in self._options.models:
            if following is not None and targets is not None and stored.follows:
                follower = Follower(stored, following, targets, self._publish)
                self._lines.append(follower)
                await follower.begin()
            else:
                self._lines.append(Lineup(stored, await load_aside(partial(_itself, stored))))
        if targets is not None:
            with contextlib.suppress(Exception):  # whoever asks next tells what it was
                await aside(targets.open)
        for duty in self._duties():
            if duty.awaited:
                await self._tried(duty)
        loaded()
        self._begun = True
        self._publish()

    async def follow(self) -> None:
        """Look again and again; ends only where nothing is to be followed."""
        duties = [self._keep(duty) for duty in self._duties()]
        await asyncio.gather(*duties, *([self._shadow.run()] if self._shadow is not None else []))

    def _publish(self) -> None:
        """Serve what the lineups say from the next request on."""
        if not self._begun:
            return
        lineups = [each.lineup if isinstance(each, Follower) else each for each in self._lines]
        self._application.routes = routes_of(lineups, self._options.rollout)

    def _duties(self) -> Iterator[Duty]:
        following = self._options.following
        if following is None:
            return
        for follower in self._followers():
            model = follower.stored.model
            yield Duty(f"champion of {model}", model, follower.champion, following.poll)
            pause = following.poll * _REGISTRY_PAUSE
            if self._options.rollout.canary:
                yield Duty(f"challenger of {model}", model, follower.challenger, pause)
            elif follower.stored.trials is not None:
                yield Duty(f"challenger of {model}", model, follower.prepare, pause, awaited=False)
            if self._shadow is not None:
                yield Duty(f"shadow of {model}", model, partial(_cast, self._shadow, follower), pause)

    def _followers(self) -> list[Follower]:
        return [each for each in self._lines if isinstance(each, Follower)]

    async def _keep(self, duty: Duty) -> None:
        while True:
            # Drawn anew each time, so that the workers do not load in step.
            await asyncio.sleep(duty.pause * random.uniform(0.5, 1.0))
            before = self._application.routes
            await self._tried(duty)
            if self._application.routes is not before:
                del before
                await aside(gc.collect)  # what is not served any more hangs in cycles of MLflow's app

    async def _tried(self, duty: Duty) -> None:
        problems, swaps, routes = self._application.problems, self._application.counts.swaps, self._application.routes
        try:
            await duty.look()
        except Exception as error:  # noqa: BLE001  # whatever it was, what is served goes on
            told = f"The {duty.what} stays as it is. {without_secret(str(error))}"
            if problems.get(duty.what) != told:
                problems[duty.what] = told
                _log.warning("%s", told)
                swaps.update(_outcome(duty.model, error))
        else:
            problems.pop(duty.what, None)
            if self._application.routes is not routes:
                swaps[(duty.model, "published")] += 1

    def _gauges(self) -> list[Gauge]:
        now = asyncio.get_running_loop().time()
        heads = [((each.stored.model,), float(each.head.epoch)) for each in self._followers() if each.head]
        ages = [((each.stored.model,), now - each.looked_at) for each in self._followers() if each.looked_at]
        return [
            Gauge("incumbent_problems", "Things that /ready tells of", (), [((), len(self._application.problems))]),
            Gauge("incumbent_ledger_epoch", "The newest epoch that the ledger told of", ("model",), heads),
            Gauge("incumbent_ledger_seconds", "Since the ledger last answered", ("model",), ages),
        ]


async def _cast(shadow: Shadow, follower: Follower) -> None:
    """Let the version behind the alias score what the champion answers."""
    model, found = follower.stored.model, await follower.challenging()
    if found is None:
        shadow.challenge(model, None)
    elif found.version != shadow.challenger(model):
        shadow.challenge(model, await follower.located(found))


def _itself(stored: StoredModel) -> StoredModel:
    return stored


def _outcome(model: str, error: Exception) -> list[tuple[str, str]]:
    """How a swap is counted that did not come about; an unreachable ledger is none."""
    if isinstance(error, UnreachableError):
        return []
    refused = isinstance(error, (OlderEpochError, SignatureChangedError))
    return [(model, "refused" if refused else "failed")]
