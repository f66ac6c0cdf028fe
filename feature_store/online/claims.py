"""Which models are read from which views of the store, so that what none of them reads any more is removed.

Several models share a store, and each knows only of itself. A model claims its views before they are written, and
releases what it had claimed and does not read any more; a view that nobody claimed is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from feature_store.online.cells import as_microseconds
from feature_store.online.plan import OnlineViews
from feature_store.online.store import Changes, OnlineStore
from feature_store.online.upkeep import expire, remove
from feature_store.span import microseconds, utc

_PREFIX = b"\x00model"
_EXPIRY = microseconds(timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Claim:
    """What one model is read from.

    Attributes:
        views: in hexadecimal, sorted.
        expired: microseconds since 1970 (UTC): as of when expired records were removed last.
    """

    views: tuple[str, ...] = ()
    expired: int = 0

    def encoded(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode()


def claim(model: str, read: Sequence[OnlineViews], store: OnlineStore) -> None:
    """Say, before they are written, that a model is read from some views, besides those it is read from already.

    Raises:
        StoreLockedError, StoreFullError, StoreUnreachableError: nothing is claimed.
    """
    with store.writing():
        before = _claims(store).get(model, Claim())
        _write(model, replace(before, views=_sorted([*before.views, *_views(read)])), store)


def release(model: str, read: Sequence[OnlineViews], store: OnlineStore) -> list[str]:
    """Keep of what a model has claimed only what it is read from; remove what no model claims then, and tell which.

    Raises:
        StoreLockedError, StoreUnreachableError: what is not removed yet is found by the next call.
    """
    with store.writing():
        claims = _claims(store)
        before = claims.pop(model, Claim())
        kept = _views(read)
        wanted = kept.union(*(one.views for one in claims.values()))
        unread = [bytes.fromhex(view) for view in before.views if view not in wanted]
        told = remove(unread, store)
        _write(model, replace(before, views=_sorted(kept)), store)
    return told


def expire_daily(model: str, read: Sequence[OnlineViews], store: OnlineStore, *, as_of: datetime) -> int:
    """Remove the expired records of a model's views, unless that was done less than a day before; how many.

    Raises:
        StoreLockedError, StoreUnreachableError: records that are not removed yet are whole.
    """
    moment = as_microseconds(utc("as_of", as_of))
    before = _claims(store).get(model, Claim())
    if moment - before.expired < _EXPIRY:
        return 0
    removed = sum(expire(online, store, as_of=as_of) for online in read)
    with store.writing():
        _write(model, replace(_claims(store).get(model, Claim()), expired=moment), store)
    return removed


def _claims(store: OnlineStore) -> dict[str, Claim]:
    found = {}
    for key, raw in store.scan(_PREFIX):
        fields = json.loads(raw)
        found[key[len(_PREFIX) :].decode()] = Claim(tuple(fields["views"]), fields["expired"])
    return found


def _write(model: str, claimed: Claim, store: OnlineStore) -> None:
    store.write(Changes(put=[(_PREFIX + model.encode(), claimed.encoded())]))


def _views(read: Sequence[OnlineViews]) -> set[str]:
    return {part.view.hex() for online in read for part in online.parts}


def _sorted(views: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(views)))
