"""One HTTP connection: uvicorn's, with limits for slow senders and a short way for answers that need no waiting.

A compiled plan answers in less time than a task and two ASGI messages take to be made. So a small scoring request is
kept until it is whole, and offered to the application there and then; what the application leaves goes the usual way,
as if nothing had been kept. A client repeats its head from one request to the next: what the parser made of those very
bytes is remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.asgi import BY_NAME, Header, Headers, Scope
from mlflow_plugins.deployment.options import Limits

TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 15\r\n"
    b"connection: close\r\n\r\nRequest Timeout"
)
TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 31\r\nconnection: close\r\n\r\nRequest Header Fields Too Large"
)
END_OF_HEAD = b"\r\n\r\n"
LONGEST_KNOWN, MOST_KNOWN = 2048, 1024


class Heads:
    """Heads of answers, of which only the length changes from one to the next.

    uvicorn renews its own headers, the date among them, once a second, as a new list.
    """

    def __init__(self) -> None:
        self._default: list[Header] | None = None
        self._named: Headers | None = None
        self._start = b""
        self._names: bytes | None = b""

    def of(self, default: list[Header], headers: Sequence[Headers], length: int) -> bytes | None:
        """Status, uvicorn's headers, and ours in the order of the usual way; none where one would break its line."""
        if default is not self._default:
            self._default, self._start = default, b"HTTP/1.1 200 OK\r\n" + b"".join(map(_line, default))
        if headers[0] is not self._named:  # what names the version is the same from answer to answer
            self._named, self._names = headers[0], _lines(headers[0])
        ours = self._names
        for header in chain.from_iterable(headers[1:]):
            line = b"%b: %b" % header
            if ours is None or b"\n" in line or b"\r" in line:
                return None
            ours += line + b"\r\n"
        if ours is None:
            return None
        return b"%bcontent-length: %d\r\ncontent-type: application/json\r\n%b\r\n" % (self._start, length, ours)


class KnownHeads:
    """Heads of requests that were answered at once, byte for byte, with the scope that the parser made of each."""

    def __init__(self) -> None:
        self._scopes: dict[bytes, tuple[int, Scope]] = {}

    def find(self, data: bytes) -> tuple[int, Scope] | None:
        """Where the body begins and the scope, if the data is a known head with just the body that it announces."""
        start = data.find(END_OF_HEAD) + len(END_OF_HEAD)
        known = self._scopes.get(data[:start])
        return (start, known[1]) if known is not None and known[0] == len(data) - start else None

    def learn(self, data: bytes, body: bytes, scope: Scope) -> None:
        """Remember the head of a request that came in one piece and whose body is what follows the head."""
        head, _, rest = data.partition(END_OF_HEAD)
        if rest != body or len(head) > LONGEST_KNOWN:
            return
        if len(self._scopes) >= MOST_KNOWN:
            self._scopes.clear()
        plain = {key: value for key, value in scope.items() if not key.startswith("incumbent.")}
        plain[BY_NAME] = dict(reversed(scope["headers"]))
        self._scopes[head + END_OF_HEAD] = (len(body), plain)


def _line(header: Header) -> bytes:
    return b"%b: %b\r\n" % header


def _lines(headers: Headers) -> bytes | None:
    """Headers as they are sent; none where a name or a value has a line break of its own."""
    lines = b"".join(map(_line, headers))
    return lines if lines.count(b"\n") == lines.count(b"\r") == len(headers) else None


