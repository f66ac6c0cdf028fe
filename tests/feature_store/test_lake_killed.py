"""kill -9 during an append and during a compaction: nothing acknowledged is lost, and no table is left half written."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import polars as pl
import pytest

from feature_store.storage.lake import Lake

ROWS = 200

WORKING = """
import json, sys
import polars as pl
from feature_store.storage.lake import Lake
root, options, first = json.loads(sys.argv[1])
lake = Lake(root, options)
lake.exists("t")
print("appending", flush=True)
for number in range(first, first + 10_000):
    rows = pl.DataFrame({{"batch": [number] * {rows}, "row": range({rows})}})
    lake.append("t", rows, batch=str(number))
    print(number, flush=True)
    if {compacts} and number % 8 == 7:
        print("compacting", flush=True)
        lake.compact("t")
        print("compacted", flush=True)
"""


def batch(number: int) -> pl.DataFrame:
    return pl.DataFrame({"batch": [number] * ROWS, "row": range(ROWS)})


def killed(lake: Lake, first: int, *, at: str, after: float) -> list[int]:
    """Let a process append, and compact where asked to; kill it `after` seconds behind the line `at`.

    Returns:
        the batches that it acknowledged.
    """
    script = WORKING.format(rows=ROWS, compacts=at == "compacting")
    child = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps([lake.root, lake.storage_options, first])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    told: list[str] = []
    while not told or told[-1] != at:
        told.append(child.stdout.readline().strip())
        assert told[-1], child.communicate()[1]
    time.sleep(after)
    child.send_signal(signal.SIGKILL)
    # Not `communicate`, which reads past what `readline` has taken ahead.
    rest, errors = child.stdout.read(), child.communicate()[1]
    assert child.returncode == -signal.SIGKILL, errors
    return [int(line) for line in [*told, *rest.splitlines()] if line.isdigit()]


def check_whole(lake: Lake, acknowledged: set[int]) -> set[int]:
    """Every batch that is there is whole, and every one acknowledged is there; returns those that are there."""
    if not lake.exists("t"):
        assert not acknowledged
        return set()
    found = Counter(lake.read("t")["batch"])
    assert acknowledged <= set(found)
    assert set(found.values()) <= {ROWS}
    assert all(lake.has_batch("t", str(number)) for number in found)
    return set(found)


def kill_again_and_again(open_lake: Callable[[], Lake], times: int, *, compacting: bool) -> None:
    moment = random.Random(14)
    acknowledged: set[int] = set()
    for turn in range(times):
        first = turn * 10_000
        at = "compacting" if compacting else str(first + moment.randint(0, 6))
        told = killed(open_lake(), first, at=at, after=moment.uniform(0, 0.03))
        acknowledged |= set(told)

        there = check_whole(open_lake(), acknowledged)

        # What was not acknowledged is sent again: it is there once, whether it had come through or not.
        again = first + len(told)
        assert open_lake().append("t", batch(again), batch=str(again)) == (0 if again in there else ROWS)
        acknowledged.add(again)
        assert check_whole(open_lake(), acknowledged) == there | {again}
    assert len(acknowledged) > times, "batches were acknowledged before the kill"
    open_lake().compact("t")
    assert check_whole(open_lake(), acknowledged) == acknowledged


def test_three_kills_during_appends_lose_nothing_acknowledged(open_lake: Callable[[], Lake]) -> None:
    kill_again_and_again(open_lake, 3, compacting=False)


def test_three_kills_during_compactions_leave_no_half_table(open_lake: Callable[[], Lake]) -> None:
    kill_again_and_again(open_lake, 3, compacting=True)


@pytest.mark.stress
def test_twenty_kills_during_appends_lose_nothing_acknowledged(open_lake: Callable[[], Lake]) -> None:
    kill_again_and_again(open_lake, 20, compacting=False)


@pytest.mark.stress
def test_twenty_kills_during_compactions_leave_no_half_table(open_lake: Callable[[], Lake]) -> None:
    kill_again_and_again(open_lake, 20, compacting=True)
