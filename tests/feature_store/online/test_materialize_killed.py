"""kill -9 during materialize: what a run had written stays, nothing is half, and the next run makes up the rest."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from feature_store.intake.ingest import ingest_batch
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.online.standing import Standing, standings
from feature_store.storage.lake import Lake

HERE = Path(__file__).parent
START = datetime(2013, 1, 1, tzinfo=UTC)
ENTITIES = 3_000

SPEC = """
import polars as pl
from polars import col
from feature_store.definitions.feature_view import latest, window
from feature_store.online.plan import OnlineViews
from feature_store.definitions.source import Source
from feature_store.definitions.spine import every, seen
meters = Source("meters", read=pl.DataFrame, key=["meter", "hour"], event_time="hour", available_at="hour",
                entity="meter")
ONLINE = OnlineViews([latest(meters, "flow", ttl="9d"), window(meters, total=col("flow").sum(), over="9d")],
                     every("06:00", seen(meters, within="9d")))
"""
# It tells each batch that is on disk, goes on meanwhile, and waits before the last one of all: the kill always comes
# before the run is through, however fast or slow the machine is.
WORKING = """
import json, signal, sys
from datetime import datetime
from feature_store.storage.lake import Lake
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materializing
root, online, as_of = json.loads(sys.argv[1])
through = 0
for batch in materializing(ONLINE, Lake(root), LmdbStore(online), as_of=datetime.fromisoformat(as_of), chunk_rows=40):
    print("batch", flush=True)
    through += batch.last
    if through == len(ONLINE.parts) - 1 and batch.done == batch.todo and not batch.last:
        print("waiting", flush=True)
        signal.pause()
"""
NAMES: dict[str, object] = {}
exec(SPEC, NAMES)
ONLINE = NAMES["ONLINE"]
assert isinstance(ONLINE, OnlineViews)
TYPES = {"meter": pl.Int64()}


def batch(number: int) -> pl.DataFrame:
    """A row for every meter but those of the last batches, which would otherwise all be touched again."""
    meters = [one for one in range(ENTITIES) if number == 0 or one % 2 == number % 2]
    hour = START + timedelta(hours=number)
    frame = pl.DataFrame({"meter": meters, "hour": hour, "flow": [number + one / 7 for one in meters]})
    return frame.with_columns(pl.col("hour").cast(pl.Datetime("us", "UTC")))


def killed(lake: Lake, online: Path, as_of: datetime, batches: int) -> None:
    """Let a process materialize, and kill it when it has told so many batches, or all but the last."""
    child = subprocess.Popen(
        [sys.executable, "-c", SPEC + WORKING, json.dumps([lake.root, str(online), as_of.isoformat()])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    for _ in range(batches):
        told = child.stdout.readline().strip()
        if told == "waiting":
            break
        assert told == "batch", child.communicate()[1]
    child.send_signal(signal.SIGKILL)
    _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors


def seen(online: Path, as_of: datetime) -> list[tuple[object, ...]]:
    store = LmdbStore(online)
    rows = OnlineReader(ONLINE, store, types=TYPES).read([{"meter": one} for one in range(ENTITIES)], as_of).rows
    store.close()
    return rows


def standing(lake: Lake, online: Path) -> list[Standing]:
    store = LmdbStore(online)
    found = standings(ONLINE, store, lake)
    store.close()
    return found


def made(lake: Lake, online: Path, as_of: datetime, chunk_rows: int) -> None:
    store = LmdbStore(online, patience=1)
    materialize(ONLINE, lake, store, as_of=as_of, chunk_rows=chunk_rows)
    store.close()


def kill_again_and_again(tmp_path: Path, kills: int) -> None:
    lake, online, source = Lake(tmp_path / "lake"), tmp_path / "online", NAMES["meters"]
    random_ = random.Random(7)
    ingest_batch(source, batch(0), lake, as_of=START, batch="0")  # type: ignore[arg-type]
    for number in range(1, kills + 1):
        as_of = START + timedelta(hours=number)
        killed(lake, online, as_of, random_.randint(1, 90))

        assert as_of not in [one.as_of for one in standing(lake, online)][1:], "the run was not through"
        left = seen(online, as_of) if number > 1 else []
        made(lake, online, as_of, 40)
        assert [one.as_of for one in standing(lake, online)] == [as_of, as_of]
        made(lake, tmp_path / f"whole{number}", as_of, 1_000_000)

        whole = seen(tmp_path / f"whole{number}", as_of)
        assert seen(online, as_of) == whole
        earlier = seen(tmp_path / f"whole{number - 1}", as_of) if number > 1 else []
        for found, old, new in zip(left, earlier, whole, strict=bool(left)):
            assert all(one in {before, after} for one, before, after in zip(found, old, new, strict=True))
        ingest_batch(source, batch(number), lake, as_of=as_of, batch=str(number))  # type: ignore[arg-type]


@pytest.mark.timeout(300)
def test_a_killed_run_loses_nothing_and_is_taken_up(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 3)


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_twenty_killed_runs_lose_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 20)
