"""What should be served, by the ledger and the registry; and where it lies."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import msgspec

from lifecycle.decisions import Epoch
from lifecycle.errors import AliasNotSetError
from lifecycle.ports import Alias, RegisteredVersion
from mlflow_plugins.connection import connect
from mlflow_plugins.deployment.options import Following, StoredModel
from mlflow_plugins.errors import NotServableError
from mlflow_plugins.ledger import SqlLedger
from mlflow_plugins.registry import MlflowRegistry


class Targets:
    """The ledger for champions, the registry's alias for challengers. Both are opened at the first question.

    Raises:
        UnreachableError: one of them does not answer, from every method.
    """

    def __init__(self, following: Following) -> None:
        self._following = following

    def open(self) -> None:
        """Open both, so that the first promotion does not have to; a registry on SQLite takes its second for that."""
        self._ledger, self._registry  # noqa: B018  # each opens what it names

    def head(self, model: str) -> Epoch:
        """The newest epoch. Raises NoChampionError."""
        return self._ledger.head(model)

    def challenger(self, model: str) -> RegisteredVersion | None:
        """The version behind the alias `challenger`, or none.

        Raises:
            NotServableError: Incumbent did not register it, and the operator did not allow such versions.
        """
        try:
            number = self._registry.pointed(model, Alias.CHALLENGER)
        except AliasNotSetError:
            return None
        found = self._registry.version(model, number)
        if not found.digest and not self._following.foreign:
            raise NotServableError(model, number)
        return found

    def champion_stored(self, like: StoredModel, epoch: Epoch) -> StoredModel:
        """The version of an epoch, under the rules of the one that is served."""
        return self._stored(like, epoch.version, epoch.digest, epoch.epoch)

    def challenger_stored(self, like: StoredModel, challenger: RegisteredVersion) -> StoredModel:
        """A challenger, under the rules of the champion."""
        return self._stored(like, challenger.version, challenger.digest, 0)

    def _stored(self, like: StoredModel, version: int, digest: str, epoch: int) -> StoredModel:
        return msgspec.structs.replace(
            like,
            version=version,
            digest=digest or None,
            epoch=epoch,
            folder=str(self._registry.artifact(like.model, version)),
            contents=self._registry.contents(like.model, version) if digest else None,
        )

    @cached_property
    def _ledger(self) -> SqlLedger:
        return SqlLedger(self._following.ledger_url)

    @cached_property
    def _registry(self) -> MlflowRegistry:
        told = self._following
        connection = connect(told.tracking_uri, artifacts=Path(told.artifacts) if told.artifacts else None)
        return MlflowRegistry(connection, Path(told.downloads))
