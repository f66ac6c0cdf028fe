"""The features of one entity as the online store answers them, beside what the lake computes for the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from feature_store.definitions.feature_view import Combined, Feature, feature_names
from feature_store.definitions.spine import asked_source
from feature_store.errors import ColumnTypeError, MissingColumnsError
from feature_store.offline.features import features
from feature_store.offline.parity import differs
from feature_store.online.plan import OnlineViews
from feature_store.online.reader import OnlineReader
from feature_store.online.standing import standings
from feature_store.storage.lake import Lake
from feature_store.storage.tables import column_type
from flows.features.held import looked_up
from flows.features.views import views_of
from flows.model import Model
from flows.online import opened
from flows.results import Result
from flows.wiring import Loop
from lifecycle.moments import iso

_UTC = pl.Datetime("us", "UTC")
_WORDS = {"true": True, "false": False}


def read_features(loop: Loop, model: Model, entity: Mapping[str, Any], as_of: datetime) -> Result:
    """What a new question about an entity is told at `as_of`, and whether that is what the lake says.

    Args:
        entity: the columns by which its rows are found; text is read as the column's type.

    Raises:
        MissingColumnsError, ColumnTypeError: a column is not given, or cannot be of its type.
        ViewNotMaterializedError: the store does not hold a view as the model file defines it.
        AskedOfThePastError: the store was written later than that.
    """
    read = _read_online(model.features)
    types = _types(model, loop.lake)
    question = _typed(entity, types)
    with opened(loop.settings, readonly=True) as store:
        online = OnlineViews(read, model.spine)
        answer = OnlineReader(online, store, types=types, new_questions=True).read([question], as_of)
        behind = max(part.behind for part in standings(online, store, loop.lake))
    lake = features(read, _asked(model, loop.lake, question, types, as_of), loop.lake, spine=model.spine)
    served = pl.DataFrame([answer.rows[0]], schema={name: lake.schema[name] for name in answer.names}, orient="row")
    status = answer.status()
    rows = [
        {
            "feature": name,
            "online": served[name][0],
            "status": status[name].name.lower(),
            "lake": lake[name][0],
            "same": not differs(served[name], lake[name]).any(),
        }
        for name in answer.names
    ]
    differing = [row["feature"] for row in rows if not row["same"]]
    told = {"entity": dict(question), "rows_behind": behind, "differing": differing, "values": rows}
    return Result("features read", model.name, iso(as_of), told)


def _read_online(every: Sequence[Feature]) -> list[Feature]:
    """The features that are looked up, and those that are made of these alone."""
    found: list[Feature] = []
    for view in every:
        made = feature_names(found)
        if looked_up([view]) or (isinstance(view, Combined) and {view.of, view.to} <= set(made)):
            found.append(view)
    return found


def _types(model: Model, lake: Lake) -> dict[str, pl.DataType]:
    """The columns by which rows are found, as the sources have them."""
    found: dict[str, pl.DataType] = {}
    for view in views_of(model):
        if view.source is not None:
            found |= {column: column_type(view.source, column, lake) for column in view.joins_on if column not in found}
    return found


def _typed(entity: Mapping[str, Any], types: Mapping[str, pl.DataType]) -> dict[str, Any]:
    missing = [name for name in types if name not in entity]
    if missing:
        raise MissingColumnsError("the entity", missing, entity)
    return {name: _value(name, entity[name], dtype) for name, dtype in types.items()}


def _value(name: str, given: Any, dtype: pl.DataType) -> Any:
    if not isinstance(given, str) or dtype == pl.String:
        return given
    if dtype == pl.Boolean and given in _WORDS:
        return _WORDS[given]
    try:
        return pl.Series([given]).cast(dtype)[0]
    except PolarsError as error:
        raise ColumnTypeError("the entity", name, got=repr(given), expected=dtype) from error


def _asked(
    model: Model, lake: Lake, question: Mapping[str, Any], types: Mapping[str, pl.DataType], as_of: datetime
) -> pl.DataFrame:
    """The question as a frame. It is no row of the source that asks, so what identifies one is null."""
    asked = pl.DataFrame([question], schema=dict(types)).with_columns(pl.lit(as_of).cast(_UTC).alias("as_of"))
    source = asked_source(model.spine)
    absent = [name for name in source.key_columns or () if name not in asked.columns]
    return asked.with_columns(pl.lit(None, column_type(source, name, lake)).alias(name) for name in absent)
