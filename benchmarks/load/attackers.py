"""Clients that mean no good: some send a head byte by byte, some send bodies that are too large.

    python -m benchmarks.load.attackers PORT SECONDS SLOW LARGE

Its last line is JSON: how often each kind was turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

HEAD = b"POST /invocations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
PART = b"20000\r\n" + b"x" * 0x20000 + b"\r\n"
_PACE = 0.01  # between two parts: an attacker has a network between, and this machine only two cores


async def slow(port: int, until: float, turned_away: Counter[str]) -> None:
    """A byte each half second, again and again."""
    while time.perf_counter() < until:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in HEAD:
                writer.write(bytes([byte]))
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        turned_away[(await reader.readuntil(b"\r\n"))[9:12].decode()] += 1
                        break
                if time.perf_counter() > until:
                    break
            writer.close()


async def large(port: int, until: float, turned_away: Counter[str]) -> None:
    """A body without an end."""
    while time.perf_counter() < until:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            answer = asyncio.create_task(reader.readuntil(b"\r\n"))
            while not answer.done() and time.perf_counter() < until:
                writer.write(PART)
                await writer.drain()
                await asyncio.sleep(_PACE)
            if answer.done():
                turned_away[answer.result()[9:12].decode()] += 1
            answer.cancel()
            writer.close()


async def attack(port: int, seconds: float, slow_ones: int, large_ones: int) -> Counter[str]:
    """Both kinds for some seconds."""
    until, turned_away = time.perf_counter() + seconds, Counter[str]()
    clients = [slow(port, until, turned_away) for _ in range(slow_ones)]
    clients += [large(port, until, turned_away) for _ in range(large_ones)]
    await asyncio.gather(*clients)
    return turned_away


if __name__ == "__main__":
    port, seconds, slow_ones, large_ones = sys.argv[1:]
    print(json.dumps(asyncio.run(attack(int(port), float(seconds), int(slow_ones), int(large_ones)))))
