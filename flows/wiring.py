"""The composition root: the only place where ports meet adapters.

`with running(loop):` makes a loop the current one for direct calls, submitted tasks and subflows. A deployment, or a
process of a worker, has none yet and builds one from the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from feature_store.definitions.source import Source
from feature_store.storage.lake import Lake
from flows.events import ask_for_training, emit_alert
from flows.model import Model, load_model
from flows.servers import addressed
from flows.settings import Settings, read_settings
from flows.sharing import Fits
from lifecycle.alerts import Alert
from lifecycle.decisions import Epoch
from lifecycle.errors import NoChampionError
from lifecycle.policies import Policy
from lifecycle.ports import Journal, Ledger
from mlflow_plugins.connection import connect
from mlflow_plugins.ledger import SqlLedger
from mlflow_plugins.loader import LoadedModel, load
from mlflow_plugins.models import INSTRUMENTS, REFERENCE
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.tracking import MlflowTracker
from monitoring.instruments import Instruments
from monitoring.reference import Reference

IMPORTANCE = "importance"
"""Where a manifest tells how much the metric suffers when each column is shuffled; older versions do not."""

_current: ContextVar[Loop | None] = ContextVar("incumbent_loop", default=None)


@dataclass(frozen=True, slots=True)
class Reign:
    """A version that is or was champion, loaded and verified.

    Attributes:
        instruments: what was fitted on its reference window; none where it was registered before there were any.
    """

    epoch: Epoch
    loaded: LoadedModel
    reference: Reference
    instruments: Instruments | None = None


@dataclass(slots=True)
class Loop:
    """Everything a step of the loop needs from outside.

    Attributes:
        read: how a source's rows are read; replay reads each source once.
        start_training: how a `Retrain` is carried out: here and now, or by an event that starts the deployment.
        policy: replaces the model's own policy, in replay.
        tell_owner: how an alert is sent, with the pages it links to; none in a replay, a backfill and by hand.
        fits: what other policies of the same replay have fitted; none outside of one.
    """

    settings: Settings
    lake: Lake
    ledger: Ledger
    journal: Journal
    registry: MlflowRegistry
    tracker: MlflowTracker
    start_training: Callable[[Model, datetime], None]
    read: Callable[[Source], pl.DataFrame]
    tell_owner: Callable[[Alert, Mapping[str, str]], None] | None = None
    policy: Policy | None = None
    models: dict[str, Model] = field(default_factory=dict)
    loaded: dict[tuple[str, int], tuple[LoadedModel, Reference, Instruments | None]] = field(default_factory=dict)
    fits: Fits | None = None

    def model(self, reference: str) -> Model:
        """The model of a reference, loaded once."""
        if reference not in self.models:
            self.models[reference] = load_model(reference)
        return self.models[reference]

    def policy_of(self, model: Model) -> Policy:
        """The policy in force."""
        return self.policy or model.policy

    def champion(self, model: Model) -> Reign | None:
        """The champion by the ledger, or none while there is no epoch; any other trouble is raised."""
        try:
            head = self.ledger.head(model.name)
        except NoChampionError:
            return None
        return self.reign(head)

    def previous(self, model: Model) -> Reign | None:
        """The champion before the present one, or none."""
        epochs = self.ledger.epochs(model.name)
        earlier = [epoch for epoch in epochs if epoch.version != epochs[-1].version]
        return self.reign(earlier[-1]) if earlier else None

    def reign(self, epoch: Epoch) -> Reign:
        """An epoch's version, loaded and verified once.

        Raises:
            IntegrityError: the artifact is not what was registered.
        """
        key = (epoch.model, epoch.version)
        if key not in self.loaded:
            folder = self.registry.artifact(epoch.model, epoch.version)
            trusted = self.settings.loading.trusted_types
            listed = self.registry.contents(epoch.model, epoch.version)
            model = load(folder, expected_digest=epoch.digest, expected_contents=listed, extra_types=trusted)
            fitted = folder / INSTRUMENTS
            instruments = Instruments.read(fitted) if fitted.exists() else None
            self.loaded[key] = (model, Reference.read(folder / REFERENCE), instruments)
        return Reign(epoch, *self.loaded[key])


def build(settings: Settings, *, start_training: Callable[[Model, datetime], None]) -> Loop:
    """Build a loop on the services that the settings name."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "mlflow").mkdir(exist_ok=True)
    ledger = SqlLedger(settings.ledger_url)
    options = {name: secret.get_secret_value() for name, secret in settings.lake.options.items()}
    remote = settings.tracking_uri.startswith("http")
    artifacts = None if remote else settings.folder / "mlflow" / "artifacts"
    connection = connect(settings.tracking_uri, artifacts=artifacts, ui_url=settings.mlflow_url)
    return Loop(
        settings=settings,
        lake=Lake(settings.lake_root, storage_options=options or None),
        ledger=ledger,
        journal=ledger,
        registry=MlflowRegistry(connection, settings.folder / "mlflow" / "downloads"),
        tracker=MlflowTracker(connection),
        start_training=start_training,
        read=read_source,
    )


def read_source(source: Source) -> pl.DataFrame:
    """Read a source afresh, as Polars."""
    frame = source.read()
    return frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)


@contextmanager
def running(loop: Loop) -> Iterator[Loop]:
    """Make a loop the current one."""
    token = _current.set(loop)
    try:
        yield loop
    finally:
        _current.reset(token)


def current_loop() -> Loop:
    """The current loop; in a worker's process it is built from the settings at the first use."""
    loop = _current.get()
    if loop is None:
        loop = build(addressed(read_settings()), start_training=ask_for_training)
        loop.tell_owner = emit_alert
        _current.set(loop)
    return loop
