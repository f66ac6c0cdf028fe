"""Requests to an ASGI application in this process, without a socket between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    body: bytes = b""
    content_type: str | None = JSON
    path: str = "/invocations"
    method: str = "POST"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def scope(self) -> dict[str, Any]:
        named = [] if self.content_type is None else [(b"content-type", self.content_type.encode("latin-1"))]
        length = [(b"content-length", str(len(self.body)).encode())]
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": self.method,
            "scheme": "http", "path": self.path, "raw_path": self.path.encode(), "query_string": b"",
            "root_path": "", "headers": [(b"host", b"test"), *length, *named, *self.headers],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
        }  # fmt: skip


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    raised: str | None = None

    @property
    def ours(self) -> dict[str, str]:
        return {key.decode(): value.decode() for key, value in self.headers if key.startswith(b"x-incumbent-")}

    def without_ours(self) -> Answer:
        kept = tuple(pair for pair in self.headers if not pair[0].startswith(b"x-incumbent-"))
        return Answer(self.status, kept, self.body, self.raised)

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(app: Any, request: Request) -> Answer:
    """One request; the client stays until it has its answer."""
    given = False
    forever = asyncio.Event()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await forever.wait()
        given = True
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raised = None
    try:
        await app(request.scope(), receive, send)
    except Exception as error:  # noqa: BLE001  # MLflow's app raises what it answered with 500
        raised = type(error).__name__
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], tuple(start["headers"]), body, raised)


def split(columns: Sequence[str], data: Any, **more: Any) -> bytes:
    return json.dumps({"dataframe_split": {"columns": list(columns), "data": data, **more}}).encode()
