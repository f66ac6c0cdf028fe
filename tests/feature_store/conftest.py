from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from feature_store.lake import Lake

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def hour() -> Callable[[float], datetime]:
    """Moments as hours since New Year 2013 (UTC)."""
    return lambda hours: NEW_YEAR + timedelta(hours=hours)


@pytest.fixture(autouse=True)
def wide_tables() -> Iterator[None]:
    with pl.Config(tbl_cols=-1, tbl_rows=40):
        yield
