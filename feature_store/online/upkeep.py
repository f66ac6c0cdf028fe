"""Taking out of the online store what no question can be answered from any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice

from feature_store.online import newest_rows, window_records
from feature_store.online.catalog import Build, Entry, entries, entry_key, every_entry, types_of
from feature_store.online.cells import as_microseconds
from feature_store.online.keys import RECORDS
from feature_store.online.newest_rows import Layout
from feature_store.online.plan import NewestRow, OnlineViews, Part
from feature_store.online.store import Changes, OnlineStore
from feature_store.span import utc


def expire(online: OnlineViews, store: OnlineStore, *, as_of: datetime) -> int:
    """Remove the records of which no row counts at `as_of` or later, and return how many.

    Such an entity is then MISSING where it was STALE; no value changes.

    Raises:
        StoreLockedError, StoreUnreachableError: records that are not removed yet are whole.
    """
    moment = as_microseconds(utc("as_of", as_of))
    removed = 0
    with store.writing():
        for part, entry in zip(online.parts, entries(online.parts, store), strict=True):
            if entry is None or entry.serving is None:
                continue
            removed += _delete(_expired(part, entry.serving, store, moment), store)
    return removed


def _expired(part: Part, build: Build, store: OnlineStore, moment: int) -> Iterator[bytes]:
    last = _last_answer(part, build)
    for key, raw in store.scan(RECORDS, bytes.fromhex(build.ending)):
        if last(raw) < moment:
            yield key


def _last_answer(part: Part, build: Build) -> Callable[[bytes], int]:
    """From a record to the last moment at which it may have an answer."""
    if isinstance(part, NewestRow):
        return partial(newest_rows.last_answer, part, Layout.of(part, types_of(build.shape.inputs)))
    return partial(window_records.last_answer, part)


def remove_others(kept: list[OnlineViews], store: OnlineStore) -> list[str]:
    """Remove every view that none of the given models reads, and tell which.

    Raises:
        StoreLockedError, StoreUnreachableError: what is not removed yet is found by the next call.
    """
    wanted = {part.view for online in kept for part in online.parts}
    with store.writing():
        return remove([view for view, _ in every_entry(store) if view not in wanted], store)


def remove(views: Collection[bytes], store: OnlineStore) -> list[str]:
    """Remove some views and tell which; the caller holds the lock of writers.

    Raises:
        StoreUnreachableError: a view that is not removed whole is still in the catalog.
    """
    told = []
    for view, entry in list(every_entry(store)):
        if view not in views:
            continue
        # No reader may take a record that is removed already for an entity that nobody knows.
        store.write(Changes(put=[(entry_key(view), _closed(entry).encoded())]))
        for ending in {build.ending for build in (entry.serving, entry.building) if build is not None}:
            _delete((key for key, _ in store.scan(RECORDS, bytes.fromhex(ending))), store)
        store.write(Changes(delete=[entry_key(view)]))
        told.append(entry.told)
    return sorted(told)


def _closed(entry: Entry) -> Entry:
    """The entry while its records are removed: not to be read, and found again after a crash."""
    if entry.serving is None or (entry.building is not None and entry.building.ending != entry.serving.ending):
        return entry
    return replace(entry, serving=None, building=replace(entry.serving, reached=""))


def _delete(keys: Iterator[bytes], store: OnlineStore) -> int:
    count = 0
    while page := list(islice(keys, store.batch_records)):
        store.write(Changes(delete=page))
        count += len(page)
    return count
