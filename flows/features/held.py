"""Which features the online store holds for a model, and how far it has come with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from feature_store.definitions.feature_view import Feature, Latest, Recency, Windowed
from feature_store.definitions.spec_text import spec_text
from feature_store.definitions.spine import Spine
from feature_store.offline.spec_reading import read_spec
from feature_store.online.errors import OnlineStoreError
from feature_store.online.plan import OnlineViews, works_online
from feature_store.online.standing import Standing, standings
from feature_store.online.store import OnlineStore
from flows.features.lineage import manifest_of, trained_views
from flows.features.views import View
from flows.model import Model
from flows.online import never_made, opened
from flows.wiring import Loop
from lifecycle.errors import AliasNotSetError
from lifecycle.moments import iso
from lifecycle.ports import Alias


def looked_up(features: Sequence[Feature]) -> list[Feature]:
    """The features that are read from the online store; the others come with the question or are made of these."""
    return [view for view in features if isinstance(view, Latest | Windowed | Recency)]


def online_views(loop: Loop, model: Model) -> list[OnlineViews]:
    """What online must hold: the views of the model file, and those of every version that may be asked to answer.

    A version is read as it was trained, whatever the model file says by now; what two of them share is there once.

    Raises:
        UnsupportedAggregateError: a window that cannot be kept up online.
    """
    found: dict[tuple[bytes, ...], OnlineViews] = {}
    for features, spine in _definitions(loop, model):
        online = OnlineViews(looked_up(features), spine)
        found.setdefault(tuple(part.view for part in online.parts), online)
    return [online for views, online in found.items() if views]


def _definitions(loop: Loop, model: Model) -> Iterator[tuple[Sequence[Feature], Spine]]:
    yield model.features, model.spine
    for version in _versions(loop, model):
        text = manifest_of(loop, model, version)["data"]["spine"]
        spine = model.spine if text == spec_text(model.spine) else read_spec(text)
        yield trained_views(loop, model, version).views, spine


def _versions(loop: Loop, model: Model) -> list[int]:
    """The champion, the one before it, to which a rollback leads, and the challenger."""
    epochs = [epoch.version for epoch in loop.ledger.epochs(model.name)]
    found = list(dict.fromkeys(reversed(epochs)))[:2]
    with suppress(AliasNotSetError):
        found.append(loop.registry.pointed(model.name, Alias.CHALLENGER))
    return list(dict.fromkeys(found))


def online_states(loop: Loop, views: Sequence[View], spine: Spine) -> dict[str, dict[str, Any]]:
    """For each view that is read online: as of when, and how many rows behind the lake; or why that is not known."""
    read = [view for view in views if looked_up([view.feature])]
    try:
        with opened(loop.settings, readonly=True) as store:
            return {view.name: _state(view, spine, store, loop) for view in read}
    except OnlineStoreError as error:
        told = "not materialized" if never_made(loop.settings) else str(error)
        return {view.name: {"state": told} for view in read}


def _state(view: View, spine: Spine, store: OnlineStore, loop: Loop) -> dict[str, Any]:
    if not works_online(view.feature):
        return {"state": "batch scoring only"}
    return _told(standings(OnlineViews([view.feature], spine), store, loop.lake))


def _told(parts: Sequence[Standing]) -> dict[str, Any]:
    moments = [part.as_of for part in parts]
    if any(moment is None for moment in moments):
        under_way = any(part.under_way for part in parts)
        return {"state": "under way" if under_way else "not materialized"}
    oldest = min(moment for moment in moments if isinstance(moment, datetime))
    return {"state": "can be read", "as_of": iso(oldest), "rows_behind": max(part.behind for part in parts)}
