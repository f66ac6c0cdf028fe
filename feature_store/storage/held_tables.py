"""Open tables and as many of their rows as memory is given for."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable


@dataclass(slots=True)
class Held:
    """An open table and its rows as of the version last seen; rows are read when first asked for."""

    table: DeltaTable
    version: int
    rows: pl.DataFrame | None = None
    schema: dict[str, pl.DataType] | None = None

    @property
    def bytes(self) -> int:
        return 0 if self.rows is None else int(self.rows.estimated_size())

    def moved(self) -> None:
        """Forget what was kept when the table has a newer version."""
        if self.table.version() != self.version:
            self.version, self.rows, self.schema = self.table.version(), None, None


class HeldTables(dict[str, Held]):
    """Tables by name, the one used last at the end.

    Args:
        limit: how many bytes the rows of all tables together may take.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def make_room(self, used: str) -> None:
        """Let go of rows until the rest fits: of `used` when it is too large alone, else of those used longest ago."""
        self[used] = held = self.pop(used)
        if held.bytes > self.limit:
            held.rows = None
        size = sum(one.bytes for one in self.values())
        for one in self.values():
            if size <= self.limit:
                return
            size -= one.bytes
            one.rows = None
