"""Where things run: one `incumbent.toml` or `INCUMBENT_*` variables, every key known, everything under one folder.

`INCUMBENT_LAKE__ROOT=s3://bucket/lake` overrides `[lake] root`. The state folder lies beside `incumbent.toml`,
else in the current folder.
"""

from __future__ import annotations

import json
import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from flows.errors import SettingsError
from lifecycle.moments import span

FILE = "incumbent.toml"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class State(_Table):
    """The folder that holds everything local."""

    folder: Path = Path(".incumbent")


class Servers(_Table):
    """The local servers that `up` starts. A port of 0 means any free one."""

    host: str = "127.0.0.1"
    mlflow_port: int = 5000
    prefect_port: int = 4200
    workers: int = 1


class Mlflow(_Table):
    """MLflow tracking and registry; nothing means SQLite and a folder in the state folder."""

    tracking_uri: str | None = None


class Prefect(_Table):
    """Prefect's API; nothing means a local server on SQLite in the state folder."""

    api_url: str | None = None
    work_pool: str = "incumbent"


class LakeTable(_Table):
    """Delta Lake tables; nothing means the state folder. `options` are the object store's, by name."""

    root: str | None = None
    options: dict[str, SecretStr] = {}


class OnlineTable(_Table):
    """The online store: a Redis address or a folder; nothing means LMDB in the state folder."""

    url: SecretStr | None = None
    name: str = "incumbent"
    every: str | None = None

    @field_validator("every")
    @classmethod
    def _a_span(cls, every: str | None) -> str | None:
        if every is not None and not span(every):
            raise ValueError(f"{every!r} is no time at all")
        return every


class LedgerTable(_Table):
    """The decision ledger; nothing means SQLite in the state folder."""

    url: SecretStr | None = None


class Alerts(_Table):
    """Who is told by what: for each owner of a model, or `*` for all others, a notification block of Prefect's."""

    blocks: dict[str, str] = {}


class Monitoring(_Table):
    """Scoring servers to look at, and the folder for what Prometheus' node exporter collects from text files.

    With `evidently_workspace`, every window is also a run in `evidently/` in the state folder, for `evidently ui`.
    """

    servers: tuple[str, ...] = ()
    textfiles: Path | None = None
    evidently_workspace: bool = False


class Loading(_Table):
    """What a stored model may consist of, beyond the list in our code."""

    trusted_types: tuple[str, ...] = ()


