"""What is damaged, locked, full or refused says so, and never reads as a table that is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feature_store.errors import (
    LakeAccessError,
    LakeUnreachableError,
    MissingColumnsError,
    TableDamagedError,
)
from feature_store.storage.lake import Lake

ROWS = pl.DataFrame({"a": list(range(1000)), "b": [f"row {number}" for number in range(1000)]})


@pytest.fixture
def written(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    for number in range(4):
        lake.append("t", ROWS, batch=str(number))
    return Lake(tmp_path / "lake")


def a_file(lake: Lake) -> Path:
    return min((Path(lake.root) / "t").glob("*.parquet"))


def commit(lake: Lake, version: int) -> Path:
    return Path(lake.root) / "t" / "_delta_log" / f"{version:020}.json"


@pytest.mark.parametrize("left", [0, 10, 2000])
def test_a_parquet_file_that_was_cut_off_is_named_with_its_length(written: Lake, left: int) -> None:
    file = a_file(written)
    os.truncate(file, left)

    told = rf"Table 't' under .*lake is damaged: {file.name} has {left} bytes, its log says \d+\. Nothing was read"
    for read in (written.read, written.scan):
        with pytest.raises(TableDamagedError, match=told):
            read("t")


def test_a_parquet_file_with_other_bytes_cannot_be_read(written: Lake) -> None:
    file = a_file(written)
    data = file.read_bytes()
    file.write_bytes(data[:4] + bytes(len(data) - 8) + data[-4:])

    with pytest.raises(TableDamagedError, match=r"Table 't' .* is damaged: a Parquet file cannot be read"):
        written.read("t")


def test_a_parquet_file_that_is_gone_is_named(written: Lake) -> None:
    file = a_file(written)
    file.unlink()
    with pytest.raises(TableDamagedError, match=f"is damaged: {file.name} is missing"):
        written.read("t")


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_log_with_a_gap_is_damaged_and_not_shorter(written: Lake, gone: int) -> None:
    commit(written, gone).unlink()
    with pytest.raises(
        TableDamagedError, match=r"its log has a gap after commit \d|the first commit of its log is missing"
    ):
        written.exists("t")
    with pytest.raises(TableDamagedError):
        written.append("t", ROWS, batch="next")


def test_a_commit_that_is_no_json_is_damage(written: Lake) -> None:
    os.truncate(commit(written, 1), 30)
    with pytest.raises(TableDamagedError, match="a commit of its log is no JSON"):
        written.read("t")


def test_an_empty_commit_is_damage_and_not_a_commit_of_nothing(written: Lake) -> None:
    os.truncate(commit(written, 1), 0)
    with pytest.raises(TableDamagedError, match="commit 1 of its log is empty"):
        written.read("t")


def test_a_column_that_is_not_there_is_named_with_those_that_are(written: Lake) -> None:
    for read in (written.read, written.scan):
        with pytest.raises(MissingColumnsError, match=r"Table 't' lacks \['c'\]; it has \['a', 'b'\]"):
            read("t", ["a", "c"])


def test_an_error_of_a_query_is_not_taken_for_damage(written: Lake) -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError), written.reading("t"):
        written.scan("t").select("c").collect()


FULL = """
import resource, signal, sys
import numpy as np
import polars as pl
from feature_store.errors import LakeFullError
from feature_store.storage.lake import Lake
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
lake = Lake(sys.argv[1])
lake.append("t", pl.DataFrame({"x": [1.0]}), batch="1")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
told = None
try:
    lake.append("t", pl.DataFrame({"x": np.random.default_rng(0).random(200_000)}), batch="2")
except LakeFullError as error:
    told = str(error)
