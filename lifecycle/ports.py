"""The seams of the loop, in the loop's words. Adapters do not inherit from these; mypy checks the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from lifecycle.decisions import Decision, Epoch


class Alias(StrEnum):
    """The aliases the loop moves. `champion` follows the ledger, never the other way round."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    PREVIOUS = "previous"


class Ledger(Protocol):
    """Append-only record of decisions and epochs. Inserting epoch + 1 is the compare-and-set and the fence."""

    def record(self, decision: Decision) -> Decision:
        """Append a decision; one with the same id is returned as it was first recorded."""

    def decisions(self, model: str) -> Sequence[Decision]:
        """Every decision on a model, oldest first."""

    def find(self, decision_id: str) -> Decision:
        """One decision by its id or the beginning of it. Raises DecisionNotFoundError."""

    def head(self, model: str) -> Epoch:
        """The newest epoch. Raises NoChampionError when there is none."""

    def epochs(self, model: str) -> Sequence[Epoch]:
        """Every epoch of a model, oldest first."""

    def advance(self, epoch: Epoch) -> Epoch:
        """Insert an epoch after its predecessor; the same decision gets the epoch it already made.

        Raises EpochTakenError when another promotion came first.
        """


class Journal(Protocol):
    """Which steps of the loop are finished, so that a run that was killed goes on where it was."""

    def finished(self, step: str) -> str | None:
        """The result that was noted for a step, or none when it is not finished."""

    def finish(self, step: str, result: str) -> str:
        """Note a step as finished; a step that is already finished keeps its first result."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One registered model version as the registry knows it.

    Attributes:
        key: identity of the training that made it; training again with the same key makes no second version.
    """

    model: str
    version: int
    key: str
    digest: str
    run_id: str
    tags: Mapping[str, str]


class Registry(Protocol):
    """Registered model versions and their aliases."""

    def register(self, model: str, *, source: str, run_id: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """Make a version of a logged model. Tags carry `incumbent.key` and `incumbent.digest`."""

    def by_key(self, model: str, key: str) -> RegisteredVersion | None:
        """The version that an earlier try at the same training registered, or none."""

    def version(self, model: str, version: int) -> RegisteredVersion:
        """One version. Raises VersionNotFoundError."""

    def pointed(self, model: str, alias: Alias) -> int:
        """The version an alias points at. Raises AliasNotSetError; an unreachable registry never reads as that."""

    def point(self, model: str, alias: Alias, *, at: int, tags: Mapping[str, str]) -> None:
        """Move an alias, tag the version, and read both back. Raises IntegrityError when they differ."""

    def artifact(self, model: str, version: int) -> Path:
        """Folder with the version's artifact on this machine."""


class TrackedRun(Protocol):
    """A run that is being logged."""

    @property
    def run_id(self) -> str: ...

    def params(self, values: Mapping[str, object]) -> None: ...

    def metrics(self, values: Mapping[str, float], *, step: int = 0, at: datetime | None = None) -> None: ...

    def tags(self, values: Mapping[str, str]) -> None: ...

    def text(self, content: str, path: str) -> None: ...

    def figure(self, figure: Any, path: str) -> None: ...

    def file(self, local: Path, folder: str = "") -> None: ...


class Tracker(Protocol):
    """Runs, by experiment and name."""

    def run(self, experiment: str, name: str) -> AbstractContextManager[TrackedRun]:
        """Open a new run; it ends FINISHED, or FAILED when the block raises."""

    def series(self, experiment: str, name: str) -> AbstractContextManager[TrackedRun]:
        """Open the one run of this name, made at its first use: a time series over windows."""

    def end_stale(self, experiment: str) -> int:
        """Mark runs that a killed process left RUNNING as KILLED; how many there were."""

    def run_url(self, run_id: str) -> str:
        """Page of a run in the MLflow UI."""
