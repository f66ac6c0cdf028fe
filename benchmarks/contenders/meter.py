"""What a piece of work costs: CPU of all threads, wall time, and the peak of the process' memory.

The standard library alone, because the peers' environment runs it too.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def least_cost(work: Callable[[], Any], rounds: int) -> tuple[dict[str, float], Any]:
    """CPU and wall seconds of the round that cost the least CPU, and what the last round returned.

    The least, because what disturbs a round only ever adds to it; the same for every contender.
    """
    costs = []
    found = None
    for _ in range(rounds):
        found = None
        cpu, wall = time.process_time(), time.perf_counter()
        found = work()
        costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu_s, wall_s = min(costs)
    return {"cpu_s": cpu_s, "wall_s": wall_s}, found


def peak_mb() -> float:
    """The most memory that this program has had, in units of 2**20 bytes.

    Where the kernel tells it of the program: `ru_maxrss` begins with the size of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def call_cost(answer: Callable[[Any], Any], asked: Sequence[Any], seconds: float, rounds: int = 5) -> dict[str, float]:
    """Microseconds of a call: CPU in the round that cost the least, and the 99th percentile of wall time over all.

    Args:
        asked: the arguments of the calls of a round; fewer of them where a round would take much longer than `seconds`.
    """
    began = time.process_time()
    for one in asked[:10]:
        answer(one)
    each = max((time.process_time() - began) / 10, 1e-7)
    asked = asked[: max(20, int(seconds / each))]
    least, walls = float("inf"), []
    for _ in range(rounds):
        began = time.process_time()
        for one in asked:
            answer(one)
        least = min(least, (time.process_time() - began) / len(asked))
        walls += [_wall(answer, one) for one in asked]
    return {"cpu_us": least * 1e6, "p99_us": sorted(walls)[int(0.99 * len(walls))] * 1e6}


def _wall(answer: Callable[[Any], Any], one: Any) -> float:
    began = time.perf_counter()
    answer(one)
    return time.perf_counter() - began
