"""What a read of ten online features costs, for 1 and for 100 entities: ours, by hand, and Feast.

Two views of five numbers, a million keys each; and windows, 24 hourly tiles finished at the read, ten features again.
`raw` is the limit: one transaction, `get`, `struct.unpack` and tuples, by hand. Half of what a read among a million
costs is memory that is in no cache, so each is asked among 20,000 keys too. Every contender runs in a process of its
own; CPU is that of the reading process, the round that cost the least. The last line is JSON.

    python -m benchmarks.online_read [--keys 20000]

Feast takes some three minutes of CPU to write a million keys into each of its stores; `--keys` is for a quicker look.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders.apart import run_apart, run_peer
from benchmarks.contenders.local_redis import local_redis
from benchmarks.online_peers.by_raw import write_tiles
from benchmarks.online_peers.question import FEW_KEYS, KEYS, SIZES, WINDOW_KEYS
from benchmarks.online_peers.stores import write_latest, write_windows
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.redis_store import RedisStore

CONTENDERS = {
    "incumbent_lmdb": ("incumbent", "lmdb", KEYS, run_apart),
    "raw_lmdb": ("raw", "lmdb", KEYS, run_apart),
    "incumbent_windows_lmdb": ("incumbent", "windows_lmdb", WINDOW_KEYS, run_apart),
    "raw_windows_lmdb": ("raw", "windows_lmdb", WINDOW_KEYS, run_apart),
    "incumbent_redis": ("incumbent", "redis", KEYS, run_apart),
    "raw_redis": ("raw", "redis", KEYS, run_apart),
    "feast_sqlite": ("feast", "sqlite", KEYS, run_peer),
    "incumbent_lmdb_20k": ("incumbent", "lmdb", FEW_KEYS, run_apart),
    "raw_lmdb_20k": ("raw", "lmdb", FEW_KEYS, run_apart),
    "feast_sqlite_20k": ("feast", "sqlite", FEW_KEYS, run_peer),
    "feast_redis": ("feast", "redis", KEYS, run_peer),
}
"""The engine, its store, among how many keys at most it is asked, and whose Python runs it."""
RATIOS = (
    ("incumbent_lmdb", "raw_lmdb"),
    ("incumbent_windows_lmdb", "raw_windows_lmdb"),
    ("incumbent_redis", "raw_redis"),
    ("feast_sqlite", "incumbent_lmdb"),
    ("feast_redis", "incumbent_redis"),
    ("incumbent_lmdb_20k", "raw_lmdb_20k"),
    ("feast_sqlite_20k", "incumbent_lmdb_20k"),
)
WINDOW_ENTITIES = 1_000


def main() -> None:
    """Write the stores, measure, print a table and the JSON."""
    parser = argparse.ArgumentParser(description="What a read of ten online features costs.")
    parser.add_argument("--keys", type=int, default=KEYS, help="entities in each store; 1,000 and more")
    most = parser.parse_args().keys
    with tempfile.TemporaryDirectory(prefix="incumbent-online-") as scratch, local_redis() as url:
        costs = measured(Path(scratch), url, most)
    print(json.dumps(result(costs, most)))


def measured(folder: Path, url: str, most: int) -> dict[str, dict[str, dict[str, float]]]:
    """The costs by contender and size; a line of the table as soon as one is known, because Feast takes minutes."""
    prepare(folder, url, most)
    heads = "".join(f"{f'{size}: CPU us':>14} {'p99 us':>9}" for size in SIZES)
    print(f"{'contender':24}{heads}{'keys':>11}", flush=True)
    costs = {}
    for name, (engine, kind, at_most, run) in CONTENDERS.items():
        keys = min(at_most, most)
        cost = costs[name] = run("benchmarks.online_peers.measure", engine, kind, folder, url, keys)
        cells = "".join(f"{cost[str(size)]['cpu_us']:>14.1f} {cost[str(size)]['p99_us']:>9.0f}" for size in SIZES)
        print(f"{name:24}{cells}{keys:>11,}", flush=True)
    return costs


def prepare(folder: Path, url: str, most: int) -> None:
    """Write the stores that ours and the raw contenders read."""
    store = LmdbStore(folder / "online")
    write_latest(most, folder, [store, RedisStore(url)])
    length = write_windows(min(WINDOW_KEYS, most), WINDOW_ENTITIES, folder, store)
    store.close()
    write_tiles(min(WINDOW_KEYS, most), WINDOW_ENTITIES, folder, length)


def result(costs: Mapping[str, Mapping[str, Mapping[str, float]]], most: int = KEYS) -> dict[str, Any]:
    """The figures by size and contender, and the ratios that are asked for."""
    found: dict[str, Any] = {
        figure: {str(size): {name: round(cost[str(size)][figure], 2) for name, cost in costs.items()} for size in SIZES}
        for figure in ("cpu_us", "p99_us")
    }
    found["ratios"] = {
        str(size): {
            f"{one} / {other}": round(costs[one][str(size)]["cpu_us"] / costs[other][str(size)]["cpu_us"], 2)
            for one, other in RATIOS
        }
        for size in SIZES
    }
    return found | {"keys": {name: min(keys, most) for name, (_, _, keys, _) in CONTENDERS.items()}}


if __name__ == "__main__":
    main()
