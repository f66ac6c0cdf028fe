"""The limit: an ASGI application that reads a body and answers bytes that were made beforehand, on uvicorn as ours is.

python -m benchmarks.load.echo PORT BYTES-OF-ANSWER
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn


def echo(size: int) -> Callable[..., Awaitable[None]]:
    """An application that answers so many bytes."""
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"%d" % size), (b"content-type", b"application/json")],
    }
    end = {"type": "http.response.body", "body": b"x" * size}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send(start)
        await send(end)

    return application


if __name__ == "__main__":
    uvicorn.run(
        echo(int(sys.argv[2])), port=int(sys.argv[1]), loop="uvloop", http="httptools", ws="none", lifespan="off",
        interface="asgi3", access_log=False, log_level="warning",
    )  # fmt: skip
