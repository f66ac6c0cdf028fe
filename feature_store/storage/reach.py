"""The rows that part of the work can reach: a span of event times, and some of all entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from feature_store.digest import row_digests


class Entities(Protocol):
    """Some of all entities."""

    @property
    def by(self) -> Sequence[str]:
        """The columns that name an entity."""

    def holds(self, frame: pl.DataFrame) -> pl.Series:
        """Whether each row's entity is one of them; false or null where the row names none."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One of several parts of all entities, by their digests.

    Attributes:
        by: the columns that name the entity.
        number: which part, from 0.
        of: how many parts.
    """

    by: tuple[str, ...]
    number: int
    of: int

    def holds(self, frame: pl.DataFrame) -> pl.Series:
        """Whether each row's entity is in this bucket."""
        return buckets(frame, self.by, self.of) == self.number


@dataclass(frozen=True, slots=True)
class Reach:
    """What can be reached. Rows outside change none of the answers.

    Attributes:
        since: events from then on; None for all.
        until: events up to then; None for all.
        entities: whose rows; None for all.
    """

    since: datetime | None = None
    until: datetime | None = None
    entities: Entities | None = None

    @property
    def in_time(self) -> pl.Expr:
        """The condition on `event_time`."""
        conditions = [pl.lit(value=True)]
        if self.since is not None:
            conditions.append(pl.col("event_time") >= self.since)
        if self.until is not None:
            conditions.append(pl.col("event_time") <= self.until)
        return pl.all_horizontal(conditions)

    @property
    def narrow(self) -> bool:
        """Whether the rows in reach are few enough for the others to be left where they are."""
        return self.since is not None or self.entities is not None

    def of_entities(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of these entities."""
        return rows if self.entities is None else rows.filter(self.entities.holds(rows))


EVERYTHING = Reach()


def buckets(frame: pl.DataFrame, by: Sequence[str], count: int) -> pl.Series:
    """The bucket of each row's entity: by the digest of its values, the same on every machine and in every version."""
    if not by or count == 1:
        return pl.repeat(0, frame.height, dtype=pl.UInt64, eager=True)
    return row_digests(frame.select(by)) % count
