"""Compaction and vacuum: rows and named versions stay, whatever is tidied."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, PostCommitHookProperties, write_deltalake
from polars import col

from feature_store.definitions.feature_view import request, window
from feature_store.definitions.source import Source, before
from feature_store.definitions.spine import each
from feature_store.errors import SpanTextError, TableNotFoundError, VersionRemovedError
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.labels import Label
from feature_store.offline.training_set import Definition, rebuild, training_set
from feature_store.storage.lake import Lake


def later(days: float = 8) -> datetime:
    """A moment at which what was just written is some days old."""
    return datetime.now(UTC) + timedelta(days=days)


def fill(lake: Lake, batches: range) -> None:
    for number in batches:
        lake.append("t", pl.DataFrame({"a": [number], "b": [f"row {number}"]}), batch=str(number))


def test_compaction_keeps_every_row_and_every_version(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    fill(lake, range(6))
    whole = lake.read("t").sort("a")

    done = lake.compact("t")

    assert (done.files_before, done.files_after, done.version) == (6, 1, 6)
    for one in (lake, open_lake()):
        assert one.read("t").sort("a").equals(whole)
        assert one.read("t").schema == whole.schema
        assert all(one.has_batch("t", str(number)) for number in range(6))
        assert one.at({"t": 2}).read("t").sort("a").equals(whole.head(3))
    assert lake.append("t", whole.head(1), batch="0") == 0
    assert lake.compact("t").files_before == 1


def test_vacuum_keeps_the_newest_version_and_those_that_are_named(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    fill(lake, range(6))
    whole = lake.read("t").sort("a")
    lake.compact("t")

    done = lake.vacuum("t", keep_versions=[2], as_of=later())

    assert (done.files, done.bytes > 0) == (3, True)
    assert open_lake().read("t").sort("a").equals(whole)
    assert open_lake().at({"t": 2}).read("t").sort("a").equals(whole.head(3))
    assert open_lake().at({"t": 1}).read("t").height == 2, "its files are among those of version 2"
    with pytest.raises(VersionRemovedError, match=r"Version 4 of table 't' cannot be read any more: part-.* is gone"):
        open_lake().at({"t": 4}).read("t")
    assert lake.vacuum("t", keep_versions=[2], as_of=later()).files == 0


def test_vacuum_leaves_what_was_newest_not_long_ago(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    fill(lake, range(4))
    lake.compact("t")

    assert lake.vacuum("t", keep_versions=[], as_of=later(6.9)).files == 0
    assert open_lake().at({"t": 3}).read("t").height == 4
    assert lake.vacuum("t", keep_versions=[], as_of=later(6.9), older_than="3d").files == 4


def test_a_version_that_was_compacted_only_now_stays_for_its_readers_though_its_files_are_old(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, range(3))
    old = time.time() - 30 * 86400
    for file in (tmp_path / "t").rglob("*"):
        os.utime(file, (old, old))
    lake.compact("t")

    assert lake.vacuum("t", keep_versions=[], as_of=later(0)).files == 0
    assert lake.at({"t": 2}).read("t").height == 3
    assert lake.vacuum("t", keep_versions=[], as_of=later(8)).files == 3


def test_a_version_to_keep_that_does_not_exist_stops_the_vacuum(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    fill(lake, range(3))
    lake.compact("t")

    with pytest.raises(TableNotFoundError, match="no version 17 of table 't'"):
        lake.vacuum("t", keep_versions=[17], as_of=later())

    assert open_lake().at({"t": 2}).read("t").height == 3


def test_what_a_killed_writer_left_is_removed_and_what_is_young_or_of_another_table_is_not(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, range(2))
    lake.append("t/below", pl.DataFrame({"a": [1]}), batch="1")
    shutil.copy(next((tmp_path / "t").glob("*.parquet")), tmp_path / "t" / "part-left.parquet")

    assert lake.vacuum("t", keep_versions=[], as_of=later(0)).files == 0
    assert lake.vacuum("t", keep_versions=[], as_of=later()).files == 1
    assert (lake.read("t").height, Lake(tmp_path).read("t/below").height) == (2, 1)


def test_a_length_of_time_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, range(1))
    with pytest.raises(SpanTextError, match="'a week' cannot be read"):
        lake.vacuum("t", keep_versions=[], as_of=later(), older_than="a week")


def test_earlier_versions_are_neither_compacted_nor_vacuumed(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, range(1))
    with pytest.raises(PermissionError, match=r"is not compacted. Compact Lake"):
        lake.at({"t": 0}).compact("t")
    with pytest.raises(PermissionError, match=r"is not vacuumed. Vacuum Lake"):
        lake.at({"t": 0}).vacuum("t", keep_versions=[], as_of=later())


def age(log: Path) -> None:
    old = time.time() - 60 * 86400
    for file in log.iterdir():
        os.utime(file, (old, old))


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "delta's own way, for comparison"])
def test_a_named_version_stays_readable_after_checkpoints_and_years(tmp_path: Path, ours: bool) -> None:
    lake = Lake(tmp_path)
    row = pl.DataFrame({"a": [1]})
    for number in range(99):
        if ours:
            lake.append("t", row, batch=str(number))
        else:
            plain = PostCommitHookProperties(create_checkpoint=True)
            write_deltalake(str(tmp_path / "t"), row, mode="append", post_commithook_properties=plain)
    age(tmp_path / "t" / "_delta_log")

    if ours:
        lake.append("t", row, batch="99")
        lake.append("t", row, batch="100")
        DeltaTable(tmp_path / "t").cleanup_metadata()
    else:
        for _ in range(2):
            write_deltalake(str(tmp_path / "t"), row, mode="append")

    assert list((tmp_path / "t" / "_delta_log").glob("*.checkpoint.parquet")), "a checkpoint was written"
    if ours:
        lake.vacuum("t", keep_versions=[3], as_of=later())
        assert Lake(tmp_path).at({"t": 3}).read("t").height == 4
        assert lake.has_batch("t", "5"), "a batch is known also from a checkpoint"
    else:
        with pytest.raises(TableNotFoundError, match="no version 3"):
            Lake(tmp_path).at({"t": 3}).read("t")


def moment(day: int) -> datetime:
    return datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=day)


FLIGHTS = Source(
    "flights", read=pl.DataFrame, key="flight", event_time="departs_at", available_at="told_at", entity="origin",
    later={"landed_at": ["delay"]}, derive={"late": col("delay") > 15},
)  # fmt: skip
DEFINITION = Definition(
    views=[request("origin"), window(FLIGHTS, mean=col("delay").mean(), over="30d")],
    label=Label("late", deadline="2d"),
    spine=each(FLIGHTS, as_of=before("departs_at", "2h")),
)


def flights(days: range, told: int, delay: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "flight": [str(day) for day in days],
            "origin": ["JFK" if day % 2 else "EWR" for day in days],
            "departs_at": [moment(day) for day in days],
            "told_at": [moment(day - 10 + told) for day in days],
            "landed_at": [moment(day) + timedelta(hours=5, days=told) for day in days],
            "delay": [delay + day for day in days],
        },
        schema_overrides={name: pl.Datetime("us", "UTC") for name in ("departs_at", "told_at", "landed_at")},
    )


def test_a_training_set_is_the_same_to_the_bit_after_compaction_vacuum_and_more_rows(
    open_lake: Callable[[], Lake],
) -> None:
    lake = open_lake()
    for week in range(4):
        rows = flights(range(week * 7, week * 7 + 7), 0, 0.1)
        ingest_batch(FLIGHTS, rows, lake, as_of=moment(60), batch=str(week))
    made = training_set(DEFINITION, lake, None, moment(60))
    assert made.frame.height > 20
    named = made.manifest["tables"]

    for number in range(3):
        corrected = flights(range(7), 20 + number, 50.0 + number)
        ingest_batch(FLIGHTS, corrected, lake, as_of=moment(90), batch=f"again {number}")
        for table, version in named.items():
            lake.compact(table)
            lake.vacuum(table, keep_versions=[version], as_of=later())
    newest = training_set(DEFINITION, lake, None, moment(60))

    for one in (lake, open_lake()):
        again = rebuild(made.manifest, DEFINITION, one)
        assert again.frame.equals(made.frame)
        assert again.manifest == made.manifest
    assert newest.manifest["tables"] != named
    table = next(iter(named))
    gone = [version for version in range(lake.version(table)) if version not in {*named.values()}]
    removed = 0
    for version in gone:
        try:
            lake.at({table: version}).read(table)
        except VersionRemovedError:
            removed += 1
    assert removed > 0, "the vacuum did remove versions that nothing names"
