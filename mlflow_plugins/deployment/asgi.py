"""The few words of ASGI that the server speaks, and one way to send a whole answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]
Headers = tuple[Header, ...]

JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
BY_NAME = "headers by name"
"""Key in the scope under which the first header of each name lies, where the same head came before."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this name, as Starlette takes it."""
    found: dict[bytes, bytes] | None = scope.get(BY_NAME)
    if found is not None:
        return found.get(name)
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def respond(send: Send, status: int, body: bytes, headers: Headers = (JSON,)) -> None:
    """Send a whole answer; its length comes first, as Starlette has it."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, value: object, status: int = 200, headers: Headers = ()) -> None:
    """Send a value as JSON."""
    await respond(send, status, json.dumps(value).encode(), (JSON, *headers))


def replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, then whatever comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def has_gone(receive: Receive) -> bool:
    """Whether the client of a request whose body was read has closed the connection; does not wait.

    The coroutine is taken one step: where it would wait, the client is still there.
    """
    waiting: Any = receive()
    try:
        waiting.send(None)
    except StopIteration as told:
        return bool(told.value["type"] == "http.disconnect")
    waiting.close()
    return False


def adding(headers: Headers, send: Send) -> Send:
    """A `send` that adds headers to the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return sending
