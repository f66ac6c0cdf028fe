"""How a server runs: limits, who may ask, and what it serves; handed to the workers as JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.request_log.options import LogOptions


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker takes on. Times are seconds.

    Attributes:
        queue: requests that were read and not answered yet; one more is answered 503 with `Retry-After`.
        connections: open connections.
        body: bytes of a body; more is answered 413.
        headers: bytes of a request's head.
        head_timeout: for the head of a request, from its first byte.
        body_timeout: for the whole request, from its first byte.
        keep_alive: how long a connection may stay open without a request.
        drain: how long requests are still taken after SIGTERM, while `/ready` says 503.
        retry_after: what `Retry-After` says.
    """

    queue: int = 256
    connections: int = 4096
    body: int = 32 * 1024 * 1024
    headers: int = 64 * 1024
    head_timeout: float = 10.0
    body_timeout: float = 60.0
    keep_alive: float = 65.0
    drain: float = 2.0
    retry_after: int = 1


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask, and what an error tells.

    Attributes:
        token: what `Authorization: Bearer` must hold; nothing lets everybody in.
        certificate, key: PEM files of the server's own certificate.
        client_authorities: PEM file of the authorities whose clients may connect; makes TLS mutual.
        redact: whether messages and tracebacks are withheld from answers.
    """

    token: str | None = None
    certificate: str | None = None
    key: str | None = None
    client_authorities: str | None = None
    redact: bool = False


class Gap(StrEnum):
    """What to do about features that the online store does not give."""

    NULL = "null"  # the model sees a gap
    REFUSE = "refuse"  # the request is refused


class LookupOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where features are read from while somebody waits, and what becomes of those that are not there.

    Attributes:
        store: address of the online store, as `open_store` reads it.
        name: what its keys begin with, in Redis.
        missing: the store knows nothing of an entity.
        stale: it knows rows, none of which counts any more.
        unreachable: the store does not answer, not in time, or not about this moment.
        deadline: seconds that a store on the network may take.
    """

    store: str
    name: str = "incumbent"
    missing: Gap = Gap.NULL
    stale: Gap = Gap.NULL
    unreachable: Gap = Gap.REFUSE
    deadline: float = 0.05


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A version to serve, and where it lies.

    Attributes:
        digest: what the ledger or the registry recorded; nothing means a model of another origin, which is loaded
            by MLflow's own code, and only because the operator said so.
        tier: the highest tier to use; nothing means the highest that proves itself.
        follows: whether it is the champion by the ledger, and gives way to the next one.
        contents: digest of its list of files that the registry recorded, or none.
        lookup: how a question that brings its keys alone is completed.
        trials: folder in which passed trials are remembered; a version is loaded in a process of its own first. None
            where whoever calls has seen to it.
    """

    model: str
    version: int
    folder: str
    digest: str | None
    epoch: int = 0
    tier: Tier | None = None
    trusted_types: tuple[str, ...] = ()
    follows: bool = False
    contents: str | None = None
    lookup: LookupOptions | None = None
    trials: str | None = None


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker learns which version is champion or challenger. Times are seconds.

    Attributes:
        ledger_url: SQLAlchemy URL of the ledger.
        tracking_uri, artifacts: MLflow's registry, and the folder of its artifacts where it is SQLite.
        downloads: folder for artifacts that lie elsewhere.
        poll: the longest pause between two looks at the ledger; a shorter one is drawn each time.
        patience: how long a look may take before it is called a problem.
        any_signature: whether a version with other columns than the served one is taken up too.
        foreign: whether a challenger that Incumbent did not register is loaded, by MLflow's own code.
    """

    ledger_url: str
    tracking_uri: str
    artifacts: str | None = None
    downloads: str
    poll: float = 1.0
    patience: float = 10.0
    any_signature: bool = False
    foreign: bool = False


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """What the version behind the registry's alias `challenger` does beside the champion.

    Attributes:
        canary: share of the units that it answers, from 0 to 1.
        shadow: share of the requests that it scores after they were answered, from 0 to 1.
        unit: entity key columns that name a unit, where the header does not.
        salt: makes the assignment the operator's own.
        gives_way: whether the shadow runs only where a core has nothing else to do.
        shadow_queue: requests that wait for the shadow; one more drops the oldest.
    """

    canary: float = 0.0
    shadow: float = 0.0
    unit: tuple[str, ...] = ()
    salt: str = ""
    shadow_queue: int = 256
    gives_way: bool = True


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker needs to know."""

    models: tuple[StoredModel, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    limits: Limits = Limits()
    access: Access = Access()
    metrics_folder: str | None = None
    following: Following | None = None
    rollout: Rollout = Rollout()
    log: LogOptions | None = None

    def to_json(self) -> str:
        """For the environment of a worker."""
        return msgspec.json.encode(self).decode()


def read_options(text: str) -> ServerOptions:
    """What `to_json` wrote."""
    return msgspec.json.decode(text, type=ServerOptions)
