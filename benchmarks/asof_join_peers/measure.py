"""One engine in this process: what its answer costs, and the answer as a file.

python -m benchmarks.asof_join_peers.measure ENGINE QUESTIONS FOLDER ROUNDS
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.contenders.meter import least_cost, peak_mb


def main() -> None:
    """Measure, keep the answer, print the cost."""
    engine, questions, folder, rounds = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    answer = importlib.import_module(f"benchmarks.asof_join_peers.by_{engine}").prepared(folder, questions)
    cost, found = least_cost(answer, rounds)
    cost["peak_mb"] = peak_mb()
    _keep(found, folder / f"{engine}-{questions}.parquet")
    print(json.dumps(cost))


def _keep(found: Any, path: Path) -> None:
    """Write a frame of Polars, pandas or Arrow."""
    if hasattr(found, "write_parquet"):
        found.write_parquet(path)
    elif hasattr(found, "to_parquet"):
        found.to_parquet(path)
    else:
        import pyarrow.parquet as parquet

        parquet.write_table(found, path)


if __name__ == "__main__":
    main()