class Connection(HttpToolsProtocol):
    """A connection that knows since when it waits for the rest of a request.

    No timer is set for a request: once in a while the server looks at all connections.

    Attributes:
        since: when the request that is being sent began, on the loop's clock; none between requests.
        in_head: whether its head is not whole yet.
        idle_since: when the last answer was given at once; none where uvicorn counts the idle time itself.
        kept: what came of the body of a request that may be answered at once; none for any other.
        between: whether nothing of the next request has come yet.
        chunk: the data with which a request began.
    """

    limits = Limits()
    application: Application
    heads: Heads
    known: KnownHeads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request from now on."""
        super().connection_made(transport)
        self.since: float | None = self.loop.time()
        self.in_head = True
        self.head_size = 0
        self.idle_since: float | None = None
        self.kept: bytes | None = None
        self.between = True
        self.chunk = b""

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without end."""
        if self.between:
            known = self.known.find(data)
            if known is not None and self._is_free() and self._answered(self._scope_of(known[1]), data[known[0] :]):
                self._unset_keepalive_if_required()
                return
            self.chunk = data
        if self.in_head:
            self.head_size += len(data)
        super().data_received(data)
        if self.in_head and self.head_size > self.limits.headers:
            self.end(TOO_LONG)

    def on_message_begin(self) -> None:
        """Start the clock."""
        super().on_message_begin()
        self.since = self.loop.time()
        self.idle_since = None
        self.in_head = True
        self.between = False

    def on_headers_complete(self) -> None:
        """Go on with the body: keep it where the whole request may be answered at once."""
        self.in_head = False
        self.head_size = 0
        if self._may_be_answered_at_once():
            self.kept = b""
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a small body; a large one goes the usual way, where reading is paused and sizes are refused."""
        if self.kept is None:
            super().on_body(body)
            return
        self.kept = self.kept + body if self.kept else body
        if len(self.kept) > min(HIGH_WATER_LIMIT, self.limits.body):
            self._go_the_usual_way()

    def on_message_complete(self) -> None:
        """Stop the clock, and answer at once what can be."""
        self.since = None
        self.in_head = self.between = True
        if self.kept is not None:
            scope = self._plain_scope()
            if self._answered(scope, self.kept):
                self.known.learn(self.chunk, self.kept, scope)
                self.kept = None
                return
            self._go_the_usual_way()
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close the connection when what was begun is answered."""
        self._go_the_usual_way()
        super().shutdown()

    def late(self, now: float) -> bool:
        """Whether the client has taken too long to send what it began."""
        if self.since is None:
            return False
        return now - self.since > (self.limits.head_timeout if self.in_head else self.limits.body_timeout)

    def idle(self, now: float) -> bool:
        """Whether nothing came for so long after an answer that was given at once."""
        return self.idle_since is not None and now - self.idle_since > self.limits.keep_alive

    def end(self, answer: bytes) -> None:
        """Close the connection, with a word where no answer has begun."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(answer)
        self.transport.close()

    def _may_be_answered_at_once(self) -> bool:
        """A plain request to a scoring address, with nothing before it that waits for its answer."""
        parser = self.parser
        return (
            self.application.is_quick(self.url.decode("ascii"))
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and self._is_free()
        )

    def _is_free(self) -> bool:
        """Whether no answer is awaited, the client reads its answers, and the server takes more."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return not (busy or self.flow.write_paused or len(self.connections) >= self.limits.connections)

    def _plain_scope(self) -> Scope:
        scope = cast(Scope, self.scope)
        scope["method"], scope["path"], scope["raw_path"] = "POST", self.url.decode("ascii"), self.url
        scope["query_string"] = b""
        return scope

    def _scope_of(self, known: Scope) -> Scope:
        return {**known, "client": self.client, "server": self.server, "scheme": self.scheme}

    def _answered(self, scope: Scope, body: bytes) -> bool:
        """Answer a whole request, unless it has to go the usual way."""
        ready = self.application.at_once(scope, body)
        if ready is None:
            return False
        answer = ready.answered.answer
        head = self.heads.of(self.server_state.default_headers, ready.headers, len(answer))
        if head is None:
            return False
        self.transport.write(head + answer)
        self.idle_since = self.loop.time()
        self.since = None
        self.server_state.total_requests += 1
        self.application.sent(ready)
        return True

    def _go_the_usual_way(self) -> None:
        """Let uvicorn have what was kept."""
        kept, self.kept = self.kept, None
        if kept is not None:
            super().on_headers_complete()
            super().on_body(kept)