class Serving(_Table):
    """The scoring server. Times are seconds; see `mlflow_plugins.deployment.options` for what each limit bounds."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 0
    tier: Literal["mlflow", "typed", "microbatch", "compiled"] | None = None
    foreign_models: bool = False
    token: SecretStr | None = None
    certificate: Path | None = None
    key: Path | None = None
    client_authorities: Path | None = None
    redact: bool = False
    queue: int = 256
    connections: int = 4096
    body: int = 32 * 1024 * 1024
    head_timeout: float = 10.0
    body_timeout: float = 60.0
    drain: float = 2.0
    follow: bool = True
    poll: float = 1.0
    any_signature: bool = False
    canary: float = Field(0.0, ge=0, le=1)
    shadow: float = Field(0.0, ge=0, le=1)
    unit: tuple[str, ...] = ()
    salt: SecretStr | None = None


class LookupTable(_Table):
    """Features of requests that bring their key alone: what becomes of those that the online store does not give.

    `null` lets the model see a gap, `refuse` refuses the request. `deadline` is seconds.
    """

    missing: Literal["null", "refuse"] = "null"
    stale: Literal["null", "refuse"] = "null"
    unreachable: Literal["null", "refuse"] = "refuse"
    deadline: float = 0.05


class Requests(_Table):
    """The log of what the scoring server is asked and answers. Times are seconds.

    `durability` says what an answer promises of its record: `async`, `write` or `fsync`. No value of a column in
    `redacted` is ever written. A finished segment can be compacted into the lake.
    """

    log: bool = True
    folder: Path | None = None
    durability: Literal["async", "write", "fsync"] = "write"
    redacted: tuple[str, ...] = ()
    roll_bytes: int = 64 * 1024 * 1024
    roll_seconds: float = 300.0
    sync_seconds: float = 0.5


class Settings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(
        env_prefix="INCUMBENT_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state: State = State()
    servers: Servers = Servers()
    mlflow: Mlflow = Mlflow()
    prefect: Prefect = Prefect()
    lake: LakeTable = LakeTable()
    online: OnlineTable = OnlineTable()
    ledger: LedgerTable = LedgerTable()
    alerts: Alerts = Alerts()
    monitoring: Monitoring = Monitoring()
    loading: Loading = Loading()
    serving: Serving = Serving()
    lookup: LookupTable = LookupTable()
    requests: Requests = Requests()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file."""
        return env_settings, init_settings

    @property
    def folder(self) -> Path:
        """The state folder, absolute."""
        return self.state.folder.expanduser().resolve()

    @property
    def textfiles(self) -> Path:
        """Where the metrics of the loop are written for Prometheus."""
        return self.monitoring.textfiles or self.folder / "metrics"

    @property
    def lake_root(self) -> str:
        """Root of the Delta tables."""
        return self.lake.root or str(self.folder / "lake")

    @property
    def online_url(self) -> str:
        """Address of the online store, as `feature_store.online.opening` takes it; it may hold a password."""
        return self.online.url.get_secret_value() if self.online.url else str(self.folder / "online")

    @property
    def online_every(self) -> timedelta | None:
        """How often the schedule of `materialize` runs; none leaves it switched off."""
        return None if self.online.every is None else span(self.online.every)

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger.url.get_secret_value() if self.ledger.url else f"sqlite:///{self.folder / 'ledger.db'}"

    @property
    def requests_folder(self) -> Path:
        """Where the request log lies until it is compacted."""
        return self.requests.folder or self.folder / "requests"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry URI."""
        return self.mlflow.tracking_uri or f"sqlite:///{self.folder / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_url(self) -> str:
        """Where a person opens MLflow's pages."""
        uri = self.mlflow.tracking_uri
        return uri if uri and uri.startswith("http") else f"http://{self.servers.host}:{self.servers.mlflow_port}"

    @property
    def prefect_url(self) -> str:
        """Where a person opens Prefect's pages."""
        url = self.prefect.api_url
        return url.removesuffix("/api") if url else f"http://{self.servers.host}:{self.servers.prefect_port}"


def read_settings(profile: str | Path | None = None) -> Settings:
    """Read the profile, else `incumbent.toml` of this folder or the nearest above, else the defaults.

    Raises:
        SettingsError: the file does not parse, or has a key or value that no setting knows.
    """
    path = _profile(profile)
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text()) if path else {}
        if path is not None and profile is None:
            state = table.get("state", {})
            if isinstance(state, dict):
                table["state"] = {**state, "folder": path.parent / state.get("folder", ".incumbent")}
        return Settings(**table)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(str(path), str(error)) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise SettingsError(str(path or "INCUMBENT_* variables"), problems) from error


def _profile(profile: str | Path | None) -> Path | None:
    if profile is not None:
        path = Path(profile)
        if not path.is_file():
            raise SettingsError(str(path), "there is no such file")
        return path
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def variables(settings: Settings) -> dict[str, str]:
    """The settings as `INCUMBENT_*` variables, secrets in the clear: for the environment of a process of our own."""
    found = {}
    for table in type(settings).model_fields:
        for key, value in getattr(settings, table):
            if value is not None:
                found[f"INCUMBENT_{table}__{key}".upper()] = _text(value)
    return found | {"INCUMBENT_STATE__FOLDER": str(settings.folder)}


def _text(value: object) -> str:
    """A value as `read_settings` reads it from a variable."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return json.dumps({name: _text(item) for name, item in value.items()})
    return json.dumps(value) if isinstance(value, (list, tuple)) else str(value)


def share_cores() -> None:
    """Say how many threads a fit may use; it counts only before the first library that asks is imported."""
    # The servers share the cores: with two busy ones, threads that spin made a fit of 2 s take 28 s, and threads that
    # sleep made one of 3.6 s take 6.3 s. Half of the cores is steady; the operator's own setting wins.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))


def set_environment(settings: Settings, api_url: str | None = None) -> None:
    """Tell Prefect, MLflow, Evidently and Great Expectations where to live, before any of them is imported."""
    folder = settings.folder
    fixed = {
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
    }
    if api_url or settings.prefect.api_url:
        fixed["PREFECT_API_URL"] = api_url or str(settings.prefect.api_url)
    os.environ.update(fixed)
    share_cores()
    os.environ.setdefault("PREFECT_HOME", str(folder / "prefect"))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
