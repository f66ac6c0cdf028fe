"""The request log is brought into the lake: each record once, whoever dies in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from feature_store.storage.lake import Lake
from flows.frames import predictions_table, requests_table
from flows.request_frames import frames
from flows.requests import into_the_lake
from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.request_log.asked import Asked
from mlflow_plugins.request_log.lines import Undecoded
from mlflow_plugins.request_log.options import LogOptions
from mlflow_plugins.request_log.reading import read_segment
from mlflow_plugins.request_log.segment import Finished, segments
from mlflow_plugins.request_log.writer import RequestLog, model_folder

COLUMNS = (Column("hour", Kind.DOUBLE), Column("carrier", Kind.STRING))
SERVED = Served("late", 3, 7, "", Tier.TYPED, COLUMNS, None, None, None, (), keys={"id": "Int64"})  # type: ignore[arg-type]
ANSWER = b'{"predictions": [[0.75, 0.25]]}'
AS_OF = datetime(2021, 3, 1, 5, tzinfo=UTC)


def write_log(folder: Path, records: int, *, roll_bytes: int = 1_000) -> set[str]:
    """Some finished segments; the ids of their records."""
    log = RequestLog(LogOptions(folder=str(folder), roll_bytes=roll_bytes))
    found = set()
    for number in range(records):
        asked = Asked(int(AS_OF.timestamp() * 1e6) + number, [(number,)])
        found.add(log.answered(SERVED, [(float(number),), ("UA",)], ANSWER, asked).decode())
    found.add(log.undecoded(SERVED, Undecoded("text/csv", b"hour\n5", 400, b"no")).decode())
    log.close()
    return found


def compact(lake: Lake, folder: Path) -> None:
    for path in segments(model_folder(folder, "late")):
        taken = Finished.taken(path)
        if taken is not None:
            into_the_lake(lake, "late", taken, {})
            taken.release()


def in_the_lake(root: Path) -> list[str]:
    lake = Lake(root)
    predicted = [one.rpartition(".")[0] for one in lake.read(predictions_table("late"))["prediction_id"]]
    return sorted([*predicted, *lake.read(requests_table("late"))["request_id"]])


def test_every_record_is_in_the_lake_once_and_the_segments_are_gone(tmp_path: Path) -> None:
    ids = write_log(tmp_path / "requests", 30)

    compact(Lake(tmp_path / "lake"), tmp_path / "requests")
    compact(Lake(tmp_path / "lake"), tmp_path / "requests")

    assert in_the_lake(tmp_path / "lake") == sorted(ids)
    assert segments(model_folder(tmp_path / "requests", "late")) == []
    row = Lake(tmp_path / "lake").read(predictions_table("late")).sort("as_of").row(2, named=True)
    assert {**row, "prediction_id": "", "served_at": AS_OF} == {
        "id": 2, "feature.hour": 2.0, "feature.carrier": "UA", "prediction_id": "", "prediction": 0.25,
        "model": "late", "version": 3, "epoch": 7, "as_of": AS_OF.replace(microsecond=2), "served_at": AS_OF,
        "variant": "champion", "origin": "server",
    }  # fmt: skip


def test_a_text_that_no_column_can_hold_is_kept_beside_and_keeps_nothing_else_back(tmp_path: Path) -> None:
    body = b'{"dataframe_split": {"columns": ["hour", "carrier"], "data": [[5.0, "\\ud800"]]}}'
    log = RequestLog(LogOptions(folder=str(tmp_path / "requests")))
    ids = [log.undecoded(SERVED, Undecoded("application/json", body, 200, ANSWER)).decode()]
    ids.append(log.answered(SERVED, [(5.0,), ("UA",)], ANSWER).decode())
    log.close()

    compact(Lake(tmp_path / "lake"), tmp_path / "requests")

    assert in_the_lake(tmp_path / "lake") == sorted([f"{ids[0]}.0", ids[1]])
    (request,) = Lake(tmp_path / "lake").read(requests_table("late")).to_dicts()
    assert json.loads(request["body"])["feature.carrier"] == "\ud800"


def test_two_at_once_bring_each_record_once(tmp_path: Path) -> None:
    ids = write_log(tmp_path / "requests", 40)
    together = threading.Barrier(3)

    def one() -> None:
        lake = Lake(tmp_path / "lake")
        together.wait()
        compact(lake, tmp_path / "requests")

    with ThreadPoolExecutor(3) as three:
        for done in [three.submit(one) for _ in range(3)]:
            done.result()

    assert in_the_lake(tmp_path / "lake") == sorted(ids)


def test_a_segment_that_is_in_the_lake_already_is_only_removed(tmp_path: Path) -> None:
    """As after a kill between the commit and the removal."""
    ids = write_log(tmp_path / "requests", 5)
    kept = {path: path.read_bytes() for path in segments(model_folder(tmp_path / "requests", "late"))}
    compact(Lake(tmp_path / "lake"), tmp_path / "requests")
    for path, content in kept.items():
        path.write_bytes(content)

    compact(Lake(tmp_path / "lake"), tmp_path / "requests")

    assert in_the_lake(tmp_path / "lake") == sorted(ids)
    assert segments(model_folder(tmp_path / "requests", "late")) == []


COMPACT = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {root!r}]
from test_request_log import Lake, compact
print("ready", flush=True)
sys.stdin.readline()
compact(Lake({lake!r}), Path({log!r}))
"""


