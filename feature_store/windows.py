"""Aggregates over a span of time, of the rows that were known when the question was asked.

A value depends on the rows in its window and on nothing else: not on how history was cut into chunks, and
not on what else is asked. Whole numbers are summed exactly; floats are summed window by window, over
the window's rows in the order of event time, availability and content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.tables import KEY, ROW, superseded
from feature_store.timeline import Ints, Timeline, entity_codes, moments

Mask = NDArray[np.bool_]

_PAIRS_AT_ONCE = 4_000_000
_FOREVER = np.iinfo(np.int64).max
_SIMPLE = {"Mean": "mean", "Sum": "sum", "Count": "count", "Min": "min", "Max": "max"}
_ROW_BY_ROW = {"Column", "BinaryExpr", "Cast", "Literal", "Alias", "Ternary"}


@dataclass(frozen=True, slots=True)
class Spans:
    """For each question: events in `(start, end]`, known at `known_at`; microseconds since 1970 (UTC)."""

    start: Ints
    end: Ints
    known_at: Ints
    own: Ints | None = None

    def take(self, order: Ints) -> Spans:
        """The same spans in another order."""
        own = None if self.own is None else self.own[order]
        return Spans(self.start[order], self.end[order], self.known_at[order], own)


def aggregate(
    questions: pl.DataFrame,
    rows: pl.DataFrame,
    spans: Spans,
    *,
    by: Sequence[str],
    aggregates: Mapping[str, pl.Expr],
) -> pl.DataFrame:
    """Evaluate Polars aggregations over each question's window.

    Args:
        questions: n rows with the columns `by`.
        rows: m rows as `tables.facts` returns them.
        spans: the window of each question; its own row is left out.
        by: columns that a question and its rows share.
        aggregates: expressions by the name of their result.

    Returns:
        n rows in the order of `questions`, one column per aggregate. Over an empty window they are what
        Polars makes of no rows: null for a mean, 0 for a length or a sum.
    """
    codes, asked = entity_codes(rows, questions, by, told="the window")
    ordered, codes = _in_order(superseded(rows), codes)
    # Neighbouring windows share rows; asking in their order is what makes the searches cheap.
    order = np.lexsort((spans.end, asked))
    asked, spans = asked[order], spans.take(order)
    view = _View.of(ordered, codes, asked, spans)
    answers = [_evaluate(view, name, expression) for name, expression in aggregates.items()]
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pl.DataFrame(answers)[back] if answers else pl.DataFrame()


def _in_order(rows: pl.DataFrame, codes: Ints) -> tuple[pl.DataFrame, Ints]:
    event, available = moments(rows["event_time"]), moments(rows["available_at"])
    order = np.lexsort((rows[ROW].to_numpy(), available, event, codes))
    return rows[order], codes[order]


@dataclass(frozen=True, slots=True)
class _View:
    """The rows each question sees: positions `[low, high)`, exact unless `mixed`.

    In a `mixed` window some row between was not known yet, was replaced, or is the question's own, so
    that its rows are picked one by one.
    """

    rows: pl.DataFrame
    low: Ints
    high: Ints
    mixed: Mask
    spans: Spans

    @classmethod
    def of(cls, rows: pl.DataFrame, codes: Ints, asked: Ints, spans: Spans) -> _View:
        event, available = moments(rows["event_time"]), moments(rows["available_at"])
        by_event = Timeline(codes, event)
        low, end = by_event.upto(asked, spans.start), by_event.upto(asked, spans.end)
        # The least availability from each row on never decreases; where a row is not late it is its own.
        least = _least_to_come(codes, available)
        replaced = rows["superseded_at"].is_not_null() | ~rows[KEY].is_unique()
        irregular = (available > least) | replaced.to_numpy()
        counts = np.concatenate([[0], np.cumsum(irregular)])
        seen = np.clip(Timeline(codes, least).upto(asked, spans.known_at), low, end)
        mixed = counts[end] > counts[low]
        if spans.own is not None:
            mixed |= _holds_own(rows, low, seen, spans.own)
        return cls(rows, low, np.where(mixed, np.maximum(end, low), seen), mixed, spans)

    def pairs(self, which: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Question numbers (into `which`) and row positions, in order and in pieces that fit in memory."""
        sizes = (self.high - self.low)[which]
        total = np.cumsum(sizes)
        begin = 0
        while begin < len(which):
            done = total[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, done + _PAIRS_AT_ONCE, side="right")))
            piece = np.arange(begin, end)
            asked = np.repeat(piece, sizes[piece])
            first = np.concatenate([[0], np.cumsum(sizes[piece])[:-1]])
            places = np.arange(len(asked)) - np.repeat(first, sizes[piece]) + self.low[which][asked]
            keep = self._visible(which[asked], places)
            yield asked[keep], places[keep]
            begin = end

    def _visible(self, asked: Ints, places: Ints) -> Mask:
        known_at = self.spans.known_at[asked]
        replaced = self.rows["superseded_at"].to_physical().fill_null(_FOREVER).to_numpy()
        seen: Mask = (moments(self.rows["available_at"])[places] <= known_at) & (replaced[places] > known_at)
        if self.spans.own is not None:
            seen &= self.rows[KEY].to_numpy()[places] != self.spans.own[asked]
        return seen


