"""MLflow's own scoring app, in this process: it answers everything that the fast path does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mlflow_plugins.deployment.asgi import JSON, App, Header, Message, Receive, Scope

REDACTED = "The request could not be answered. This server withholds the details; its operator finds them in the log."


def mlflow_app(pyfunc: Any) -> App:
    """The app that `mlflow models serve` runs, on a model that is loaded."""
    from mlflow.pyfunc.scoring_server import init

    app: App = init(pyfunc)
    return app


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
