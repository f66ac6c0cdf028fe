"""Where a feature comes from: the columns of sources it is computed of, so that one cause is known by one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from feature_store.definitions.feature_view import (
    Combined,
    Derived,
    Feature,
    Latest,
    Recency,
    Request,
    Transform,
    Windowed,
    transform_name,
)
from feature_store.definitions.source import Source
from feature_store.definitions.spine import asked_source
from flows.model import Model


def places_of(model: Model) -> dict[str, tuple[str, ...]]:
    """For each feature the places `source.column` it is made of; a ratio has those of both its sides."""
    found: dict[str, tuple[str, ...]] = {}
    for view in model.features:
        for name, places in _made_of(view, asked_source(model.spine), found).items():
            found[name] = tuple(dict.fromkeys(places))
    return found


def _made_of(view: Feature, asked: Source, known: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    match view:
        case Request(columns=columns):
            return {name: _places(asked, [name]) for name in columns}
        case Derived(transforms=transforms):
            return {transform_name(one): _places(asked, _columns(one)) for one in transforms}
        case Latest(source=source, columns=columns):
            return {name: _places(source, [column]) for name, column in zip(view.names, columns, strict=True)}
        case Windowed(source=source, aggregates=aggregates):
            told = [_places(source, _columns(one)) for one in aggregates.values()]
            return dict(zip(view.names, told * len(view.over), strict=True))
        case Recency(source=source):
            return {view.name: (source.name,)}
        case Combined(of=of, to=to):
            return {view.name: (*known.get(of, ()), *known.get(to, ()))}


def _columns(transform: Transform) -> Sequence[str]:
    """What an expression reads; of a function nobody knows."""
    return transform.meta.root_names() if isinstance(transform, pl.Expr) else ()


def _places(source: Source, columns: Iterable[str]) -> tuple[str, ...]:
    """Of a derived column those it is derived from; of nothing at all the source itself."""
    named = [root for column in columns for root in _roots(source, column)]
    return tuple(f"{source.name}.{column}" for column in named) or (source.name,)


def _roots(source: Source, column: str) -> list[str]:
    if column not in source.derive:
        return [column]
    return [root for name in source.derive[column].meta.root_names() for root in _roots(source, name)]
