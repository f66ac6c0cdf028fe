"""A model's feature views by name, each with its version: a changed definition is a new version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feature_store.definitions.feature_view import (
    Combined,
    Derived,
    Feature,
    Latest,
    Recency,
    Request,
    Windowed,
    joins_on,
    named_views,
)
from feature_store.definitions.source import Arrival, Shift, Source
from feature_store.definitions.spec_text import code_hash, view_version
from flows.errors import UnknownViewError
from flows.model import Model
from lifecycle.moments import spell


@dataclass(frozen=True, slots=True)
class View:
    """One feature view of a model.

    Attributes:
        name: how it is called in this model, for example `latest(weather)`.
        version: digest of its definition and its source's.
    """

    name: str
    version: str
    feature: Feature

    @property
    def source(self) -> Source | None:
        """The stored source it reads; none where it computes from the question alone."""
        return self.feature.source if isinstance(self.feature, Latest | Windowed | Recency) else None

    @property
    def joins_on(self) -> tuple[str, ...]:
        """The columns by which a question finds its rows; none for one series and for what the question brings."""
        return joins_on(self.feature) if isinstance(self.feature, Latest | Windowed | Recency) else ()


def views_of(model: Model) -> tuple[View, ...]:
    """The views in the order of the model file; two of one kind on one source are told apart by their first feature."""
    return tuple(View(name, view_version(view), view) for name, view in named_views(model.features).items())


def view_versions(model: Model) -> dict[str, str]:
    """The version of every view, by name."""
    return {view.name: view.version for view in views_of(model)}


def find_view(model: Model, name: str) -> View:
    """The view of this name, or the one that makes the feature of this name.

    Raises:
        UnknownViewError: there is neither.
    """
    views = views_of(model)
    for view in views:
        if name in {view.name, view.version} or name in view.feature.names:
            return view
    features = [feature for view in views for feature in view.feature.names]
    raise UnknownViewError(model.name, name, [view.name for view in views], features)


def row_of(view: View) -> dict[str, Any]:
    """A view as a row of a table."""
    source = view.source
    return {
        "view": view.name,
        "version": view.version,
        "source": source.name if source else "the question",
        "by": list(view.joins_on) or None,
        "reach": _reach(view.feature),
        "features": list(view.feature.names),
    }


def definition_of(view: View) -> dict[str, Any]:
    """A view and its source in the words of the model file."""
    feature = view.feature
    told: dict[str, Any] = {}
    match feature:
        case Latest(columns=columns, ttl=ttl, ago=ago):
            told = {"columns": list(columns), "ttl": spell(ttl) if ttl else None, "ago": spell(ago) if ago else None}
        case Windowed(aggregates=aggregates, over=over, by=by):
            told = {"over": [text for text, _ in over], "by": list(by)}
            told |= {f"aggregate {name}": _one_line(expression) for name, expression in aggregates.items()}
        case Derived(transforms=transforms):
            told = dict(zip((f"transform {name}" for name in feature.names), map(_transform, transforms), strict=True))
        case Request(columns=columns):
            told = {"columns": list(columns)}
        case Combined(of=of, to=to):
            told = {"of": of, "to": to}
    kept = {name: value for name, value in told.items() if value is not None}
    return {**kept, **(_source(view.source) if view.source else {})}


def changed(model: Model, trained: Mapping[str, str]) -> dict[str, str]:
    """The views whose definition in the model file is another than one trained on: name to the version trained on."""
    return {
        view.name: trained[view.name]
        for view in views_of(model)
        if view.name in trained and trained[view.name] != view.version
    }


def _reach(view: Feature) -> str | None:
    """How far back a view looks."""
    match view:
        case Latest(ttl=ttl):
            return spell(ttl) if ttl else None
        case Windowed(over=over):
            return ", ".join(text for text, _ in over)
    return None


def _source(source: Source) -> dict[str, Any]:
    told: dict[str, Any] = {"source": source.name, "key": list(source.key_columns or ("the whole row",))}
    if source.entity_columns:
        told["entity"] = list(source.entity_columns)
    if source.timeless:
        return {**told, "timeless": True}
    told |= {"event_time": source.event_time, "available_at": _availability(source)}
    told |= {f"later at {time}": list(columns) for time, columns in source.later.items()}
    told |= {f"derived {name}": _one_line(one) for name, one in source.derive.items()}
    return told | ({"where": [_one_line(one) for one in source.filters]} if source.filters else {})


def _availability(source: Source) -> str:
    match source.availability:
        case Shift(column=column, offset=offset):
            sign = "after" if offset.total_seconds() >= 0 else "before"
            return f"{spell(abs(offset))} {sign} {column}" if offset else column
        case Arrival():
            return "when it was ingested"
    return "always"


def _transform(transform: Any) -> str:
    if callable(transform) and not hasattr(transform, "meta"):
        return f"{transform.__qualname__}, code {code_hash(transform)[:12]}"
    return _one_line(transform)


def _one_line(expression: object) -> str:
    return " ".join(str(expression).split())
