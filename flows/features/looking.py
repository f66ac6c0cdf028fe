"""What can be told about features from the definitions and the lake alone: list, show, stats and freshness."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from feature_store.definitions.feature_view import Feature, Latest, Windowed, feature_names
from feature_store.definitions.source import Source
from feature_store.offline.features import features
from feature_store.offline.questions import questions
from feature_store.storage.tables import facts, table_of
from flows.errors import EmptyWindowError
from flows.features.held import online_states
from flows.features.lineage import champion_views, trained_on
from flows.features.views import View, changed, definition_of, find_view, row_of, views_of
from flows.model import Model
from flows.results import Result
from flows.wiring import Loop
from lifecycle.moments import Window, iso, spell

_TOP = 3


def list_features(loop: Loop, model: Model) -> Result:
    """Every feature view with its version, and whether the champion was trained on another."""
    champion, trained = champion_views(loop, model)
    other = changed(model, trained)
    rows = []
    for view in views_of(model):
        row = row_of(view)
        if champion is not None:
            row["champion"] = _against(view, trained, other)
        rows.append(row)
    told: dict[str, Any] = {"features": len(feature_names(model.features)), "champion": champion or "none yet"}
    if other:
        told["changed"] = (
            f"{', '.join(other)} since version {champion} was trained; a training makes a version of the new definition"
        )
    return Result("features list", model.name, "", {**told, "views": rows})


def _against(view: View, trained: dict[str, str], other: dict[str, str]) -> str:
    if view.name in other:
        return f"CHANGED, trained on {other[view.name]}"
    return "the same" if view.name in trained else "not recorded"


def show_feature(loop: Loop, model: Model, name: str) -> Result:
    """One view, or the view that makes a feature: definition, version, and which versions were trained on it.

    Raises:
        UnknownViewError: no view and no feature has this name.
    """
    view = find_view(model, name)
    told: dict[str, Any] = {"view": view.name, "version": view.version, "features": list(view.feature.names)}
    told |= definition_of(view)
    states = online_states(loop, [view], model.spine)
    told |= {"online": states[view.name]} if states else {}
    return Result("features show", model.name, "", {**told, **trained_on(loop, model, view)})


def feature_stats(loop: Loop, model: Model, window: Window) -> Result:
    """What the features of a window's questions were: counts, nulls, and moments or the most frequent values.

    Raises:
        EmptyWindowError: no stored question was asked in the window.
    """
    asked = questions(model.spine, loop.lake, window.start, window.end)
    if not asked.height:
        raise EmptyWindowError("question", "asked", window, newest_question(loop, model, window.end))
    seen = features(model.features, asked, loop.lake, spine=model.spine)
    rows = [_stats(seen[name]) for name in feature_names(model.features)]
    told = {"window": str(window), "questions": seen.height, "statistics": rows}
    return Result("features stats", model.name, iso(window.end), told)


def newest_question(loop: Loop, model: Model, before: datetime) -> datetime | None:
    """When the newest stored question up to a moment was asked; none where there is no question."""
    newest = questions(model.spine, loop.lake, None, before)["as_of"].max()
    return newest if isinstance(newest, datetime) else None


def _stats(values: pl.Series) -> dict[str, Any]:
    known = values.drop_nulls()
    told: dict[str, Any] = {
        "feature": values.name,
        "type": str(values.dtype),
        "count": len(values),
        "null_share": values.null_count() / len(values),
    }
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        numbers = known.cast(pl.Float64)
        return told | {name: getattr(numbers, name)() for name in ("mean", "std", "min", "max")}
    top = known.value_counts(sort=True).sort("count", values.name, descending=[True, False]).head(_TOP)
    shares = [f"{value} {count / len(values):.1%}" for value, count in top.iter_rows()]
    return told | {"distinct": known.n_unique(), "most_frequent": "; ".join(shares)}


def freshness(loop: Loop, model: Model, as_of: datetime) -> Result:
    """How old the newest row behind each view is, against how old it may be; a view past its limit is stale.

    Where features are kept online, also as of when they are, and how many rows the lake has taken in since.
    """
    views = views_of(model)
    rows = [_fresh(loop, view, source, as_of) for view in views if (source := view.source) is not None]
    stale = [row["view"] for row in rows if row["stale"]]
    online = [{"view": name, **state} for name, state in online_states(loop, views, model.spine).items()]
    return Result("features freshness", model.name, iso(as_of), {"stale": stale, "views": rows, "online": online})


def _fresh(loop: Loop, view: View, source: Source, as_of: datetime) -> dict[str, Any]:
    told: dict[str, Any] = {"view": view.name}
    if not loop.lake.exists(table_of(source)):
        return told | {"rows": 0, "stale": True, "note": "never ingested"}
    by = view.joins_on
    columns = sorted({*_columns(view.feature), *by})
    known = facts(source, loop.lake, columns).filter(pl.col("available_at") <= as_of, pl.col("event_time") <= as_of)
    entities = known.select(by).n_unique() if by else None
    told |= {"rows": known.height, "entities": entities}
    if source.timeless:
        return told | {"stale": not known.height}
    newest, available = known["event_time"].max(), known["available_at"].max()
    limit = _limit(view.feature)
    age = as_of - newest if isinstance(newest, datetime) else None
    return told | {
        "newest_event_time": iso(newest) if isinstance(newest, datetime) else None,
        "newest_available_at": iso(available) if isinstance(available, datetime) else None,
        "age": str(age).partition(".")[0] if age is not None else None,
        "limit": spell(limit) if limit is not None else None,
        "stale": age is None or (limit is not None and age > limit),
    }


def _columns(view: Feature) -> set[str]:
    match view:
        case Latest(columns=columns):
            return set(columns)
        case Windowed(aggregates=aggregates, by=by):
            return {root for one in aggregates.values() for root in one.meta.root_names()} | set(by)
    return set()


def _limit(view: Feature) -> timedelta | None:
    """How old the newest row may be before every answer of the view is missing; none where nothing ages."""
    match view:
        case Latest(ttl=ttl):
            return ttl
        case Windowed(over=over):
            return max(span for _, span in over)
    return None