def _least_to_come(codes: Ints, available: Ints) -> Ints:
    """For each row the least availability among itself and the entity's rows after it."""
    if not len(codes):
        return available
    moments_, ranks = np.unique(available, return_inverse=True)
    stride = len(moments_)
    least = np.minimum.accumulate((codes * stride + ranks)[::-1])[::-1]
    return moments_[least - codes * stride]


def _holds_own(rows: pl.DataFrame, low: Ints, high: Ints, own: Ints) -> Mask:
    places = pl.DataFrame({KEY: rows[KEY]}).with_row_index("place").unique(KEY, keep="first")
    joined = pl.DataFrame({KEY: own}).join(places, on=KEY, how="left", maintain_order="left")
    place = joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()
    return (place >= low) & (place < high)


def _evaluate(view: _View, name: str, expression: pl.Expr) -> pl.Series:
    nothing = view.rows.clear().select(expression.alias(name))
    dtype = _kept_type(nothing.schema[name])
    empty = nothing[name].cast(dtype)[0]
    simple = _simple(expression, view.rows)
    if simple is None:
        found = _by_polars(view, name, expression)
    else:
        found = _by_ranges(view, name, *simple)
    sizes = found["_size"].to_numpy()
    values = found[name].cast(dtype)
    return values.set(pl.Series(sizes == 0), empty)


def _kept_type(dtype: pl.DataType) -> pl.DataType:
    return pl.Int64() if dtype.is_unsigned_integer() else dtype


def _by_polars(view: _View, name: str, expression: pl.Expr) -> pl.DataFrame:
    """Put every window's rows side by side and let Polars aggregate them."""
    count = len(view.low)
    if not count:
        return pl.DataFrame({name: [], "_size": []})
    roots = expression.meta.root_names() or [KEY]
    values = view.rows.select(*dict.fromkeys(roots))
    pieces = []
    for asked, places in view.pairs(np.arange(count)):
        frame = values[places].with_columns(pl.Series("_asked", asked, dtype=pl.Int64))
        # Keeping the order keeps Polars from splitting one window between threads.
        grouped = frame.lazy().group_by("_asked", maintain_order=True)
        pieces.append(grouped.agg(expression.alias(name), pl.len().alias("_size")).collect(engine="in-memory"))
    found = pl.concat(pieces) if pieces else pl.DataFrame()
    all_asked = pl.DataFrame({"_asked": np.arange(count)})
    return all_asked.join(found, on="_asked", how="left", maintain_order="left").with_columns(
        pl.col("_size").fill_null(0)
    )


def _simple(expression: pl.Expr, rows: pl.DataFrame) -> tuple[str, pl.Series] | None:
    """The kind of a plain aggregate and the values it runs over; None for anything else."""
    tree: Any = json.loads(expression.meta.serialize(format="json"))
    if isinstance(tree, dict) and "Alias" in tree:
        tree = tree["Alias"][0]
    if tree == "Len":
        return "len", pl.Series("ones", np.ones(rows.height, np.int64))
    kind, inside = _aggregated(tree)
    if kind is None or not _is_row_by_row(inside):
        return None
    values = rows.select(_expression(inside).alias("value"))["value"]
    if kind in {"count", "len"}:
        return kind, values
    return (kind, values) if values.dtype.is_numeric() or values.dtype == pl.Boolean else None


