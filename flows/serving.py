"""`incumbent serve`: which versions, under which settings; then this process becomes the server."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.model import load_model
from flows.servers import addressed
from flows.settings import Settings, read_settings, set_environment
from lifecycle.ports import Alias, Ledger
from mlflow_plugins.connection import connect
from mlflow_plugins.deployment.options import (
    Access,
    Following,
    Gap,
    Limits,
    LookupOptions,
    Rollout,
    ServerOptions,
    StoredModel,
)
from mlflow_plugins.deployment.starting import SUPERVISOR, WORKER, WORKERS, environment, listen
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import NotServableError
from mlflow_plugins.ledger import SqlLedger
from mlflow_plugins.registry import MlflowRegistry
from mlflow_plugins.request_log.options import Durability, LogOptions


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the command line says; none leaves it to the settings."""

    host: str | None = None
    port: int | None = None
    workers: int | None = None
    tier: str | None = None
    canary: float | None = None
    shadow: float | None = None


def serve(references: Sequence[str], chosen: Chosen) -> None:
    """Find the versions and become their server; does not return.

    Raises:
        NoChampionError: a model without a champion.
        VersionNotFoundError, AliasNotSetError: no such version or alias.
        NotServableError: a version that Incumbent did not register, without the operator's word.
    """
    settings = addressed(read_settings())
    set_environment(settings)
    options = server_options(settings, references, chosen)
    listening = listen(options.host, options.port)
    host, port = listening.getsockname()[:2]
    scheme = "https" if options.access.certificate else "http"
    named = ", ".join(f"{each.model} version {each.version}" for each in options.models)
    sys.stdout.write(f"Serving {named} at {scheme}://{host}:{port} with {options.workers} worker(s)\n")
    sys.stdout.flush()
    told = environment(options.to_json(), listening.fileno())
    command = WORKER if options.workers == 1 else SUPERVISOR
    os.execve(command[0], command, {**told, WORKERS: str(options.workers)})


def server_options(settings: Settings, references: Sequence[str], chosen: Chosen) -> ServerOptions:
    """The settings with what the command line says, and the versions with where they lie."""
    serving = settings.serving
    workers = chosen.workers or serving.workers or os.cpu_count() or 1
    return ServerOptions(
        models=tuple(stored_models(settings, references, chosen.tier or serving.tier)),
        host=chosen.host or serving.host,
        port=serving.port if chosen.port is None else chosen.port,
        workers=workers,
        limits=Limits(
            queue=serving.queue,
            connections=serving.connections,
            body=serving.body,
            head_timeout=serving.head_timeout,
            body_timeout=serving.body_timeout,
            drain=serving.drain,
        ),
        access=Access(
            token=serving.token.get_secret_value() if serving.token else None,
            certificate=_path(serving.certificate),
            key=_path(serving.key),
            client_authorities=_path(serving.client_authorities),
            redact=serving.redact,
        ),
        following=_following(settings) if serving.follow else None,
        rollout=Rollout(
            canary=serving.canary if chosen.canary is None else chosen.canary,
            shadow=serving.shadow if chosen.shadow is None else chosen.shadow,
            unit=serving.unit,
            salt=serving.salt.get_secret_value() if serving.salt else "",
        ),
        log=_log_options(settings),
        metrics_folder=tempfile.mkdtemp(prefix="incumbent-metrics-") if workers > 1 else None,
    )


def _log_options(settings: Settings) -> LogOptions | None:
    log = settings.requests
    if not log.log:
        return None
    return LogOptions(
        folder=str(settings.requests_folder),
        durability=Durability(log.durability),
        roll_bytes=log.roll_bytes,
        roll_seconds=log.roll_seconds,
        sync_seconds=log.sync_seconds,
        redacted=log.redacted,
    )


def _lookup_options(settings: Settings) -> LookupOptions:
    told = settings.lookup
    return LookupOptions(
        store=settings.online_url,
        name=settings.online.name,
        missing=Gap(told.missing),
        stale=Gap(told.stale),
        unreachable=Gap(told.unreachable),
        deadline=told.deadline,
    )


def stored_models(settings: Settings, references: Sequence[str], tier: str | None) -> list[StoredModel]:
    """The versions that were named, with the digests that the ledger and the registry recorded."""
    remote = settings.tracking_uri.startswith("http")
    artifacts = None if remote else settings.folder / "mlflow" / "artifacts"
    settings.folder.joinpath("mlflow").mkdir(parents=True, exist_ok=True)
    connection = connect(settings.tracking_uri, artifacts=artifacts, ui_url=settings.mlflow_url)
    registry = MlflowRegistry(connection, settings.folder / "mlflow" / "downloads")
    ledger = SqlLedger(settings.ledger_url)
    found = []
    for reference in references:
        name, version, digest, epoch = _resolved(reference, registry, ledger)
        if digest is None and not settings.serving.foreign_models:
            raise NotServableError(name, version)
        found.append(
            StoredModel(
                model=name,
                version=version,
                folder=str(registry.artifact(name, version)),
                digest=digest,
                epoch=epoch,
                follows=epoch > 0,
                contents=None if digest is None else registry.contents(name, version),
                tier=Tier(tier) if tier else None,
                trusted_types=settings.loading.trusted_types,
                lookup=_lookup_options(settings),
                trials=str(settings.folder / "mlflow" / "trials"),
            )
        )
    return found


def _following(settings: Settings) -> Following:
    remote = settings.tracking_uri.startswith("http")
    return Following(
        ledger_url=settings.ledger_url,
        tracking_uri=settings.tracking_uri,
        artifacts=None if remote else str(settings.folder / "mlflow" / "artifacts"),
        downloads=str(settings.folder / "mlflow" / "downloads"),
        poll=settings.serving.poll,
        any_signature=settings.serving.any_signature,
        foreign=settings.serving.foreign_models,
    )


def _resolved(reference: str, registry: MlflowRegistry, ledger: Ledger) -> tuple[str, int, str | None, int]:
    """Name, version, recorded digest and epoch of a reference."""
    name, version, alias = parse_reference(reference)
    if version is None and alias in (None, Alias.CHAMPION):
        head = ledger.head(name)
        return name, head.version, head.digest, head.epoch
    number = version if version is not None else registry.pointed(name, Alias(alias or ""))
    known = registry.version(name, number)
    return name, number, known.digest or None, 0


def parse_reference(reference: str) -> tuple[str, int | None, str | None]:
    """Name, version and alias.

    >>> parse_reference("late-flights")
    ('late-flights', None, None)
    >>> parse_reference("models:/late-flights/3")
    ('late-flights', 3, None)
    >>> parse_reference("late-flights@challenger")
    ('late-flights', None, 'challenger')
    """
    if reference.partition(":")[0].endswith(".py") or Path(reference).is_dir():
        return load_model(reference).name, None, None
    text = reference.removeprefix("models:/")
    name, slash, version = text.rpartition("/")
    if slash and version.isdigit():
        return name, int(version), None
    name, at, alias = text.rpartition("@")
    return (name, None, alias) if at else (text, None, None)


def _path(path: Any) -> str | None:
    return None if path is None else str(path)