def test_a_compaction_that_is_killed_anywhere_and_run_again_brings_each_record_once(tmp_path: Path) -> None:
    ids = write_log(tmp_path / "requests", 120, roll_bytes=400)
    names = {"here": str(Path(__file__).parent), "root": str(Path(__file__).parents[2])}
    code = COMPACT.format(**names, lake=str(tmp_path / "lake"), log=str(tmp_path / "requests"))
    total = len(segments(model_folder(tmp_path / "requests", "late")))
    killed = 0
    for part in (0.2, 0.6):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        while len(segments(model_folder(tmp_path / "requests", "late"))) > (1 - part) * total:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL

    left = len(segments(model_folder(tmp_path / "requests", "late")))
    compact(Lake(tmp_path / "lake"), tmp_path / "requests")

    assert killed == 2
    assert left > 0
    assert in_the_lake(tmp_path / "lake") == sorted(ids)


def test_a_table_that_batch_scoring_wrote_keeps_its_types_and_what_they_cannot_hold_is_kept_beside(
    tmp_path: Path,
) -> None:
    log = RequestLog(LogOptions(folder=str(tmp_path)))
    for hour, key in ((5.0, 1), (5.5, 2), (None, 3)):
        log.answered(SERVED, [(hour,), ("UA",)], ANSWER, Asked(None, [(key,)]))
    log.close()
    (path,) = segments(model_folder(tmp_path, "late"))
    taken = Finished.taken(path)
    assert taken is not None
    stored = {"id": pl.Int64(), "feature.hour": pl.Int8(), "feature.seats": pl.Int64()}

    found = frames(read_segment(taken.name, taken.lines()[0], "feature.{}"), {}, stored)

    taken.release()
    assert found.predictions.select("id", "feature.hour", "feature.seats").rows() == [(1, 5, None), (3, None, None)]
    assert {**stored}.items() <= dict(found.predictions.schema).items()
    assert found.requests["status"].to_list() == [200]
    assert json.loads(found.requests["body"][0]) == {"id": 2, "feature.hour": 5.5, "feature.carrier": "UA"}


@pytest.mark.parametrize(
    ("dtype", "value", "wanted"),
    [
        (pl.Date(), "2013-02-01", "2013-02-01"),
        (pl.Date(), 15_737, "2013-02-01"),
        (pl.Datetime("us", "UTC"), "2013-02-01T05:00:00+01:00", "2013-02-01 04:00:00+00:00"),
        (pl.Datetime("us", "UTC"), "2013-02-01", "2013-02-01 00:00:00+00:00"),
        (pl.Boolean(), 1.0, "True"),
        (pl.Int32(), 7.0, "7"),
        (pl.Float32(), 7, "7.0"),
    ],
)
def test_values_are_read_back_in_the_type_of_their_column(dtype: pl.DataType, value: object, wanted: str) -> None:
    log_row = {"x": value, "prediction_id": "s.0.0", "model": "m", "version": 1, "epoch": 0, "as_of": 1,
               "served_at": 1, "prediction": 1, "variant": "champion", "origin": "server"}  # fmt: skip
    read = read_segment("s", [])
    read.predictions.append(log_row)

    assert str(frames(read, {}, {"x": dtype}).predictions["x"][0]) == wanted
