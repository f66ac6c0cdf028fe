"""A load client of the closed-loop kind: each connection sends its next request when it has the last answer.

    python -m benchmarks.load.closed_loop PORT CONNECTIONS SECONDS PATH-OF-BODY [ADDRESS]

It is pinned to its own core by who starts it, speaks HTTP/1.1 with keep-alive, and waits for every answer before it
ends, so that no work is left behind in the server. Its last line is JSON: requests, seconds, p50_ms, p99_ms, statuses.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

END_OF_HEAD = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection that asks until the deadline."""

    def __init__(self, request: bytes, deadline: float) -> None:
        self._request = request
        self._deadline = deadline
        self._buffer = b""
        self._sent = 0.0
        self.times: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask at once."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer, and ask again."""
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(END_OF_HEAD)
        if head < 0 or len(self._buffer) < head + 4 + length_of(self._buffer[:head]):
            return
        now = time.perf_counter()
        self.times.append(now - self._sent)
        self.statuses[self._buffer[9:12].decode()] += 1
        self._buffer = b""
        if now >= self._deadline:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an answer that was cut."""
        if self._buffer:
            self.statuses["cut"] += 1
        self.done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def length_of(head: bytes) -> int:
    """The content length that a head names."""
    lowered = head.lower()
    at = lowered.index(b"content-length:") + 15
    end = lowered.find(b"\r\n", at)
    return int(lowered[at : end if end >= 0 else len(lowered)])


def request_for(body: bytes, address: str = "/invocations") -> bytes:
    """A scoring request as bytes."""
    head = b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n" % address.encode()
    return head + b"content-length: %d" % len(body) + END_OF_HEAD + body


async def load(port: int, connections: int, seconds: float, request: bytes) -> dict[str, object]:
    """Ask for some seconds."""
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    made = []
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: Connection(request, begin + seconds), "127.0.0.1", port)
        made.append(connection)
    await asyncio.gather(*(connection.done for connection in made))
    times = sorted(each for connection in made for each in connection.times)
    statuses: Counter[str] = sum((connection.statuses for connection in made), Counter())
    return {
        "requests": len(times),
        "seconds": time.perf_counter() - begin,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
        "statuses": dict(statuses),
    }


if __name__ == "__main__":
    port, connections, seconds, path, *address = sys.argv[1:]
    request = request_for(Path(path).read_bytes(), *address)
    print(json.dumps(uvloop.run(load(int(port), int(connections), float(seconds), request))))