assert lake.append("t", pl.DataFrame({"x": [3.0]}), batch="3") == 1
print(told)
"""


def test_a_full_disk_is_an_error_and_the_batch_does_not_count(tmp_path: Path) -> None:
    # A limit on the size of a file stands in for a full disk: the write fails half-way in the same place.
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True, capture_output=True, text=True)

    assert done.stdout == (
        f"The lake {tmp_path} has no space for rows of table 't': File too large. "
        "Nothing of the batch counts as written; make space, for example by a vacuum, and run it again.\n"
    )
    lake = Lake(tmp_path)
    assert (sorted(lake.read("t")["x"]), lake.has_batch("t", "2")) == ([1.0, 3.0], False)
    assert lake.append("t", pl.DataFrame({"x": [2.0]}), batch="2") == 1


READ_ONLY = """
import os, sys
import polars as pl
from feature_store.errors import LakeAccessError
from feature_store.storage.lake import Lake
lake = Lake(sys.argv[1])
row = pl.DataFrame({"x": [1.0]})
lake.append("t", row, batch="1")
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        os.chmod(os.path.join(folder, name), 0o444)
    os.chmod(folder, 0o555)
if os.getuid() == 0:
    os.setuid(65534)  # nobody: the permissions of a folder do not bind root
for one in (lake, Lake(sys.argv[1])):
    for table in ("t", "u"):
        try:
            one.append(table, row, batch="2")
        except LakeAccessError as error:
            print(error)
print(Lake(sys.argv[1]).read("t").height)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_may_only_be_read_refuses_rows_and_is_read(open_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(open_folder)], check=True, capture_output=True, text=True
    )

    told = (
        f"The lake {open_folder} at this machine refuses access: Permission denied. "
        "Correct the access key and secret, or the permissions of the bucket or folder.\n"
    )
    assert done.stdout == told * 4 + "1\n"


def test_a_wrong_secret_is_refused_and_not_shown(s3_options: dict[str, str]) -> None:
    wrong = s3_options | {"AWS_SECRET_ACCESS_KEY": "a-secret-that-is-wrong"}
    lake = Lake("s3://lake/refused", wrong)
    calls: list[Callable[[], object]] = [
        lambda: lake.exists("t"),
        lambda: lake.append("t", ROWS, batch="1"),
        lake.tables,
    ]
    for call in calls:
        with pytest.raises(LakeAccessError) as caught:
            call()
        told = str(caught.value)
        assert s3_options["AWS_ENDPOINT_URL"] in told
        assert "SignatureDoesNotMatch" in told or "SIGNATURE_DOES_NOT_MATCH" in told
        assert "a-secret-that-is-wrong" not in told


def test_a_bucket_that_does_not_exist_is_not_an_empty_lake(s3_options: dict[str, str]) -> None:
    with pytest.raises(LakeUnreachableError, match="NoSuchBucket"):
        Lake("s3://no-such-bucket", s3_options).exists("t")


def test_a_large_table_goes_to_s3_in_parts(s3_options: dict[str, str]) -> None:
    import boto3

    lake = Lake("s3://lake/large", s3_options)
    rows = pl.DataFrame({"x": np.random.default_rng(0).random(2_000_000)})
    lake.append("t", rows, batch="1")

    client = boto3.client(
        "s3",
        endpoint_url=s3_options["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="secret",
    )
    (stored,) = client.list_objects_v2(Bucket="lake", Prefix="large/t/part")["Contents"]
    assert stored["Size"] > 10_000_000
    parts = int(stored["ETag"].strip('"').split("-")[1])  # the tag of an object of several parts ends in their number
    assert parts > 1
    assert Lake("s3://lake/large", s3_options).read("t").equals(rows)


def test_a_store_that_ends_half_way_is_unreachable_and_its_table_not_lost(
    ending_store: tuple[dict[str, str], Callable[[], None]],
) -> None:
    store, stop = ending_store
    options = store | {"max_retries": "1", "retry_timeout": "2s"}
    lake = Lake("s3://lake/x", options)
    lake.append("t", ROWS, batch="1")
    lazily = Lake("s3://lake/x", options).scan("t")
    stop()

    calls: list[Callable[[], object]] = [
        lambda: lake.append("t", ROWS, batch="2"),
        lambda: lake.read("t"),
        lambda: lake.exists("t"),
        lambda: Lake("s3://lake/x", options).exists("t"),
        lambda: lake.compact("t"),
        lake.tables,
    ]
    for call in calls:
        with pytest.raises(LakeUnreachableError, match=store["AWS_ENDPOINT_URL"]):
            call()
    with pytest.raises(LakeUnreachableError), lake.reading("t"):
        lazily.collect()
