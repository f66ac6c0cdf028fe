"""What a piece of work costs: CPU of all threads, wall time, and the peak of the process' memory.

The standard library alone, because the peers' environment runs it too.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
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
