"""The lake as it had been filled by a moment: not what was true then, but what had been told by then."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import polars as pl

from feature_store.definitions.source import Source
from feature_store.storage.lake import Lake
from feature_store.storage.storage_trouble import Trouble
from feature_store.storage.tables import BATCH


class TakenIn(Lake):
    """A lake without the rows of batches that were taken in after a moment.

    A row whose `available_at` lies before a question may still have arrived after its answer. Which rows did is told
    by the batch each row carries and the moment that `ingest` noted for the batch. A row of a batch that noted
    nothing counts as there.

    Args:
        lake: the lake with everything.
        moment: batches up to and with this one are there.
    """

    def __init__(self, lake: Lake, moment: datetime) -> None:
        super().__init__(lake.root, lake.storage_options, versions={})
        self._whole, self._moment = lake, moment

    def newest(self, table: str) -> int:
        """The newest version of the table by now, or `ABSENT`."""
        return self._whole.newest(table)

    def version(self, table: str) -> int:
        """The newest version of the table by now."""
        return self._whole.version(table)

    def schema(self, table: str) -> dict[str, pl.DataType]:
        """Columns and types of the table by now."""
        return self._whole.schema(table)

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        return self._whole.tables()

    def height(self, table: str) -> int:
        """The number of rows that had been taken in."""
        return self.read(table).height

    def read(self, table: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Every row of the table that had been taken in."""
        with self._whole.reading(table):
            return self.scan(table, columns).collect()

    def scan(self, table: str, columns: Collection[str] | None = None) -> pl.LazyFrame:
        """Every row of the table that had been taken in, read when collected."""
        rows = self._whole.scan(table)
        if BATCH in self.schema(table):
            noted = batches(self._whole, table.removeprefix("sources/").partition(".")[0])
            late = noted.filter(pl.col("as_of") > self._moment)["batch"]
            rows = rows.filter(~pl.col(BATCH).is_in(late.implode())) if len(late) else rows
        return rows if columns is None else rows.select(list(columns))

    def reading(self, table: str) -> Trouble:
        """A context in which a lazy frame of `scan` is collected."""
        return self._whole.reading(table)


def batches(lake: Lake, source: str) -> pl.DataFrame:
    """The batches of a source that were taken in: `batch`, and `as_of` (UTC)."""
    table = f"batches/{source}"
    if not lake.exists(table):
        return pl.DataFrame(schema={"batch": pl.String, "as_of": pl.Datetime("us", "UTC")})
    return lake.read(table, ["batch", "as_of"])


def taken_in_moments(lake: Lake, sources: Iterable[Source]) -> pl.Series:
    """Every moment at which a batch of one of the sources was taken in, sorted (UTC)."""
    found = [batches(lake, source.name)["as_of"] for source in sources]
    empty = pl.Series("as_of", [], dtype=pl.Datetime("us", "UTC"))
    return pl.concat([empty, *found]).unique().sort()
