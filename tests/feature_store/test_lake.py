"""The same contract on a folder and on an S3 store."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from feature_store.errors import SchemaChangedError, TableNotFoundError
from feature_store.storage.lake import Lake

ROWS = pl.DataFrame({"a": [1, 2], "b": ["x", None]})


def test_what_is_appended_is_read_here_and_elsewhere(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    assert lake.append("sources/x", ROWS, batch="1") == 2
    assert lake.append("sources/x", ROWS, batch="2") == 2
    for one in (lake, open_lake()):
        assert one.read("sources/x").sort("a").rows() == [(1, "x"), (1, "x"), (2, None), (2, None)]
        assert one.read("sources/x", ["a"]).columns == ["a"]
        assert one.version("sources/x") == 1
        assert one.tables() == ["sources/x"]


def test_a_batch_is_appended_once(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    assert lake.has_batch("t", "1") is False
    lake.append("t", ROWS, batch="1")
    assert (lake.append("t", ROWS, batch="1"), open_lake().append("t", ROWS, batch="1")) == (0, 0)
    assert lake.has_batch("t", "1")
    assert lake.read("t").height == 2


def test_commits_of_others_are_seen(open_lake: Callable[[], Lake]) -> None:
    mine, theirs = open_lake(), open_lake()
    mine.append("t", ROWS, batch="1")
    theirs.append("t", ROWS, batch="2")
    assert mine.read("t").height == 4
    mine.append("t", ROWS, batch="3")
    assert theirs.read("t").height == 6


def test_what_is_not_there_is_an_error(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    assert lake.exists("t") is False
    with pytest.raises(TableNotFoundError, match="There is no table 't' under"):
        lake.read("t")


def test_earlier_versions_can_be_read_and_take_no_rows(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    lake.append("t", ROWS, batch="1")
    lake.append("t", ROWS, batch="2")
    then = lake.at({"t": 0})
    assert (then.read("t").height, then.version("t"), then.tables()) == (2, 0, ["t"])
    assert then.exists("u") is False
    with pytest.raises(PermissionError, match="shows earlier versions and takes no rows"):
        then.append("t", ROWS, batch="3")


def test_a_column_of_another_type_is_refused_before_delta_casts_it(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    lake.append("t", ROWS, batch="1")
    with pytest.raises(SchemaChangedError, match="a is Float64, stored as Int64"):
        lake.append("t", ROWS.with_columns(a=pl.lit(1.5)), batch="2")
    with pytest.raises(SchemaChangedError, match="b is absent, stored as String; c is Int32, stored as nothing"):
        lake.append("t", ROWS.drop("b").with_columns(c=1), batch="2")
    assert lake.read("t").height == 2


def test_a_declared_new_column_is_null_in_earlier_rows(open_lake: Callable[[], Lake]) -> None:
    lake = open_lake()
    lake.append("t", ROWS, batch="1")
    lake.append("t", ROWS.with_columns(c=pl.lit(7)), batch="2", allow_new=["c"])
    assert sorted(lake.read("t")["c"].to_list(), key=str) == [7, 7, None, None]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([None]),
        pl.Series([b"x"]),
        pl.Series(["x"], dtype=pl.Categorical),
        pl.Series([1], dtype=pl.UInt8),
        pl.Series([1], dtype=pl.Duration("us")),
        pl.Series([datetime(2013, 1, 1)], dtype=pl.Datetime("us")),  # noqa: DTZ001
        pl.Series([datetime(2013, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("ns", "UTC")),
    ],
    ids=lambda column: str(column.dtype),
)
def test_types_that_delta_would_change_are_refused(tmp_path: Path, column: pl.Series) -> None:
    with pytest.raises(SchemaChangedError, match=r"x is .*, stored as bool, i8..i64"):
        Lake(tmp_path).append("t", pl.DataFrame({"x": column}), batch="1")


def test_every_type_that_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    whole = {str(kind): pl.Series([1], dtype=kind) for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)}
    rows = pl.DataFrame(
        {
            **whole,
            "f": pl.Series([0.1], dtype=pl.Float32),
            "g": [0.1],
            "t": [True],
            "d": [datetime(2013, 1, 1, tzinfo=UTC).date()],
            "m": pl.Series([datetime(2013, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")),
        }
    )
    Lake(tmp_path).append("t", rows, batch="1")
    assert Lake(tmp_path).read("t").equals(rows)
    assert Lake(tmp_path).read("t").schema == rows.schema


def test_writers_at_the_same_time_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    def write(number: int) -> int:
        return Lake(tmp_path).append("t", ROWS, batch=str(number // 2))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(12))) == 12
    assert Lake(tmp_path).read("t").height == 12


def test_a_store_that_does_not_answer_is_not_an_empty_one() -> None:
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "max_retries": "0",
        "retry_timeout": "1s",
    }
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        Lake("s3://lake", options).exists("t")
