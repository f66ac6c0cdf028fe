"""Precompute: answers by key for whoever asks later: batch scores, the best few, or a whole grid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from prefect import flow

from feature_store.online.keyed_table import Head, Rows, replace_table
from flows.errors import GridError, NothingScoredError, TopError
from flows.frames import predictions_table, question_columns
from flows.model import Model
from flows.online import opened
from flows.results import Result
from flows.steps import moment_of, run_name
from flows.wiring import Loop, Reign, current_loop
from lifecycle.errors import NoChampionError
from lifecycle.moments import Window, iso
from mlflow_plugins.loader import LoadedModel
from mlflow_plugins.precomputed_names import GRID, SCORES, TOP, table_name

LARGEST_GRID = 10_000_000
_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Best:
    """The best few for each entity: `count` of the questions with the same values in `by`."""

    by: tuple[str, ...]
    count: int


@flow(name="precompute", flow_run_name=run_name)
def precompute(model: str, as_of: str | None = None, by: str = "", top: int = 0) -> Result:
    """Let the newest scores of the window that ends at `as_of` be asked by key.

    Args:
        by: columns, joined by commas; with `top`, the best so many for each of their values as well.
    """
    loop = current_loop()
    return precompute_scores(loop, loop.model(model), moment_of(as_of), best_few(loop.model(model), by, top))


def best_few(model: Model, by: str, top: int) -> Best | None:
    """The best few that two options ask for; none where they ask for none.

    Raises:
        TopError: one without the other, or columns that are not part of the key.
    """
    if not by and not top:
        return None
    key, columns = question_columns(model), tuple(by.split(","))
    if top < 1 or not by or not set(columns) < set(key):
        raise TopError(by, top, key)
    return Best(columns, top)


def precompute_scores(loop: Loop, model: Model, as_of: datetime, best: Best | None) -> Result:
    """As the flow does, here and now.

    Raises:
        NoChampionError: nothing was promoted yet.
        NothingScoredError: the champion has scored nothing in the window.
    """
    champion = _champion(loop, model)
    window = Window.before(as_of, loop.policy_of(model).every)
    scored = newest_scores(loop, model, champion, window)
    if not scored.height:
        raise NothingScoredError(model.name, champion.epoch.version, str(window))
    facts = _facts(champion, as_of)
    key = question_columns(model)
    told: dict[str, Any] = {"version": champion.epoch.version, "keys": key}
    with opened(loop.settings) as store:
        rows = [(scored.select(key), _numbers(scored["prediction"].to_numpy()))]
        told["rows"] = replace_table(store, table_name(model.name, SCORES), rows, _types(scored, key), facts).rows
        if best is not None:
            facts = {**facts, "top": best.count}
            head = replace_table(
                store, table_name(model.name, TOP), [best_rows(scored, key, best)], _types(scored, best.by), facts
            )
            told |= {"by": list(best.by), "top": best.count, "entities": head.rows}
    return Result("precompute", model.name, iso(as_of), told)


def newest_scores(loop: Loop, model: Model, champion: Reign, window: Window) -> pl.DataFrame:
    """The champion's newest prediction for each key that was asked about in a window."""
    table, key = predictions_table(model.name), question_columns(model)
    if not loop.lake.exists(table):
        return pl.DataFrame()
    inside = (pl.col("as_of") > window.start) & (pl.col("as_of") <= window.end)
    mine = pl.col("version") == champion.epoch.version
    with loop.lake.reading(table):
        rows = (
            loop.lake.scan(table, [*key, "as_of", "served_at", "version", "prediction"]).filter(inside & mine).collect()
        )
    rows = rows.drop_nulls([*key, "prediction"]).sort("as_of", "served_at", *key)
    return rows.unique(key, keep="last", maintain_order=True)


def best_rows(scored: pl.DataFrame, key: Sequence[str], best: Best) -> Rows:
    """For each entity the questions with the highest predictions, as JSON; equal ones in the order of their key."""
    rest = [name for name in key if name not in best.by]
    ranked = scored.sort(["prediction", *rest], descending=[True, *(False for _ in rest)])
    grouped = ranked.group_by(best.by, maintain_order=True).head(best.count)
    lists = grouped.group_by(best.by, maintain_order=True).agg(pl.struct(*rest, "prediction").alias("best"))
    return lists.select(best.by), [json.dumps(one, default=iso_text).encode() for one in lists["best"].to_list()]


def iso_text(value: Any) -> str:
    """Moments and days as text."""
    return iso(value) if isinstance(value, datetime) else str(value)


def precompute_grid(loop: Loop, model: Model, as_of: datetime, path: Path) -> Result:
    """Let every combination of some values of the model's columns be asked by key.

    Args:
        path: a JSON file with the values of each column.

    Raises:
        NoChampionError: nothing was promoted yet.
        GridError: the file does not give the values of each column, or there are too many combinations.
    """
    champion = _champion(loop, model)
    loaded = champion.loaded
    values = read_grid(path, loaded)
    types = {
        name: pl.String() if kind == "string" else pl.Float64()
        for name, kind in zip(loaded.columns, loaded.kinds, strict=True)
    }
    with opened(loop.settings) as store:
        rows = grid_rows(loaded, values, types)
        head: Head = replace_table(store, table_name(model.name, GRID), rows, types, _facts(champion, as_of))
    told = {"version": champion.epoch.version, "keys": list(types), "rows": head.rows}
    return Result("precompute", model.name, iso(as_of), told)


def read_grid(path: Path, loaded: LoadedModel) -> dict[str, list[Any]]:
    """The values of each column, in the order of the signature.

    Raises:
        GridError: see above.
    """
    try:
        given = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GridError(str(path), str(error)) from error
    if not isinstance(given, dict) or set(given) != set(loaded.columns):
        raise GridError(str(path), f"it has to give values for {list(loaded.columns)}, and for nothing else")
    for name, kind in zip(loaded.columns, loaded.kinds, strict=True):
        wanted = str if kind == "string" else (int, float)
        if not given[name] or not all(
            isinstance(value, wanted) and not isinstance(value, bool) for value in given[name]
        ):
            raise GridError(
                str(path), f"the values of {name!r} have to be some {'texts' if kind == 'string' else 'numbers'}"
            )
    count = prod(len(set(values)) for values in given.values())
    if count > LARGEST_GRID:
        raise GridError(str(path), f"it has {count:,} combinations, and at most {LARGEST_GRID:,} are computed")
    return {name: list(dict.fromkeys(given[name])) for name in loaded.columns}


def grid_rows(loaded: LoadedModel, values: Mapping[str, list[Any]], types: Mapping[str, pl.DataType]) -> Iterator[Rows]:
    """Every combination with its prediction, a chunk at a time."""
    combinations = product(*values.values())
    while chunk := list(islice(combinations, _AT_ONCE)):
        frame = pl.DataFrame(chunk, schema=dict(types), orient="row")
        yield frame, _numbers(loaded.predict(frame.to_pandas()))


def _champion(loop: Loop, model: Model) -> Reign:
    champion = loop.champion(model)
    if champion is None:
        raise NoChampionError(model.name)
    return champion


def _facts(champion: Reign, as_of: datetime) -> dict[str, Any]:
    return {"version": champion.epoch.version, "epoch": champion.epoch.epoch, "as_of": iso(as_of)}


def _types(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, pl.DataType]:
    return {name: frame.schema[name] for name in names}


def _numbers(predictions: np.ndarray) -> list[bytes]:
    """Predictions as the server would write them."""
    return [json.dumps(one).encode() for one in np.asarray(predictions, dtype=np.float64).tolist()]
