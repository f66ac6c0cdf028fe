"""A reader beside a writer: it asks for entities of a view that is there until it is told to stop, and counts.

python -m benchmarks.online_peers.reading_beside FOLDER ENTITIES STOP-FILE
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from benchmarks.online_peers.by_incumbent import lmdb
from benchmarks.online_peers.question import values

_PAUSE = 0.001
"""Seconds between two reads, so that the reader does not take the writer's core."""


def main() -> None:
    """Say that reading begins, read until the file is there, and tell how many reads there were and what they took."""
    folder, entities, stop = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    answer, chosen = lmdb(folder, "", entities), random.Random(0)
    walls, lost = [], 0
    print("reading", flush=True)
    while not stop.exists():
        for _ in range(100):
            entity = chosen.randrange(entities)
            began = time.perf_counter()
            (row,) = answer([{"entity": entity}])
            walls.append(time.perf_counter() - began)
            lost += row != values(entity)
            time.sleep(_PAUSE)
    walls.sort()
    print(json.dumps({"reads": len(walls), "lost": lost, "p99_us": round(walls[int(0.99 * len(walls))] * 1e6, 1)}))


if __name__ == "__main__":
    main()
