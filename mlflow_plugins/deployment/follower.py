"""One model of a worker, kept at what the ledger and the registry say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from lifecycle.decisions import Epoch
from lifecycle.errors import UnreachableError
from lifecycle.experiments import Variant
from lifecycle.ports import RegisteredVersion
from mlflow_plugins.deployment.aside import aside
from mlflow_plugins.deployment.compatibility import Contract
from mlflow_plugins.deployment.lineup import Lineup
from mlflow_plugins.deployment.loading import try_first
from mlflow_plugins.deployment.loads import Loading, load_aside
from mlflow_plugins.deployment.options import Following, StoredModel
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.targets import Targets
from mlflow_plugins.errors import OlderEpochError, SignatureChangedError

T = TypeVar("T")


class Follower:
    """Decides what one name of the server is answered by, and loads it.

    Attributes:
        stored: what the operator named.
        head: the newest epoch that the ledger told of.
        looked_at: when the ledger last answered, on the loop's clock.

    Args:
        changed: called after the lineup has changed.
    """

    def __init__(
        self, stored: StoredModel, following: Following, targets: Targets, changed: Callable[[], None]
    ) -> None:
        self.stored = stored
        self.head: Epoch | None = None
        self.looked_at: float | None = None
        self._following = following
        self._targets = targets
        self._changed = changed
        self._lineup: Lineup | None = None
        self._champion_loading, self._challenger_loading = Loading(), Loading()
        self._prepared: int | None = None
        self._pending: dict[str, asyncio.Future[Any]] = {}

    @property
    def lineup(self) -> Lineup:
        """What is served; there is something from the end of `begin` on."""
        assert self._lineup is not None  # nobody asks before
        return self._lineup

    async def begin(self) -> None:
        """Load the version that was named when the server was started; the ledger's where that one is gone.

        Raises:
            Exception: neither could be loaded.
        """
        stored = self.stored
        try:
            served = await load_aside(lambda: stored)
        except Exception:  # whatever it was: a champion promoted meanwhile is served instead, else it is raised again
            epoch = await aside(self._targets.head, stored.model)
            if epoch.version == stored.version:
                raise
            later = stored = await aside(self._targets.champion_stored, stored, epoch)
            served = await load_aside(lambda: later)
        self._contract = Contract.of(served)
        self._lineup = Lineup(self.stored, served.appointed(Variant.CHAMPION.value, stored.epoch))

    async def champion(self) -> None:
        """Serve the ledger's head, and nothing that it went past meanwhile.

        Raises:
            Exception: whatever keeps it from being served; what is served stays.
        """
        while True:
            epoch = await self._ask(self._targets.head)
            self.head, self.looked_at = epoch, asyncio.get_running_loop().time()
            reigning = self.lineup.champion
            if epoch.epoch < reigning.epoch:
                raise OlderEpochError(epoch.model, epoch.epoch, reigning.epoch)
            if epoch.epoch == reigning.epoch:
                self._champion_loading.give_up()
                return
            loaded = self.lineup.known(epoch.version, epoch.digest) or self._champion_loading.take(epoch)
            if loaded is not None:
                self._take_up(self.lineup.crowned(loaded, epoch.epoch))
                return
            locate = partial(self._targets.champion_stored, self.stored, epoch)
            await self._champion_loading.go_on(epoch, partial(self._load, locate), self._following.poll)

    async def challenger(self) -> None:
        """Let the version behind the registry's alias take its share, and end the share of one that it left.

        Raises:
            Exception: whatever keeps it from being served; what is served stays.
        """
        while True:
            found = await self.challenging()
            lineup = self.lineup
            if found is None:
                self._challenger_loading.give_up()
                if lineup.challenger is not None:
                    self._take_up(lineup.challenged(None))
                return
            if lineup.challenger is not None and lineup.challenger.version == found.version:
                return
            key = (found.version, found.digest)
            loaded = lineup.known(*key) or self._challenger_loading.take(key)
            if loaded is not None:
                self._take_up(lineup.challenged(loaded))
                return
            locate = partial(self._targets.challenger_stored, self.stored, found)
            await self._challenger_loading.go_on(key, partial(self._load, locate), self._following.poll)

    async def challenging(self) -> RegisteredVersion | None:
        """The version behind the registry's alias, unless it reigns; it is not loaded here.

        Raises:
            Exception: the registry does not answer, or the version is not one of ours.
        """
        found = await self._ask(self._targets.challenger)
        return None if found is None or found.version == self.lineup.champion.version else found

    async def located(self, challenger: RegisteredVersion) -> StoredModel:
        """Where a challenger lies.

        Raises:
            Exception: the registry does not answer, or its files are gone.
        """
        return await aside(self._targets.challenger_stored, self.stored, challenger)

    async def prepare(self) -> None:
        """Try the challenger in a clean process before anybody promotes it: that takes longer than to load it.

        Raises:
            Exception: the registry does not answer, or the version did not load there; it is not tried again.
        """
        found = await self.challenging()
        if found is not None and found.version != self._prepared:
            self._prepared = found.version
            await aside(try_first, await self.located(found))

    async def _load(self, locate: Callable[[], StoredModel]) -> Served:
        loaded = await load_aside(locate)
        problem = self._contract.broken_by(loaded)
        if problem is not None and not self._following.any_signature:
            raise SignatureChangedError(loaded.model, loaded.version, problem)
        return loaded

    def _take_up(self, lineup: Lineup) -> None:
        self._lineup = lineup
        self._changed()

    async def _ask(self, question: Callable[[str], T]) -> T:
        """Ask in a thread; where the answer does not come in time, the same question is waited for the next time."""
        pending = self._pending.pop(question.__name__, None)
        asked: asyncio.Future[T] = pending or asyncio.ensure_future(aside(question, self.stored.model))
        done, _ = await asyncio.wait({asked}, timeout=self._following.patience)
        if not done:
            self._pending[question.__name__] = asked
            raise UnreachableError(
                "Ledger or registry", "its address", f"nothing within {self._following.patience:g} s"
            )
        return asked.result()
