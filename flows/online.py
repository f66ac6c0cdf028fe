"""The online store that the settings name; the one place where it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from feature_store.online.opening import open_store
from feature_store.online.store import OnlineStore
from flows.settings import Settings


@contextmanager
def opened(settings: Settings, *, readonly: bool = False) -> Iterator[OnlineStore]:
    """The online store for the length of a block.

    Raises:
        StoreUnreachableError: it does not answer; for reading, that nothing was ever materialized here.
        StoreVersionError: it was written by another version.
    """
    store = open_store(settings.online_url, readonly=readonly, name=settings.online.name)
    try:
        yield store
    finally:
        store.close()


def never_made(settings: Settings) -> bool:
    """Whether the store is a file of this machine that nothing was ever written to."""
    return settings.online.url is None and not (settings.folder / "online" / "data.mdb").exists()
