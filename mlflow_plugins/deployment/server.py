"""One worker's HTTP: uvicorn, with time limits for slow senders and a drain that loses no accepted request."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from types import FrameType
from typing import Any

import uvicorn

from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.connection import TOO_SLOW, Connection, Heads, KnownHeads
from mlflow_plugins.deployment.options import Access, Limits
from mlflow_plugins.deployment.starting import say_ready

SWEEP = 0.5


class Server(uvicorn.Server):
    """A uvicorn server that drains before it stops.

    Attributes:
        failed: what kept the models from being loaded.
        loaded: set when they are loaded, or cannot be.
    """

    def __init__(self, application: Application, access: Access) -> None:
        super().__init__(_config(application, application.limits, access))
        self.application = application
        self.failed: BaseException | None = None
        self.loaded = asyncio.Event()
        self._stop_at: float | None = None
        self._supervisor: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so to whoever started this worker; where a model is missing it does not answer."""
        await super().startup(sockets)
        if self.started and self.failed is None:
            self._supervisor = say_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say at `/ready` that no more should come; a second signal ends the drain."""
        if self.application.draining:
            self.should_exit = True
        self.application.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: close slow and idle connections, publish the counts, end the drain."""
        loop = asyncio.get_running_loop()
        if counter % int(SWEEP * 10) == 0:
            self._sweep(loop.time())
        if counter % 10 == 0:
            self.application.board.publish()
            if self._supervisor is not None and os.getppid() != self._supervisor:
                self.application.draining = True  # nobody would hand a signal on any more, or start another
        if self.application.draining and self._stop_at is None:
            self._stop_at = loop.time() + self.application.limits.drain
        if self._stop_at is not None and loop.time() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    def _sweep(self, now: float) -> None:
        for connection in list(self.server_state.connections):
            if not isinstance(connection, Connection):
                continue
            if connection.late(now):
                self.application.counts.refused[("slow",)] += 1
                connection.end(TOO_SLOW)
            elif connection.idle(now):
                connection.transport.close()


def _config(application: Application, limits: Limits, access: Access) -> uvicorn.Config:
    told = {"limits": limits, "application": application, "heads": Heads(), "known": KnownHeads()}
    protocol = type("LimitedConnection", (Connection,), told)
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
