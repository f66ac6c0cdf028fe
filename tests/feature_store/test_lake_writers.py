"""Writers at the same time, in processes of their own, on one machine and on several."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from feature_store.errors import TableChangedError, TableLockedError
from feature_store.storage.lake import ABSENT, Lake, Limits
from feature_store.storage.tables import SEQUENCE

WRITERS, BATCHES = 4, 4

WRITING = """
import json, sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from feature_store.storage.lake import Lake, Limits
from test_ingest import observed, take, weather_of
root, options, locks, writer, go = json.loads(sys.argv[1])
lake = Lake(root, options, limits=Limits(lock_folder=locks))
source = weather_of(expect=[])
Path(go, str(writer)).touch()
while not Path(go, "go").exists():
    time.sleep(0.01)
for number in range({batches}):
    # Everybody sends the same batch; then one of its own, of rows that others send too, and one row of its own.
    take(source, observed(1.0, 2.0, origin=f"all-{{number}}"), lake, f"all-{{number}}")
    mine = observed(3.0, origin=f"shared-{{number}}").vstack(observed(4.0, origin=f"own-{{writer}}-{{number}}"))
    mine = mine.vstack(observed(float(writer), origin=f"disputed-{{number}}"))
    take(source, mine, lake, f"own-{{writer}}-{{number}}")
"""


def write_at_once(lake: Lake, tmp_path: Path, lock_folders: list[str | None]) -> None:
    go = tmp_path / "go"
    go.mkdir()
    script = WRITING.format(path=[str(Path(__file__).parent), str(Path.cwd())], batches=BATCHES)
    given = [(lake.root, lake.storage_options, locks, writer, str(go)) for writer, locks in enumerate(lock_folders)]
    writers = [
        subprocess.Popen([sys.executable, "-c", script, json.dumps(one)], stderr=subprocess.PIPE, text=True)
        for one in given
    ]
    try:
        while len(list(go.iterdir())) < len(writers):
            assert all(one.poll() is None for one in writers), [one.communicate()[1] for one in writers]
        (go / "go").touch()
        ended = [(one.communicate()[1], one.returncode) for one in writers]
    finally:
        for one in writers:
            one.kill()
    assert [code for _, code in ended] == [0] * len(writers), [told for told, _ in ended]


def check_every_row_is_there_once(lake: Lake) -> None:
    rows = lake.read("sources/weather")
    expected = {f"all-{number}": 2 for number in range(BATCHES)} | {f"shared-{number}": 1 for number in range(BATCHES)}
    expected |= {f"own-{writer}-{number}": 1 for writer in range(WRITERS) for number in range(BATCHES)}
    expected |= {f"disputed-{number}": 1 for number in range(BATCHES)}
    assert Counter(rows["origin"]) == expected
    assert sorted(rows[SEQUENCE]) == list(range(rows.height))
    apart = lake.read("quarantine/weather")
    assert apart["reason"].unique().to_list() == ["duplicate key with other values"]
    assert apart.height == apart["_row_digest"].n_unique() == (WRITERS - 1) * BATCHES
    assert lake.read("batches/weather")["batch"].is_unique().all()


def test_four_processes_of_one_machine_end_with_every_row_once(open_lake: Callable[[], Lake], tmp_path: Path) -> None:
    write_at_once(open_lake(), tmp_path, [None] * WRITERS)
    check_every_row_is_there_once(open_lake())


def test_four_processes_of_two_machines_end_with_every_row_once(open_lake: Callable[[], Lake], tmp_path: Path) -> None:
    machines = [str(tmp_path / f"machine-{number % 2}") for number in range(WRITERS)]
    write_at_once(open_lake(), tmp_path, machines)
    check_every_row_is_there_once(open_lake())


def test_rows_that_were_decided_on_an_older_version_are_not_appended(open_lake: Callable[[], Lake]) -> None:
    mine, theirs = open_lake(), open_lake()
    row = pl.DataFrame({"a": [1]})
    assert mine.append("t", row, batch="1", decided_on=ABSENT) == 1
    with pytest.raises(TableChangedError, match="Table 't' went from version -1 to 0"):
        theirs.append("t", row, batch="2", decided_on=ABSENT)
    assert theirs.append("t", row, batch="1", decided_on=ABSENT) == 0, "its own batch is met again"
    assert theirs.append("t", row, batch="2", decided_on=0) == 1
    assert mine.read("t").height == 2


HOLDING = """
import sys
from feature_store.storage.lake import Lake
with Lake(sys.argv[1]).writing("t"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_table_that_another_process_holds_is_an_error_that_names_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lake = Lake(tmp_path, limits=Limits(lock_seconds=0.1))

        with pytest.raises(TableLockedError, match=rf"Table 't' was locked for 0.1 s by process {holder.pid} on "):
            lake.append("t", pl.DataFrame({"a": [1]}), batch="1")
    finally:
        holder.kill()
        holder.wait()
    assert lake.append("t", pl.DataFrame({"a": [1]}), batch="1") == 1, "a lock ends with its process"


APPENDING = """
import json, sys
import polars as pl
from feature_store.storage.lake import Lake
root, options = json.loads(sys.argv[1])
lake = Lake(root, options)
for number in range(1, 30):
    assert lake.append("t", pl.DataFrame({"batch": [number] * 50}), batch=str(number)) == 50
"""
COMPACTING = """
import json, sys
from feature_store.storage.lake import Lake
root, options = json.loads(sys.argv[1])
lake, compacted = Lake(root, options), 0
while lake.read("t")["batch"].max() < 29:
    done = lake.compact("t")
    compacted += done.files_before > done.files_after
print(compacted)
"""


def test_readers_and_appenders_are_not_disturbed_by_compactions_beside_them(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    lake.append("t", pl.DataFrame({"batch": [0] * 50}), batch="0")
    given = json.dumps([lake.root, lake.storage_options])
    beside = [
        subprocess.Popen(
            [sys.executable, "-c", script, given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for script in (APPENDING, COMPACTING)
    ]
    try:
        seen = 0
        while any(one.poll() is None for one in beside):
            counts = Counter(lake.read("t")["batch"])
            assert set(counts.values()) == {50}
            assert len(counts) >= seen, "what was read once is not gone the next time"
            seen = len(counts)
        told = [one.communicate() for one in beside]
    finally:
        for one in beside:
            one.kill()
    assert [one.returncode for one in beside] == [0, 0], told
    assert int(told[1][0]) > 0, "it compacted while rows came"
    assert sorted(lake.read("t")["batch"].unique()) == list(range(30))
