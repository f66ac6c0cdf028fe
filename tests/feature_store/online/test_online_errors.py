from __future__ import annotations

import inspect

import pytest

from feature_store.errors import FeatureStoreError
from feature_store.online import errors
from feature_store.online.errors import (
    AskedOfThePastError,
    NoKeyedTableError,
    OnlineStoreError,
    ReadOnlyStoreError,
    StoreAddressError,
    StoreAheadError,
    StoreFullError,
    StoreLockedError,
    StoreUnreachableError,
    StoreVersionError,
    UnsupportedAggregateError,
    ViewNotMaterializedError,
)

EXAMPLES: list[tuple[FeatureStoreError, type[Exception], str]] = [
    (
        UnsupportedAggregateError("share", "a / b"),
        ValueError,
        "Feature 'share' is a / b, which cannot be kept up online. Use one of len, count, sum, mean, std, min, max, "
        "last and n_unique over a row-by-row expression, or leave the feature to batch scoring.",
    ),
    (
        StoreUnreachableError("RedisStore('redis://localhost:1')", "refused."),
        ConnectionError,
        "The online store RedisStore('redis://localhost:1') cannot be reached: refused. "
        "Start it, or correct its address; nothing was read as missing.",
    ),
    (
        StoreAddressError("memcached"),
        ValueError,
        "The address of the online store begins with memcached://, which is no store that is known. "
        "Write redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket, or a folder.",
    ),
    (
        StoreLockedError("LmdbStore('a')", 1.5),
        TimeoutError,
        "The online store LmdbStore('a') was held by another writer for 1.5 s. "
        "Wait until its materialize or push has ended, and run this one again: it repeats nothing.",
    ),
    (
        StoreFullError("LmdbStore('a')", "no space"),
        OSError,
        "The online store LmdbStore('a') has no room: no space. "
        "Free space, raise the limit, or remove expired rows; what was written before is whole.",
    ),
    (
        StoreVersionError("LmdbStore('a')", 2, 1),
        ValueError,
        "The online store LmdbStore('a') has format 2, and this version reads 1. "
        "Materialize into a new place, then point readers at it.",
    ),
    (
        ReadOnlyStoreError("LmdbStore('a')"),
        PermissionError,
        "The online store LmdbStore('a') was opened for reading only. Open it without readonly=True to write.",
    ),
    (
        ViewNotMaterializedError(["latest(b)", "latest(a)"], "LmdbStore('a')"),
        LookupError,
        "The online store LmdbStore('a') does not hold latest(a), latest(b) as defined now. "
        "Materialize the model's features; a changed definition is materialized anew, beside the old one.",
    ),
    (
        NoKeyedTableError("scores of late", "LmdbStore('online')"),
        LookupError,
        "The online store LmdbStore('online') holds no table 'scores of late'. "
        "Compute it first: incumbent precompute MODEL, with --top or --grid where that was asked for.",
    ),
    (
        StoreAheadError("latest(a)", "3 rows of sources/a", "2"),
        ValueError,
        "The online store has taken in 3 rows of sources/a for latest(a), and is offered 2. "
        "Materialize as of a later moment and from the same lake, or use a store of its own for another one.",
    ),
    (
        AskedOfThePastError("2013-01-01", "2013-01-02"),
        ValueError,
        "The question is asked as of 2013-01-01, but the online store was written as of 2013-01-02. "
        "Ask about a moment since then, or use features(...) on the lake for the past.",
    ),
]


@pytest.mark.parametrize(("error", "builtin", "message"), EXAMPLES, ids=lambda one: type(one).__name__)
def test_an_error_says_what_happened_and_what_to_do(
    error: FeatureStoreError, builtin: type[Exception], message: str
) -> None:
    assert str(error) == message
    assert isinstance(error, FeatureStoreError)
    assert isinstance(error, builtin)


def test_every_error_is_in_the_tree_and_in_these_examples() -> None:
    classes = {one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__}

    assert {type(error) for error, _, _ in EXAMPLES} == classes - {OnlineStoreError}
    assert all(one.__name__ in str(errors.__doc__) for one in classes)