def _aggregated(tree: Any) -> tuple[str | None, Any]:
    if not (isinstance(tree, dict) and "Agg" in tree and isinstance(tree["Agg"], dict)):
        return None, None
    ((name, inside),) = tree["Agg"].items()
    kind = _SIMPLE.get(name)
    if kind == "count":
        return ("len" if inside["include_nulls"] else "count"), inside["input"]
    if kind in {"min", "max"}:
        return (None, None) if inside["propagate_nans"] else (kind, inside["input"])
    return kind, inside


def _is_row_by_row(tree: Any) -> bool:
    if not isinstance(tree, dict):
        return False
    ((name, inside),) = tree.items()
    if name not in _ROW_BY_ROW:
        return False
    match name:
        case "BinaryExpr":
            return _is_row_by_row(inside["left"]) and _is_row_by_row(inside["right"])
        case "Cast":
            return _is_row_by_row(inside["expr"])
        case "Alias":
            return _is_row_by_row(inside[0])
        case "Ternary":
            return all(_is_row_by_row(part) for part in inside.values())
        case _:
            return True


def _expression(tree: Any) -> pl.Expr:
    from io import StringIO

    return pl.Expr.deserialize(StringIO(json.dumps(tree)), format="json")


def _by_ranges(view: _View, name: str, kind: str, values: pl.Series) -> pl.DataFrame:
    """Aggregate ranges of positions; where rows must be picked one by one, pick them first."""
    answers = _range_values(kind, values, view.low, np.where(view.mixed, view.low, view.high))
    which = np.flatnonzero(view.mixed)
    for asked, places in view.pairs(which):
        piece = np.unique(asked)
        first, last = (np.searchsorted(asked, piece, side=side) for side in ("left", "right"))
        picked = _range_values(kind, values[places], first, last)
        for whole, part in zip(answers, picked, strict=True):
            whole[which[piece]] = part
    found, valid, sizes = answers
    series = pl.Series(name, found)
    if kind in {"mean", "min", "max"}:
        series = series.set(pl.Series(valid == 0), None)
    return pl.DataFrame({name: series, "_size": sizes})


def _range_values(kind: str, values: pl.Series, low: Ints, high: Ints) -> tuple[NDArray[Any], Ints, Ints]:
    """The aggregate of each range, how many values it has that are not null, and how many rows."""
    sizes = high - low
    valid = _prefix(values.is_not_null().to_numpy().astype(np.int64))
    counts = valid[high] - valid[low]
    if kind in {"len", "count"}:
        return (sizes.copy() if kind == "len" else counts.copy()), counts, sizes
    if kind in {"min", "max"}:
        return _extremes(kind, values, low, high), counts, sizes
    sums = _sums(values, low, high)
    if kind == "sum":
        return sums, counts, sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / counts, counts, sizes


def _prefix(values: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])


def _sums(values: pl.Series, low: Ints, high: Ints) -> NDArray[Any]:
    if not values.dtype.is_float():
        # Differences of prefix sums are exact for whole numbers, and only for them.
        prefix = _prefix(values.cast(pl.Int64).fill_null(0).to_numpy())
        return prefix[high] - prefix[low]
    return _reduced(np.add, values.cast(pl.Float64).fill_null(0.0).to_numpy(), low, high, 0.0)


def _extremes(kind: str, values: pl.Series, low: Ints, high: Ints) -> NDArray[Any]:
    if values.dtype.is_float():
        numbers: NDArray[Any] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return _reduced(np.fmin if kind == "min" else np.fmax, numbers, low, high, float("nan"))
    limit = np.iinfo(np.int64).max if kind == "min" else np.iinfo(np.int64).min
    whole = values.cast(pl.Int64).fill_null(int(limit)).to_numpy()
    return _reduced(np.minimum if kind == "min" else np.maximum, whole, low, high, 0)


def _reduced(operation: np.ufunc, values: NDArray[Any], low: Ints, high: Ints, empty: float) -> NDArray[Any]:
    """Reduce each range by itself, so that a result depends on its own values only."""
    found = np.full(len(low), empty, values.dtype)
    full = np.flatnonzero(high > low)
    if len(full):
        edges = np.stack([low[full], high[full]], axis=1).ravel()
        padded = np.concatenate([values, values[:1]])  # a range may end behind the last value
        found[full] = operation.reduceat(padded, edges)[::2]
    return found
