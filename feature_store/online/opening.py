"""Which online store a text names: a folder of this machine, or the address of a Redis server."""

from __future__ import annotations

from feature_store.online.errors import StoreAddressError
from feature_store.online.store import OnlineStore

_REDIS = ("redis://", "rediss://", "unix://")


def open_store(address: str, *, readonly: bool = False, name: str = "incumbent") -> OnlineStore:
    """Open the store of an address; the library of the other kind is not imported.

    Args:
        address: redis://, rediss:// (with TLS) or unix:// for a Redis server; anything else is a folder with an
            LMDB file, made where it is not there, unless `readonly`.
        readonly: refuse to write.
        name: what all keys in Redis begin with, so that several stores share a server.

    Raises:
        StoreAddressError: an address of another scheme.
        StoreUnreachableError: the server does not answer; for reading, that there is no file yet.
        StoreVersionError: the records are of another version.
    """
    if address.startswith(_REDIS):
        from feature_store.online.redis_store import RedisStore

        return RedisStore(address, name=name, readonly=readonly)
    scheme, separator, _ = address.partition("://")
    if separator:
        raise StoreAddressError(scheme)
    from feature_store.online.lmdb_store import LmdbStore

    return LmdbStore(address, readonly=readonly)
