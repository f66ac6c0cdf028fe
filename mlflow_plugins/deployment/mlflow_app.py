"""MLflow's own scoring app, in this process: it answers everything that the fast path does not."""

from __future__ import annotations

import json
import weakref
from dataclasses import dataclass, field
from typing import Any

from mlflow_plugins.deployment.asgi import JSON, App, Header, Message, Receive, Scope, Send

REDACTED = "The request could not be answered. This server withholds the details; its operator finds them in the log."


class MlflowApp:
    """The app that `mlflow models serve` runs, on a model that is loaded; it keeps the model, and nothing else does.

    FastAPI remembers the last 4,096 handlers of a process, and MLflow's handlers hold their model. So they get one
    that they do not hold: a server that exchanges models would keep them all.
    """

    def __init__(self, pyfunc: Any) -> None:
        from mlflow.pyfunc.scoring_server import init

        self.pyfunc = pyfunc
        self._app: App = init(_Borrowed(pyfunc))  # type: ignore[arg-type]  # it answers as the model does

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)


class _Borrowed:
    """A model that lives as long as its owner wants."""

    def __init__(self, pyfunc: Any) -> None:
        self._pyfunc = weakref.ref(pyfunc)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pyfunc(), name)


@dataclass(slots=True)
class Kept:
    """An answer of MLflow's app, kept until it is whole."""

    status: int = 0
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""

    async def send(self, message: Message) -> None:
        """Take a message of the app."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def redact(self) -> None:
        """Withhold what an error tells: messages and tracebacks repeat the input."""
        if self.status < 400:
            return
        self.body = json.dumps({"error_code": _error_code(self.body), "message": REDACTED}).encode()
        self.headers = [(b"content-length", b"%d" % len(self.body)), JSON]


async def ask(app: App, scope: Scope, receive: Receive, kept: Kept) -> None:
    """Let MLflow answer `/invocations`, whatever the address was; its answer is in `kept`, also when it raises."""
    await app({**scope, "path": "/invocations", "raw_path": b"/invocations"}, receive, kept.send)


def _error_code(body: bytes) -> str:
    """The answer's error code, which says nothing about the input."""
    try:
        told = json.loads(body)
    except ValueError:
        return "BAD_REQUEST"
    return str(told.get("error_code", "BAD_REQUEST")) if isinstance(told, dict) else "BAD_REQUEST"
