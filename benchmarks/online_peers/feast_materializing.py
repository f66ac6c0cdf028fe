"""Feast writes ten features of every entity into SQLite; run by the Python of .venv-peers.

    python -m benchmarks.online_peers.feast_materializing ENTITIES

What it costs to materialize one entity comes off: start-up is not counted, as it is not for the others.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd

from benchmarks.contenders.meter import least_cost, peak_mb
from benchmarks.online_peers.by_feast import file_of, frame_of, store_of
from benchmarks.online_peers.question import VIEWS, WRITTEN


def materialized(entities: int) -> dict[str, float]:
    """The cost of `materialize` in a repository of its own."""
    scratch = Path(tempfile.mkdtemp(prefix="incumbent-feast-"))
    for view in range(VIEWS):
        frame_of(view, range(entities), pd.Timestamp(WRITTEN)).to_parquet(file_of(scratch, view))
    store = store_of({"type": "sqlite", "path": str(scratch / "online.db")}, scratch)
    day = timedelta(days=1)
    cost, _ = least_cost(lambda: store.materialize(WRITTEN - day, WRITTEN + day), 1)
    return cost


def main() -> None:
    """One entity twice, of which the second run is start-up, then all of them."""
    materialized(1)
    start_up = materialized(1)["cpu_s"]
    cost = materialized(int(sys.argv[1]))
    cpu_s = cost["cpu_s"] - start_up
    told = {"start_up_cpu_s": start_up, "peak_mb": peak_mb(), "entities": int(sys.argv[1])}
    print(json.dumps({"cpu_s": cpu_s, "wall_s": cost["wall_s"], **told}))


if __name__ == "__main__":
    main()
