"""Logged features, computed again: each question as the lake or the log tells it, as of its own moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from feature_store.definitions.feature_view import (
    Combined,
    Derived,
    Feature,
    Request,
    feature_names,
    joins_on,
    with_operands,
)
from feature_store.offline.features import features
from feature_store.offline.parity import FeatureParity, Mask, compared, differs, merged
from feature_store.offline.questions import questions
from feature_store.storage.lake import Lake
from feature_store.storage.taken_in import TakenIn, taken_in_moments
from flows.features.lineage import Trained
from flows.frames import key_names, predictions_table, question_columns, stored_name
from flows.model import Model
from lifecycle.moments import Window

_ROWS_AT_ONCE = 100_000
_PLACE = "_place"


@dataclass(frozen=True, slots=True)
class Answers:
    """Some logged answers of one version.

    Attributes:
        views: the features that the version was trained on, by which its answers should have been made. A feature
            that the model file grew later is logged beside an older version, and is none of its business.
        rows: the columns of their questions, `as_of`, `served_at`, `version` and `feature.NAME`.
        lost: further features of the version, whose definition cannot be read any more.
    """

    model: Model
    lake: Lake
    views: Sequence[Feature]
    rows: pl.DataFrame
    lost: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Offline:
    """Features computed again: per feature n values, and for which of the n rows they could be computed."""

    values: Mapping[str, pl.Series]
    computed: Mapping[str, Mask]


def window_parity(answers: Iterator[Answers]) -> list[FeatureParity]:
    """How every feature compares with what is computed now; one piece is in memory at a time."""
    return merged(_piece_parity(piece) for piece in answers)


def logged(model: Model, lake: Lake, window: Window, trained: Mapping[int, Trained]) -> Iterator[Answers]:
    """The logged answers to the questions of a window, in pieces of one version each, by `as_of`.

    Args:
        trained: what each version that answered was trained on.
    """
    for version, told in trained.items():
        rows = _rows(model, lake, window, feature_names(told.views))
        rows = rows.filter(pl.col("version") == version)
        for start in range(0, rows.height, _ROWS_AT_ONCE):
            yield Answers(model, lake, told.views, rows[start : start + _ROWS_AT_ONCE], told.lost)


def newest_logged(model: Model, lake: Lake, before: datetime) -> datetime | None:
    """When the newest question was asked whose answer is logged, up to a moment; none where there is none."""
    table = predictions_table(model.name)
    if not lake.exists(table):
        return None
    with lake.reading(table):
        newest = lake.scan(table, ["as_of"]).filter(pl.col("as_of") <= before).collect()["as_of"].max()
    return newest if isinstance(newest, datetime) else None


def versions_logged(model: Model, lake: Lake, window: Window) -> list[int]:
    """The versions that answered in a window."""
    return sorted(_rows(model, lake, window, ())["version"].unique())


def _rows(model: Model, lake: Lake, window: Window, features: Sequence[str]) -> pl.DataFrame:
    table = predictions_table(model.name)
    stored = lake.schema(table)
    given = [stored_name(name) for name in features]
    columns = [*question_columns(model), "as_of", "served_at", "version", *(name for name in given if name in stored)]
    inside = (pl.col("as_of") > window.start) & (pl.col("as_of") <= window.end)
    with lake.reading(table):
        rows = lake.scan(table, list(dict.fromkeys(columns))).filter(inside).collect()
    return rows.sort("as_of", *key_names(model), "version", "served_at")


def _piece_parity(answers: Answers) -> list[FeatureParity]:
    offline = recomputed(answers, answers.views, answers.lake)
    made = feature_names(answers.views)
    names = [name for name in made if stored_name(name) in answers.rows.columns]
    there = {name: offline.computed[name] for name in names}
    other = {name: there[name] & differs(_served(answers, name), offline.values[name]) for name in names}
    late = _late(answers, {name: mask for name, mask in other.items() if mask.any()})
    asked = answers.rows.select(*question_columns(answers.model), "as_of", "served_at", "version")
    found = []
    for name in names:
        rows = pl.Series(there[name])
        cells = [column.filter(rows) for column in (_served(answers, name), offline.values[name])]
        mask = late.get(name, np.zeros(len(rows), bool))[there[name]]
        one = compared(cells[0], cells[1], mask, asked.filter(rows))
        found.append(one.merged(FeatureParity(name, unchecked=len(rows) - one.checked)))
    absent = [*(name for name in made if name not in names), *answers.lost]
    return [*found, *(FeatureParity(name, unchecked=answers.rows.height) for name in absent)]


def _served(answers: Answers, feature: str) -> pl.Series:
    return answers.rows[stored_name(feature)].alias(feature)


def recomputed(answers: Answers, views: Sequence[Feature], lake: Lake) -> Offline:
    """The features of logged questions, as of each question's `as_of`, from what a lake holds.

    A question that the lake knows is asked again as the lake has it. Of one that only the log knows, the features
    are computed whose inputs were logged; what the caller sent himself can then be compared with nothing.
    """
    model, rows = answers.model, answers.rows.with_row_index(_PLACE)
    views = with_operands(views, model.features)
    key = [*key_names(model), "as_of"]
    known = _questions(model, lake, rows)
    own = [name for name in known.columns if name not in key]
    from_lake = rows.select(_PLACE, *key).join(known.select(*key, *own), on=key, how="inner", maintain_order="left")
    from_log = rows.filter(~pl.col(_PLACE).is_in(from_lake[_PLACE].implode())).select(_PLACE, *_logged_columns(answers))
    answerable = _answerable(views, from_log.columns)
    parts = [
        features(chosen, asked, lake, spine=model.spine).select(_PLACE, *feature_names(chosen))
        for chosen, asked in ((views, from_lake), (answerable, from_log))
        if chosen and asked.height
    ]
    return _put_back(parts, feature_names(views), rows.height)


def _questions(model: Model, lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    first, last = rows["as_of"][0], rows["as_of"][-1]
    return questions(model.spine, lake, first - timedelta(microseconds=1), last)


def _logged_columns(answers: Answers) -> list[pl.Expr]:
    """A question as the log alone tells it: what identifies it, and what was sent along."""
    model = answers.model
    told = {name: pl.col(name) for name in [*question_columns(model), "as_of"]}
    for view in answers.views:
        sent = [name for name in view.names if isinstance(view, Request) and name not in told]
        told |= {name: pl.col(stored_name(name)).alias(name) for name in sent if stored_name(name) in answers.rows}
    return list(told.values())


def _answerable(views: Sequence[Feature], columns: Sequence[str]) -> list[Feature]:
    found: list[Feature] = []
    for view in views:
        if _is_answerable(view, columns, feature_names(found)):
            found.append(view)
    return found


def _is_answerable(view: Feature, columns: Sequence[str], made: Sequence[str]) -> bool:
    match view:
        case Combined(of=of, to=to):
            return {of, to} <= set(made)
        case Request():
            return False
        case Derived(transforms=transforms):
            roots = [one.meta.root_names() for one in transforms if isinstance(one, pl.Expr)]
            return len(roots) == len(transforms) and {name for each in roots for name in each} <= set(columns)
        case _:
            return set(joins_on(view)) <= set(columns)


def _put_back(parts: Sequence[pl.DataFrame], names: Sequence[str], height: int) -> Offline:
    """Values in the order of the log; null, and not computed, where no part has one."""
    values, computed = {}, {}
    places = pl.DataFrame({_PLACE: np.arange(height, dtype=np.uint32)})
    for name in names:
        having = [part.select(_PLACE, name) for part in parts if name in part.columns]
        found = pl.concat(having) if having else pl.DataFrame(schema={_PLACE: pl.UInt32, name: pl.Null})
        values[name] = places.join(found, on=_PLACE, how="left", maintain_order="left")[name]
        mask = np.zeros(height, bool)
        mask[found[_PLACE].to_numpy()] = True
        computed[name] = mask
    return Offline(values, computed)


def _late(answers: Answers, other: Mapping[str, Mask]) -> dict[str, Mask]:
    """Which differing cells agree when computed from what had been taken in when they were served.

    Rows that were answered between the same two batches saw the same lake, and are computed together.
    """
    late = {name: np.zeros_like(mask) for name, mask in other.items()}
    if not other:
        return late
    taken_in = taken_in_moments(answers.lake, answers.model.sources)
    seen = taken_in.search_sorted(answers.rows["served_at"], side="right").to_numpy()
    differing = np.logical_or.reduce(list(other.values()))
    for state in np.unique(seen[differing & (seen < len(taken_in))]):
        places = np.flatnonzero(differing & (seen == state))
        rows = answers.rows[places]
        then = TakenIn(answers.lake, rows["served_at"][0])
        views = [view for view in answers.views if set(view.names) & set(other)]
        before = recomputed(replace(answers, lake=then, rows=rows), views, then)
        for name, mask in other.items():
            served = rows[stored_name(name)].alias(name)
            agrees = before.computed[name] & ~differs(served, before.values[name])
            late[name][places] = mask[places] & agrees
    return late
