"""The versions of rows that a part of the work can reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars import col

from feature_store.definitions.source import Source
from feature_store.errors import MissingColumnsError
from feature_store.intake.ingest import ingest_batch
from feature_store.storage.lake import Lake, Limits
from feature_store.storage.reach import Bucket, Reach
from feature_store.storage.tables import column_type, fact_types, facts

START = datetime(2013, 1, 1, tzinfo=UTC)
FAR = START + timedelta(days=9)
readings = Source(
    "readings", read=pl.DataFrame, key="number", event_time="at", available_at="told", entity="meter",
    later={"checked": ["right"]}, derive={"double": col("flow") * 2},
)  # fmt: skip


def rows(flow: float, told: int, numbers: int = 6) -> pl.DataFrame:
    """A reading of each of three meters, twice; `told` so many hours after it was made."""
    return pl.DataFrame(
        {
            "number": range(numbers),
            "meter": [f"meter {number % 3}" for number in range(numbers)],
            "flow": [flow] * numbers,
            "at": [START] * numbers,
            "told": [START + timedelta(hours=told)] * numbers,
            "checked": pl.Series([None] * numbers, dtype=pl.Datetime("us", "UTC")),
            "right": pl.Series([None] * numbers, dtype=pl.Boolean),
        }
    ).with_columns(pl.col("at", "told").cast(pl.Datetime("us", "UTC")))


def test_rows_and_what_replaces_them_are_of_one_version_though_somebody_appends(tmp_path: Path, monkeypatch) -> None:
    lake = Lake(tmp_path, limits=Limits(hold_bytes=0))
    ingest_batch(readings, rows(1.0, 1), lake, as_of=FAR, batch="1")
    scan, looks = lake.scan, []

    def scan_and_append(*given: Any) -> pl.LazyFrame:
        found = scan(*given)
        looks.append(given)
        if len(looks) == 1:
            ingest_batch(readings, rows(2.0, 2), Lake(tmp_path), as_of=FAR, batch="2")
        return found

    monkeypatch.setattr(lake, "scan", scan_and_append)
    reached = Reach(entities=Bucket(("meter",), 0, 1))

    found = facts(readings, lake, ["meter", "flow"], reached).sort("flow")

    assert len(looks) == 4
    assert found["flow"].to_list() == [1.0] * 6 + [2.0] * 6
    assert found["superseded_at"].to_list() == [START + timedelta(hours=2)] * 6 + [None] * 6


def test_types_are_told_without_reading_a_row(tmp_path: Path) -> None:
    lake = Lake(tmp_path, limits=Limits(hold_bytes=0))
    ingest_batch(readings, rows(1.0, 1), lake, as_of=FAR, batch="1")
    for file in (tmp_path / "sources" / "readings").glob("*.parquet"):
        file.write_bytes(b"")

    types = fact_types(readings, lake, ["double", "meter", "right"])

    assert types == {"double": pl.Float64(), "meter": pl.String(), "right": pl.Boolean()}
    assert column_type(readings, "checked", lake) == pl.Datetime("us", "UTC")
    with pytest.raises(MissingColumnsError, match="wind"):
        fact_types(readings, lake, ["wind"])


def test_what_becomes_known_later_is_not_available_before_its_row_whatever_else_is_asked_for(tmp_path: Path) -> None:
    """The check is made in the second hour and a second one in the third, but the row is only told of in the fifth."""
    lake = Lake(tmp_path)
    for number, (hour, right) in enumerate([(3, True), (2, False)]):
        checked = rows(1.0, told=5, numbers=1).with_columns(
            checked=pl.lit(START + timedelta(hours=hour)).cast(pl.Datetime("us", "UTC")), right=pl.lit(right)
        )
        ingest_batch(readings, checked, lake, as_of=FAR, batch=str(number))

    alone = facts(readings, lake, ["right"])
    beside = facts(readings, lake, ["right", "meter"])

    wanted = [(True, START + timedelta(hours=3), START + timedelta(hours=5), None)]
    for found in (alone, beside):
        assert found.select("right", "event_time", "available_at", "superseded_at").rows() == wanted
