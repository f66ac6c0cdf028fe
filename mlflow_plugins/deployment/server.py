"""One worker's HTTP: uvicorn, with time limits for slow senders and a drain that loses no accepted request."""

from __future__ import annotations

import asyncio
import ssl
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.options import Access, Limits

TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 15\r\n"
    b"connection: close\r\n\r\nRequest Timeout"
)
TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 31\r\nconnection: close\r\n\r\nRequest Header Fields Too Large"
)
SWEEP = 0.5


class Connection(HttpToolsProtocol):
    """A connection that knows since when it waits for the rest of a request.

    No timer is set for a request: once in a while the server looks at all connections.

    Attributes:
        since: when the request that is being sent began, on the loop's clock; none between requests.
        in_head: whether its head is not whole yet.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request from now on."""
        super().connection_made(transport)
        self.since: float | None = self.loop.time()
        self.in_head = True
        self.head_size = 0

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without end."""
        if self.in_head:
            self.head_size += len(data)
        super().data_received(data)
        if self.in_head and self.head_size > self.limits.headers:
            self.end(TOO_LONG)

    def on_message_begin(self) -> None:
        """Start the clock."""
        super().on_message_begin()
        self.since = self.loop.time()
        self.in_head = True

    def on_headers_complete(self) -> None:
        """Go on with the body."""
        self.in_head = False
        self.head_size = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock."""
        self.since = None
        self.in_head = True
        super().on_message_complete()

    def late(self, now: float) -> bool:
        """Whether the client has taken too long to send what it began."""
        if self.since is None:
            return False
        return now - self.since > (self.limits.head_timeout if self.in_head else self.limits.body_timeout)

    def end(self, answer: bytes) -> None:
        """Close the connection, with a word where no answer has begun."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(answer)
        self.transport.close()


class Server(uvicorn.Server):
    """A uvicorn server that drains before it stops.

    Attributes:
        failed: what kept the models from being loaded.
    """

    def __init__(self, application: Application, access: Access) -> None:
        super().__init__(_config(application, application.limits, access))
        self.application = application
        self.failed: BaseException | None = None
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say at `/ready` that no more should come; a second signal ends the drain."""
        if self.application.draining:
            self.should_exit = True
        self.application.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: close slow senders, publish the counts, end the drain."""
        loop = asyncio.get_running_loop()
        if counter % int(SWEEP * 10) == 0:
            self._sweep(loop.time())
        if counter % 10 == 0:
            self.application.board.publish()
        if self.application.draining and self._stop_at is None:
            self._stop_at = loop.time() + self.application.limits.drain
        if self._stop_at is not None and loop.time() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    def _sweep(self, now: float) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection) and connection.late(now):
                self.application.counts.refused[("slow",)] += 1
                connection.end(TOO_SLOW)


def _config(application: Application, limits: Limits, access: Access) -> uvicorn.Config:
    protocol = type("LimitedConnection", (Connection,), {"limits": limits})
    secured: dict[str, Any] = {}
    if access.certificate is not None:
        secured = {"ssl_certfile": access.certificate, "ssl_keyfile": access.key}
    if access.client_authorities is not None:
        secured |= {"ssl_ca_certs": access.client_authorities, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=int(limits.keep_alive),
        timeout_graceful_shutdown=int(limits.body_timeout) + 5,
        backlog=2048,
        **secured,
    )
