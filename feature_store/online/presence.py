"""Whether an entity is missing, or the records of its view are gone."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.online.catalog import Build, entries, entry_key
from feature_store.online.errors import ViewNotMaterializedError
from feature_store.online.plan import OnlineViews
from feature_store.online.store import OnlineStore


class Presence:
    """The records that a reader was made for: asked about when one is not there, because what was removed has none."""

    def __init__(self, online: OnlineViews, builds: Sequence[Build], store: OnlineStore) -> None:
        self._parts, self._store = online.parts, store
        self._endings = [build.ending for build in builds]
        self._keys = [entry_key(part.view) for part in self._parts]
        self._seen: list[bytes | None] = []

    def check(self) -> None:
        """Make sure that the store still holds every view.

        Raises:
            ViewNotMaterializedError: one was removed, or is being removed, since the reader was made.
        """
        now = self._store.get_many(self._keys)
        if now == self._seen:
            return
        found = entries(self._parts, self._store)
        serving = [None if entry is None or entry.serving is None else entry.serving.ending for entry in found]
        gone = {part.told for part, one, made in zip(self._parts, serving, self._endings, strict=True) if one != made}
        if gone:
            raise ViewNotMaterializedError(gone, repr(self._store))
        self._seen = now
