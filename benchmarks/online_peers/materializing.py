"""One contender writes ten features of every entity, in this process: CPU, wall time, and how many entities.

python -m benchmarks.online_peers.materializing CONTENDER FOLDER ENTITIES
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import polars as pl

from benchmarks.contenders.meter import least_cost, peak_mb
from benchmarks.online_peers.question import ASKED, COLUMNS, names
from benchmarks.online_peers.stores import NEWEST, latest_views, write_latest
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.storage.lake import Lake
from feature_store.storage.tables import table_of

_BATCH = 250_000


def by_incumbent(folder: Path) -> Callable[[], object]:
    """From the lake, whose rows are in memory, into LMDB, as `materialize` does it."""
    with tempfile.TemporaryDirectory() as scratch:  # what is imported at the first run is start-up
        write_latest(1, Path(scratch), [LmdbStore(Path(scratch) / "online")])
    lake, store = _lake(folder), LmdbStore(folder / "online")
    return lambda: materialize(latest_views(), lake, store, as_of=ASKED)


def by_hand(folder: Path) -> Callable[[], object]:
    """The limit: the newest row of each entity from the same tables, packed and put in order, and nothing else."""
    lake = _lake(folder)
    environment = lmdb.open(str(folder / "raw"), map_size=4 << 30)

    def write() -> None:
        for view, source in enumerate(NEWEST):
            rows = lake.read(table_of(source), ["entity", "event_time", *names(view)])
            newest = rows.sort("entity", "event_time").unique("entity", keep="last", maintain_order=True)
            _put(environment, str(view).encode() * 8, newest.drop("event_time"))

    return write


def _put(environment: lmdb.Environment, prefix: bytes, newest: pl.DataFrame) -> None:
    keys = np.zeros(newest.height, [("prefix", "S8"), ("entity", ">u8")])
    keys["prefix"], keys["entity"] = prefix, newest["entity"].to_numpy()
    values = np.ascontiguousarray(newest.drop("entity").to_numpy())
    items = list(zip(keys.view("V16").tolist(), values.view(f"V{8 * COLUMNS}").ravel().tolist(), strict=True))
    for begin in range(0, len(items), _BATCH):
        with environment.begin(write=True) as transaction:
            transaction.cursor().putmulti(items[begin : begin + _BATCH], append=True)


def _lake(folder: Path) -> Lake:
    lake = Lake(folder / "lake")
    for source in NEWEST:
        lake.read(table_of(source))
    return lake


CONTENDERS = {"incumbent": by_incumbent, "raw": by_hand}


def main() -> None:
    """Measure once: a store that is written already has nothing to do."""
    work = CONTENDERS[sys.argv[1]](Path(sys.argv[2]))
    cost, _ = least_cost(work, 1)
    print(json.dumps({**cost, "peak_mb": peak_mb(), "entities": int(sys.argv[3])}))


if __name__ == "__main__":
    main()
