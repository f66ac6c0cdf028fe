"""What it costs to bring ten features of a million entities online: ours, LMDB by hand, and Feast into SQLite.

Two views of five numbers from a lake whose rows are in memory; a process for each contender, CPU of its work without
start-up. Feast writes fewer entities, since a million take it minutes; its own start-up comes off and is shown. Then
every row is told anew and materialized again while a reader reads: no read may be lost. The last line is JSON.

    python -m benchmarks.materialize
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders.apart import ROOT, run_apart, run_peer
from benchmarks.online_peers.question import FEW_KEYS, KEYS
from benchmarks.online_peers.stores import tell_again, write_latest

MATERIALIZING = "benchmarks.online_peers.materializing"


def main() -> None:
    """Measure, print a table and the JSON."""
    with tempfile.TemporaryDirectory(prefix="incumbent-materialize-") as scratch:
        folder = Path(scratch)
        write_latest(KEYS, folder, [])
        costs = {name: run_apart(MATERIALIZING, name, folder, KEYS) for name in ("incumbent", "raw")}
        costs["feast"] = run_peer("benchmarks.online_peers.feast_materializing", FEW_KEYS)
        beside = read_beside(folder, KEYS)
    result = told(costs) | {"reader_beside": beside}
    for name, cost in costs.items():
        print(f"{name:10} {result['cpu_us_an_entity'][name]:>9.2f} CPU us an entity, {cost['entities']:,} entities")
    print(json.dumps(result))


def read_beside(folder: Path, entities: int) -> dict[str, float]:
    """Materialize every entity again while another process reads; what that process tells."""
    tell_again(entities, folder)
    stop = folder / "stop"
    command = [sys.executable, "-m", "benchmarks.online_peers.reading_beside", str(folder), str(entities), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        try:
            again = run_apart(MATERIALIZING, "incumbent", folder, entities)
        finally:
            stop.touch()
        said, _ = reader.communicate()
    if reader.returncode:
        raise subprocess.CalledProcessError(reader.returncode, command)
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found | {"writer_cpu_us_an_entity": round(1e6 * again["cpu_s"] / entities, 2)}


def told(costs: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The figures by contender, and the ratios that are asked for."""
    each = {name: 1e6 * cost["cpu_s"] / cost["entities"] for name, cost in costs.items()}
    return {
        "cpu_us_an_entity": {name: round(us, 2) for name, us in each.items()},
        "peak_mb": {name: round(cost["peak_mb"]) for name, cost in costs.items()},
        "entities": {name: cost["entities"] for name, cost in costs.items()},
        "feast_start_up_cpu_s": round(costs["feast"]["start_up_cpu_s"], 2),
        "incumbent_to_raw": round(each["incumbent"] / each["raw"], 2),
        "feast_to_incumbent": round(each["feast"] / each["incumbent"], 1),
    }


if __name__ == "__main__":
    main()
