"""Which records a model's features are read from online: one per entity, view, and moment of becoming known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import polars as pl

from feature_store.definitions.aggregates import Aggregate, recognise
from feature_store.definitions.feature_view import (
    Combined,
    Derived,
    Feature,
    Latest,
    Recency,
    Request,
    Windowed,
    check_features,
)
from feature_store.definitions.source import Source
from feature_store.definitions.spec_text import spec_text
from feature_store.definitions.spine import Each, Spine
from feature_store.online.errors import UnsupportedAggregateError
from feature_store.online.store import FORMAT
from feature_store.span import microseconds

VIEW_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class NewestRow:
    """Columns of one view that become known together, of the newest row; without columns, how old that row is.

    Attributes:
        names: of the features, in the order of `columns`; of the age, where there are no columns.
        ttl, ago: microseconds.
        own: whether a question may be a row of this source, which is then never its answer.
    """

    source: Source
    told: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    ttl: int | None
    ago: int
    own: bool

    @property
    def by(self) -> tuple[str, ...]:
        return self.source.entity_columns

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def view(self) -> bytes:
        return _digest([FORMAT, "newest", self.source, self.columns, self.ttl, self.ago, self.own])


@dataclass(frozen=True, slots=True, eq=False)
class InWindow:
    """Aggregates of one view whose values become known together, over the rows of the last while.

    Attributes:
        names: of the features: for each length in turn, every aggregate.
        over: microseconds.
        aggregates: by name.
        own: as for `NewestRow`.
    """

    source: Source
    told: str
    names: tuple[str, ...]
    by: tuple[str, ...]
    over: tuple[int, ...]
    aggregates: tuple[tuple[str, Aggregate], ...]
    own: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        found = [one.values.meta.root_names() for _, one in self.aggregates if one.values is not None]
        return tuple(dict.fromkeys(name for names in found for name in names))

    @property
    def view(self) -> bytes:
        told = [(name, one.kind, one.values) for name, one in self.aggregates]
        return _digest([FORMAT, "window", self.source, told, self.by, self.over, self.own])


Part = NewestRow | InWindow


@dataclass(frozen=True, slots=True, eq=False)
class OnlineViews:
    """The features of a model and the questions they are asked by, as the online store needs to know them.

    A part's `view` is a digest of its definition: records of a changed definition have other keys, so that
    two versions lie beside each other and are never mixed.

    Raises:
        UnsupportedAggregateError: a window aggregate outside the closed set that offline and online share.
        LeakError, FeatureNameClashError: as for `features(...)`.
    """

    views: Sequence[Feature]
    spine: Spine
    parts: tuple[Part, ...] = field(init=False)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", check_features(self.views, self.spine))
        object.__setattr__(self, "parts", tuple(part for view in self.views for part in _parts(view, self.spine)))

    def reading(self, source: str) -> OnlineViews:
        """Only the views of one source."""
        looked = [view for view in self.views if isinstance(view, Latest | Windowed | Recency)]
        own = [view for view in looked if view.source.name == source]
        return OnlineViews(own, self.spine)


def _parts(view: Feature, spine: Spine) -> Iterator[Part]:
    match view:
        case Latest():
            yield from _newest(view, spine)
        case Windowed():
            yield from _windows(view, spine)
        case Recency(source=source):
            yield NewestRow(source, view.told, view.names, (), None, 0, _asks_itself(source, spine))
        case Request() | Derived() | Combined():
            pass


def _newest(view: Latest, spine: Spine) -> Iterator[Part]:
    source, own = view.source, _asks_itself(view.source, spine)
    ttl = None if view.ttl is None else microseconds(view.ttl)
    ago = 0 if view.ago is None else microseconds(view.ago)
    named = list(zip(view.columns, view.names, strict=True))
    for times in dict.fromkeys(source.known_with(column) for column in view.columns):
        group = [(column, name) for column, name in named if source.known_with(column) == times]
        columns, names = (tuple(texts) for texts in zip(*group, strict=True))
        yield NewestRow(source, view.told, names, columns, ttl, ago, own)


def _windows(view: Windowed, spine: Spine) -> Iterator[Part]:
    source, own = view.source, _asks_itself(view.source, spine)
    found = {name: _recognised(name, one) for name, one in view.aggregates.items()}
    waits = {name: () if one.values is None else source.known_with(one.values) for name, one in found.items()}
    for times in dict.fromkeys(waits.values()):
        group = tuple((name, one) for name, one in found.items() if waits[name] == times)
        names = tuple(f"{name}_{text}" for text, _ in view.over for name, _ in group)
        yield InWindow(source, view.told, names, view.by, tuple(microseconds(one) for _, one in view.over), group, own)


def works_online(view: Feature) -> bool:
    """Whether a feature can be kept up online: all but windows with an aggregate that only works offline."""
    return not isinstance(view, Windowed) or None not in map(recognise, view.aggregates.values())


def _recognised(name: str, expression: pl.Expr) -> Aggregate:
    found = recognise(expression)
    if found is None:
        raise UnsupportedAggregateError(name, expression)
    return found


def _asks_itself(source: Source, spine: Spine) -> bool:
    return isinstance(spine, Each) and spine.source.name == source.name


def _digest(told: object) -> bytes:
    return blake2b(spec_text(told).encode(), digest_size=VIEW_BYTES).digest()
