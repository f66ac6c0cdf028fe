"""How far the online store has come with a model's views, against what the lake holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from feature_store.definitions.source import Source
from feature_store.online.catalog import Build, entries
from feature_store.online.cells import as_datetime
from feature_store.online.plan import OnlineViews
from feature_store.online.store import OnlineStore
from feature_store.storage.lake import Lake
from feature_store.storage.tables import tables_of


@dataclass(frozen=True, slots=True)
class Standing:
    """Features that are read from one set of records.

    Attributes:
        names: of the features.
        as_of: what was available by then is in the records; None while they were never written to the end.
        behind: rows that the lake has taken in since.
        under_way: whether a run is writing them now, or was killed.
    """

    names: tuple[str, ...]
    as_of: datetime | None
    behind: int
    under_way: bool


def standings(online: OnlineViews, store: OnlineStore, lake: Lake) -> list[Standing]:
    """Where each part of the views stands, in their order.

    Raises:
        StoreUnreachableError: the store cannot be asked.
    """
    found = []
    for part, entry in zip(online.parts, entries(online.parts, store), strict=True):
        serving = None if entry is None else entry.serving
        as_of = None if serving is None else as_datetime(serving.as_of)
        under_way = entry is not None and entry.building is not None
        found.append(Standing(part.names, as_of, _behind(part.source, serving, lake), under_way))
    return found


def _behind(source: Source, serving: Build | None, lake: Lake) -> int:
    heights = {} if serving is None else serving.heights
    held = [table for table in tables_of(source) if lake.exists(table)]
    return sum(lake.height(table) - heights.get(table, 0) for table in held)
