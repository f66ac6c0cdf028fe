"""Logical time: the moments at which the loop looks, and sources that are read once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import polars as pl

from feature_store.definitions.source import Source
from flows.wiring import read_source


def ticks(start: datetime, end: datetime, every: timedelta) -> list[datetime]:
    """The moments from `start` to `end`, both included where a whole number of windows lies between.

    >>> from lifecycle.moments import parse_moment
    >>> march, day = parse_moment("2013-03-01T00:00Z"), timedelta(days=1)
    >>> len(ticks(march, march + 3 * day, day))
    4
    """
    return list(_count(start, end, every))


def _count(start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    moment = start
    while moment <= end:
        yield moment
        moment += every


def reading_once() -> Callable[[Source], pl.DataFrame]:
    """A reader that keeps what it read: history does not change while it is walked through."""
    kept: dict[str, pl.DataFrame] = {}

    def read(source: Source) -> pl.DataFrame:
        if source.name not in kept:
            kept[source.name] = read_source(source)
        return kept[source.name]

    return read
