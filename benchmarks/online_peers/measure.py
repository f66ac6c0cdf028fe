"""One contender in this process: CPU of a call, and the 99th percentile of its wall time.

python -m benchmarks.online_peers.measure ENGINE STORE FOLDER REDIS-URL KEYS
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from benchmarks.contenders.meter import call_cost
from benchmarks.online_peers.question import SIZES, calls, values

COUNTS = {1: 4000, 100: 200}


class WrongAnswerError(AssertionError):
    """A contender says something else than what was written."""

    def __init__(self, entity: int, found: object) -> None:
        super().__init__(f"entity {entity} has {values(entity)}, and the answer was {found}; nothing was measured")


def main() -> None:
    """Check some answers, measure, print the cost by the number of entities."""
    engine, kind, folder, url, keys = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    answer = getattr(importlib.import_module(f"benchmarks.online_peers.by_{engine}"), kind)(folder, url, keys)
    cost = {}
    for size in SIZES:
        asked = calls(size, keys, COUNTS[size])
        for one in asked[:5] if "windows" not in kind else []:
            check(one, answer(one))
        cost[str(size)] = call_cost(answer, asked, seconds=0.4)
    print(json.dumps(cost))


def check(questions: list[dict[str, int]], rows: list[tuple[object, ...]]) -> None:
    """Raise a WrongAnswerError where a row is not what was written."""
    for question, row in zip(questions, rows, strict=True):
        if tuple(row) != values(question["entity"]):
            raise WrongAnswerError(question["entity"], row)


if __name__ == "__main__":
    main()
