"""A load client that keeps a rate: each connection asks at its moments, and a late answer counts from its moment.

    python -m benchmarks.load.paced PORT CONNECTIONS REQUESTS-A-SECOND SECONDS PATH-OF-BODY

A server that stops for a while is so charged with every request that should have been asked meanwhile. Each request
names a unit of its own. The last line is JSON: requests, p50_ms, p99_ms, max_ms, statuses, versions, and for each epoch
when the first and when the last connection saw it (seconds since 1970).
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

from benchmarks.load.closed_loop import END_OF_HEAD, length_of


class Connection(asyncio.Protocol):
    """One connection with its moments."""

    def __init__(self, body: bytes, moments: list[tuple[float, int]]) -> None:
        self._body = body
        self._moments = moments
        self._buffer = b""
        self._due = 0.0
        self.times: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.epochs: dict[str, float] = {}
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Wait for the first moment."""
        self._transport = transport
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take an answer, and wait for the next moment."""
        self._buffer += data
        head = self._buffer.find(END_OF_HEAD)
        if head < 0 or len(self._buffer) < head + 4 + length_of(self._buffer[:head]):
            return
        self.times.append(time.perf_counter() - self._due)
        self.statuses[self._buffer[9:12].decode()] += 1
        self.versions[_named(b"x-incumbent-version: ", self._buffer[:head])] += 1
        self.epochs.setdefault(_named(b"x-incumbent-epoch: ", self._buffer[:head]), time.time())
        self._buffer = b""
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an answer that did not come."""
        if self._due and self._moments:
            self.statuses["lost"] += 1
        if not self.done.done():
            self.done.set_result(None)

    def _wait(self) -> None:
        if not self._moments:
            self._transport.close()
            return
        self._due, unit = self._moments.pop()
        wait = max(0.0, self._due - time.perf_counter())
        asyncio.get_running_loop().call_later(wait, self._send, unit)

    def _send(self, unit: int) -> None:
        head = b"POST /invocations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        head += b"x-incumbent-unit: unit %d\r\ncontent-length: %d" % (unit, len(self._body))
        self._transport.write(head + END_OF_HEAD + self._body)


def _named(name: bytes, head: bytes) -> str:
    at = head.find(name)
    return head[at + len(name) :].split(b"\r\n", 1)[0].decode() if at >= 0 else ""


def moments_of(place: int, connections: int, rate: float, seconds: float, begin: float) -> list[tuple[float, int]]:
    """When a connection asks, and about which unit; the last moment first."""
    numbers = range(place, int(rate * seconds), connections)
    return [(begin + number / rate, number) for number in reversed(numbers)]


async def load(port: int, connections: int, rate: float, seconds: float, body: bytes) -> dict[str, object]:
    """Ask for some seconds at a rate."""
    loop, begin = asyncio.get_running_loop(), time.perf_counter() + 0.1
    made = []
    for place in range(connections):
        moments = moments_of(place, connections, rate, seconds, begin)
        _, connection = await loop.create_connection(
            lambda moments=moments: Connection(body, moments),  # type: ignore[misc]  # mypy does not see the default
            "127.0.0.1", port,
        )  # fmt: skip
        made.append(connection)
    await asyncio.gather(*(connection.done for connection in made))
    times = sorted(each for connection in made for each in connection.times)
    epochs = {epoch for connection in made for epoch in connection.epochs}
    return {
        "requests": len(times),
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
        "max_ms": 1e3 * times[-1],
        "statuses": dict(sum((each.statuses for each in made), Counter())),
        "versions": dict(sum((each.versions for each in made), Counter())),
        "epochs": {epoch: _first_and_last(epoch, made) for epoch in epochs},
    }


def _first_and_last(epoch: str, made: list[Connection]) -> tuple[float, float]:
    seen = [connection.epochs[epoch] for connection in made if epoch in connection.epochs]
    return min(seen), max(seen)


if __name__ == "__main__":
    port, connections, rate, seconds, path = sys.argv[1:]
    told = load(int(port), int(connections), float(rate), float(seconds), Path(path).read_bytes())
    print(json.dumps(uvloop.run(told)))
