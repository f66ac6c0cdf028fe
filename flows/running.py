"""From a verb to its flow: servers, environment and the current loop, for the shell, for Python and for notebooks."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.errors import ServerError
from flows.model import Model, load_model
from flows.results import Result
from flows.servers import Server, addressed, answers, end_leftovers, live_server, start_prefect
from flows.settings import Settings, read_settings, set_environment
from lifecycle.errors import UnreachableError
from lifecycle.moments import Window, iso, parse_moment

if TYPE_CHECKING:
    from flows.wiring import Loop


@dataclass(slots=True)
class Connection:
    """The Prefect API this process talks to, and the server it had to start for that."""

    settings: Settings
    api_url: str
    started: Server | None

    def ready(self) -> None:
        """Wait for the server this process started, once more on another port where somebody took the first.

        Raises:
            ServerError: it does not start.
        """
        if self.started is None:
            return
        try:
            self.started.wait()
        except ServerError:
            self.started = start_prefect(self.settings, services=False)
            self.settings = addressed(self.settings)
            self.api_url = f"{self.started.url}/api"
            set_environment(self.settings, self.api_url)
            self.started.wait()

    def close(self) -> None:
        """Stop the server this process started."""
        if self.started is not None:
            self.started.stop()
            self.started = None


_connection: Connection | None = None


def begin(settings: Settings | None = None) -> Connection:
    """Start what is missing, without waiting for it: the imports that follow take as long as the server does."""
    global _connection
    if _connection is None:
        settings = settings or read_settings()
        settings.folder.mkdir(parents=True, exist_ok=True)
        end_leftovers(settings)
        url = _given_api(settings) or _api(live_server(settings, "prefect"))
        started = None if url else start_prefect(settings, services=False)
        settings = addressed(settings)  # what is stored from here on links to the ports that were found free
        _connection = Connection(settings, url or f"{started.url}/api", started)  # type: ignore[union-attr]  # one of both
        set_environment(settings, _connection.api_url)
        atexit.register(close)
    return _connection


def close() -> None:
    """Stop what `begin` started."""
    global _connection
    if _connection is not None:
        _connection.close()
        _connection = None


def _given_api(settings: Settings) -> str | None:
    """The Prefect API that the settings name.

    Raises:
        UnreachableError: it does not answer; Prefect itself would only say so after many tries, in a long trace.
    """
    url = settings.prefect.api_url
    if url and not answers(f"{url.rstrip('/')}/health"):
        raise UnreachableError("Prefect", url, "no answer when asked for its health")
    return url


def _api(url: str | None) -> str | None:
    return f"{url}/api" if url else None


@contextmanager
def connected(settings: Settings | None = None) -> Iterator[Loop]:
    """The loop of the settings, made the current one, with Prefect's API at hand."""
    connection = begin(settings)
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.retraining import train_here
    from flows.wiring import build, running

    connection.ready()  # after the imports, which take as long as the server does
    loop = build(connection.settings, start_training=train_here)
    with temporary_settings({PREFECT_API_URL: connection.api_url}), running(loop):
        yield loop


@contextmanager
def looking(settings: Settings | None = None) -> Iterator[Loop]:
    """The loop of the settings for verbs that only look: nothing is started, and Prefect is not asked."""
    settings = addressed(settings or read_settings())
    set_environment(settings)
    from flows.wiring import build, running

    with running(build(settings, start_training=_train_here)) as loop:
        yield loop


def _train_here(model: Model, as_of: datetime) -> None:
    from flows.retraining import train_here

    train_here(model, as_of)


def moment_or_now(given: str | datetime | None) -> datetime:
    """The moment that was named, else this one."""
    return parse_moment(given) if given is not None else datetime.now(UTC).replace(microsecond=0)


def window_or_last(model: Model, start: str | datetime | None, end: str | datetime | None) -> Window:
    """The window that was named; by default it ends at this moment, and is as long as the policy's."""
    last = moment_or_now(end)
    return Window(parse_moment(start) if start is not None else last - model.policy.every, last)


def do(verb: str, model: Model, as_of: str | datetime | None = None) -> Result:
    """Run a verb's flow on a model. `as_of` defaults to this moment: here is the outermost shell, where time enters."""
    if verb == "check":
        from flows.checking import check

        return check(model)
    moment = iso(parse_moment(as_of) if as_of is not None else datetime.now(UTC).replace(microsecond=0))
    with connected() as loop:
        loop.models[model.reference] = model
        return _flow(verb)(model.reference, moment)


def deploy(model: Model, start: str | datetime | None = None) -> Result:
    """Register the model's deployments. Without `start` a known schedule keeps its anchor, a new one begins now."""
    with connected() as loop:
        from flows import schedules

        anchor = parse_moment(start) if start is not None else schedules.registered_anchor(model)
        return schedules.deploy(loop, model, anchor or datetime.now(UTC).replace(microsecond=0))


def trigger(model: Model, verb: str, as_of: str | datetime | None = None) -> Result:
    """Start a deployment by hand, about `as_of`, by default this moment."""
    moment = parse_moment(as_of) if as_of is not None else datetime.now(UTC).replace(microsecond=0)
    with connected() as loop:
        from flows import schedules

        return schedules.trigger(loop, model, verb, moment)


def why(model: Model, what: str | int | None = None) -> Result:
    """A decision's record by id or version number; without one, every decision on the model."""
    from flows.telling import decisions_of, tell
    from mlflow_plugins.ledger import SqlLedger

    ledger = SqlLedger(read_settings().ledger_url)
    return decisions_of(ledger, model.name) if what is None else tell(ledger, model.name, str(what))


def _flow(verb: str) -> Callable[[str, str], Result]:
    from flows import decide, ingest, monitor, score, train

    flows: dict[str, Any] = {
        "ingest": ingest.ingest,
        "train": train.train,
        "score": score.score,
        "monitor": monitor.monitor,
        "decide": decide.decide,
    }
    return flows[verb]  # type: ignore[no-any-return]  # Prefect's Flow is callable with these


def replay(model: Model | str, start: str, end: str, policies: str = "never,monthly,drift,worse") -> Any:
    """The same loop over history, once per policy, in a temporary registry and ledger; the policies side by side."""
    from flows.replay.compare import compare

    chosen = load_model(model) if isinstance(model, str) else model
    with connected() as loop:
        return compare(loop, chosen, (parse_moment(start), parse_moment(end)), policies.split(","))
