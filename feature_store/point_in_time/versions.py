"""The versions of rows as intervals of time: from when to when a question may see each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from feature_store.point_in_time.timeline import Ints, moments
from feature_store.storage.tables import KEY, ROW, superseded

FOREVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Versions:
    """m versions of rows; microseconds since 1970 (UTC).

    Attributes:
        event: when it happened.
        seen_from: the first moment at which it has happened and is available.
        until: the moment at which a correction replaces it; FOREVER where none does.
        available: when it became available.
        row: the digest of its content, which decides between versions that are equal in all moments.
        key: the digest of the row's key.
    """

    event: Ints
    seen_from: Ints
    until: Ints
    available: Ints
    row: Ints
    key: Ints

    @classmethod
    def of(cls, rows: pl.DataFrame, *, lag: int = 0) -> Versions:
        """The versions in `rows`, as `tables.facts` returns them.

        Args:
            rows: m rows.
            lag: how long after the moment that is asked about one looks; what arrives meanwhile counts.
        """
        event, available = moments(rows["event_time"]), moments(rows["available_at"]) - lag
        replaced = superseded(rows)["superseded_at"]
        until = np.full(rows.height, FOREVER)
        if replaced.null_count() < rows.height:
            corrected = replaced.is_not_null().to_numpy()
            until[corrected] = moments(replaced.drop_nulls()) - lag
        row, key = rows[ROW].to_numpy(), rows[KEY].to_numpy()
        return cls(event, np.maximum(event, available), until, available, row, key)

    def take(self, which: Ints) -> Versions:
        """Some of them."""
        return Versions(*(getattr(self, name)[which] for name in self.__slots__))

    @property
    def corrected(self) -> bool:
        """Whether any version is replaced by another."""
        return bool((self.until != FOREVER).any())

    @property
    def late(self) -> bool:
        """Whether any version became available after it happened."""
        return bool((self.seen_from > self.event).any())
