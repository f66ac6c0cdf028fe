"""What can go wrong between the lake and an online answer.

FeatureStoreError
├── UnsupportedAggregateError (ValueError)        an aggregate that only works offline
├── OnlineStoreError                              the online store, as such
│   ├── StoreUnreachableError (ConnectionError)   it does not answer
│   ├── StoreLockedError (TimeoutError)           another writer holds it
│   ├── StoreFullError (OSError)                  no room for what was to be written
│   ├── StoreVersionError (ValueError)            a file or a layout of another version
│   ├── StoreAddressError (ValueError)            neither a folder nor a Redis server
│   └── ReadOnlyStoreError (PermissionError)      opened for reading, and asked to write
├── ViewNotMaterializedError (LookupError)        features were asked for that are not in the online store
├── NoKeyedTableError (LookupError)               values were asked for by key that were never computed
├── StoreAheadError (ValueError)                  the online store holds more than the lake at that moment
└── AskedOfThePastError (ValueError)              an online question about a moment before the last write
"""

from __future__ import annotations

from collections.abc import Iterable

from feature_store.errors import FeatureStoreError


def _told(problem: object) -> str:
    """What another library says, without the full stop that it may end with."""
    return str(problem).rstrip(".")


class UnsupportedAggregateError(FeatureStoreError, ValueError):
    """An aggregate outside the closed set that offline and online share."""

    def __init__(self, feature: str, expression: object) -> None:
        super().__init__(
            f"Feature {feature!r} is {expression}, which cannot be kept up online. Use one of len, count, sum, mean, "
            f"std, min, max, last and n_unique over a row-by-row expression, or leave the feature to batch scoring."
        )


class OnlineStoreError(FeatureStoreError):
    """Something is wrong with the online store itself, whatever was asked of it."""


class StoreUnreachableError(OnlineStoreError, ConnectionError):
    """The online store does not answer, which says nothing about what it holds."""

    def __init__(self, store: str, problem: object) -> None:
        super().__init__(
            f"The online store {store} cannot be reached: {_told(problem)}. "
            f"Start it, or correct its address; nothing was read as missing."
        )


class StoreLockedError(OnlineStoreError, TimeoutError):
    """Another writer held the online store for too long."""

    def __init__(self, store: str, seconds: float) -> None:
        super().__init__(
            f"The online store {store} was held by another writer for {seconds:g} s. "
            f"Wait until its materialize or push has ended, and run this one again: it repeats nothing."
        )


class StoreFullError(OnlineStoreError, OSError):
    """There is no room for what was to be written; what was there before is whole."""

    def __init__(self, store: str, problem: object) -> None:
        super().__init__(
            f"The online store {store} has no room: {_told(problem)}. "
            f"Free space, raise the limit, or remove expired rows; what was written before is whole."
        )


class StoreVersionError(OnlineStoreError, ValueError):
    """A file of another program or of another version."""

    def __init__(self, store: str, found: object, expected: object) -> None:
        super().__init__(
            f"The online store {store} has format {found}, and this version reads {expected}. "
            f"Materialize into a new place, then point readers at it."
        )


class StoreAddressError(OnlineStoreError, ValueError):
    """The address of an online store is neither a folder nor that of a Redis server."""

    def __init__(self, scheme: str) -> None:
        # The rest of the address may hold a password, which no message should.
        super().__init__(
            f"The address of the online store begins with {scheme}://, which is no store that is known. "
            f"Write redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket, or a folder."
        )


class ReadOnlyStoreError(OnlineStoreError, PermissionError):
    """The store was opened for reading."""

    def __init__(self, store: str) -> None:
        super().__init__(
            f"The online store {store} was opened for reading only. Open it without readonly=True to write."
        )


class ViewNotMaterializedError(FeatureStoreError, LookupError):
    """Features that the online store does not hold, or not yet in this version of their definition."""

    def __init__(self, views: Iterable[str], store: str) -> None:
        self.views = sorted(views)
        super().__init__(
            f"The online store {store} does not hold {', '.join(self.views)} as defined now. "
            f"Materialize the model's features; a changed definition is materialized anew, beside the old one."
        )


class AskedOfThePastError(FeatureStoreError, ValueError):
    """The online store answers for moments since its last write only; earlier rows may have been given up."""

    def __init__(self, as_of: object, since: object) -> None:
        super().__init__(
            f"The question is asked as of {as_of}, but the online store was written as of {since}. "
            f"Ask about a moment since then, or use features(...) on the lake for the past."
        )


class NoKeyedTableError(FeatureStoreError, LookupError):
    """Values were asked for by key that nobody computed yet."""

    def __init__(self, table: str, store: str) -> None:
        super().__init__(
            f"The online store {store} holds no table {table!r}. "
            f"Compute it first: incumbent precompute MODEL, with --top or --grid where that was asked for."
        )


class StoreAheadError(FeatureStoreError, ValueError):
    """The online store has taken in more than the lake it is to be brought up to."""

    def __init__(self, view: str, taken: str, offered: str) -> None:
        super().__init__(
            f"The online store has taken in {taken} for {view}, and is offered {offered}. "
            f"Materialize as of a later moment and from the same lake, or use a store of its own for another one."
        )
