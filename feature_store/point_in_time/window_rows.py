"""The rows of each window, for aggregates that must look at them: the least, the most, how many kinds, any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from feature_store.definitions.aggregates import Kind
from feature_store.errors import SpecError
from feature_store.point_in_time.asof_join import Moments
from feature_store.point_in_time.ranges import Numbers, different, extremes, value_codes
from feature_store.point_in_time.timeline import Grid, Ints, Timeline, upto_places
from feature_store.point_in_time.versions import FOREVER, Versions
from feature_store.storage.tables import KEY, ROW

Mask = NDArray[np.bool_]

_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class WindowRows:
    """The rows each of n questions sees, in the order of event time, availability and content.

    In a `mixed` window some row between was not known yet, was replaced, or is the question's own, so
    that its rows are picked one by one.

    Attributes:
        rows: m rows as they were given.
        place: their indices in order of entity, and then as above; the positions below count along it.
        versions: of the rows in that order.
        low: the position of the window's first row.
        high: the position behind its last.
    """

    rows: pl.DataFrame
    place: Ints
    versions: Versions
    low: Ints
    high: Ints
    mixed: Mask
    asked: Moments

    @classmethod
    def of(cls, rows: pl.DataFrame, versions: Versions, codes: Ints, asked: Moments, length: int) -> WindowRows:
        """The windows of `length` microseconds up to each question's moment."""
        timeline = Timeline.of(codes, versions.event, (rows[ROW].to_numpy(), versions.available))
        versions, codes = versions.take(timeline.order), codes[timeline.order]
        low, end = timeline.upto(asked.codes, asked.at - length), timeline.upto(asked.codes, asked.at)
        # The least moment of coming into sight from each row on never decreases; of a row in time it is its own.
        grid = Grid(codes, versions.seen_from)
        seen_from = grid.places(codes, versions.seen_from)
        least = np.minimum.accumulate(seen_from[::-1])[::-1]
        odd = _prefix(((seen_from > least) | (versions.until != FOREVER)).astype(np.int64))
        seen = np.clip(upto_places(least, grid.places(asked.codes, asked.at)), low, np.maximum(end, low))
        mixed = odd[np.maximum(end, low)] > odd[low]
        if asked.own is not None:
            mixed |= _holds_own(versions.key, low, end, asked.own)
        high = np.where(mixed, np.maximum(end, low), seen)
        return cls(rows, timeline.order, versions, low, high, mixed, asked)

    def by_polars(self, expression: pl.Expr) -> pl.Series:
        """Put every window's rows side by side and let Polars aggregate them.

        Raises:
            SpecError: it is no aggregate, or none of values of this type.
        """
        name = expression.meta.output_name()
        nothing = _of_nothing(expression, self.rows)
        nothing = nothing.cast(pl.Int64) if nothing.dtype.is_unsigned_integer() else nothing
        values = self.rows.select(*dict.fromkeys(expression.meta.root_names() or [KEY]))
        pieces = [pl.DataFrame({"_asked": [], name: []}, schema={"_asked": pl.Int64, name: nothing.dtype})]
        for asked, positions in self._pairs(np.arange(len(self.low))):
            frame = values[self.place[positions]].with_columns(pl.Series("_asked", asked, dtype=pl.Int64))
            # Keeping the order keeps Polars from splitting one window between threads.
            grouped = frame.lazy().group_by("_asked", maintain_order=True).agg(expression).collect(engine="in-memory")
            pieces.append(grouped.with_columns(pl.col(name).cast(nothing.dtype)))
        return _scattered(pl.concat(pieces), nothing, len(self.low))

    def ranged(self, kind: Kind, values: pl.Series) -> pl.Series:
        """`min`, `max` or `n_unique` of the values, one for each of the rows as they were given."""
        if kind is Kind.N_UNIQUE:
            return pl.Series(self._reduced(value_codes(values), different))
        numbers, operation = _comparable(kind, values)
        there = values.is_not_null().to_numpy().astype(np.int64)
        found = self._reduced(numbers, lambda *ranges: extremes(operation, *ranges))
        present = self._reduced(there, lambda *ranges: extremes(np.maximum, *ranges))
        return pl.Series(found).set(pl.Series(present == 0), None)

    def _reduced(self, numbers: Numbers, reduce: Callable[[Numbers, Ints, Ints], Numbers]) -> Numbers:
        """Reduce the numbers of each window, 0 where it is empty; picked side by side where it is mixed."""
        ordered = numbers[self.place]
        found = np.zeros(len(self.low), numbers.dtype)
        plain = np.flatnonzero(~self.mixed & (self.high > self.low))
        if len(plain):
            found[plain] = reduce(ordered, self.low[plain], self.high[plain])
        for asked, positions in self._pairs(np.flatnonzero(self.mixed)):
            piece, first = np.unique(asked, return_index=True)
            if len(piece):
                found[piece] = reduce(ordered[positions], first, np.append(first[1:], len(asked)))
        return found

    def _pairs(self, which: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Question numbers and row positions, in order and in pieces that fit in memory."""
        sizes = (self.high - self.low)[which]
        total = np.cumsum(sizes)
        begin = 0
        while begin < len(which):
            done = total[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, done + _PAIRS_AT_ONCE, side="right")))
            piece = np.arange(begin, end)
            asked = np.repeat(which[piece], sizes[piece])
            first = np.concatenate([[0], np.cumsum(sizes[piece])[:-1]])
            positions = np.arange(len(asked)) - np.repeat(first, sizes[piece]) + self.low[asked]
            keep = self._visible(asked, positions)
            yield asked[keep], positions[keep]
            begin = end

    def _visible(self, asked: Ints, positions: Ints) -> Mask:
        at, versions = self.asked.at[asked], self.versions
        seen: Mask = (versions.seen_from[positions] <= at) & (versions.until[positions] > at)
        if self.asked.own is not None:
            seen &= versions.key[positions] != self.asked.own[asked]
        return seen


def _of_nothing(expression: pl.Expr, rows: pl.DataFrame) -> pl.Series:
    """What an expression makes of no rows."""
    where = f"window feature {expression.meta.output_name()!r}"
    try:
        made = rows.clear().select(expression).to_series()
    except PolarsError as error:
        raise SpecError(where, str(error).partition("\n")[0], "Aggregate columns of a type that it works on") from error
    if len(made) != 1:
        raise SpecError(where, "it is no aggregate, but a value for each row", "Write for example col(...).mean()")
    return made


def _prefix(numbers: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers)])


def _holds_own(keys: Ints, low: Ints, high: Ints, own: Ints) -> Mask:
    """Whether any version of the question's own row stands in its range."""
    places = pl.DataFrame({KEY: keys}).with_row_index("place")
    asked = pl.DataFrame({KEY: own}).with_row_index("question")
    pairs = asked.join(places, on=KEY)
    question, place = (pairs[name].cast(pl.Int64).to_numpy() for name in ("question", "place"))
    found = np.zeros(len(own), bool)
    found[question[(place >= low[question]) & (place < high[question])]] = True
    return found


def _scattered(found: pl.DataFrame, nothing: pl.Series, count: int) -> pl.Series:
    """The answers in the order of the questions; what the expression makes of no rows for the others."""
    everyone = pl.DataFrame({"_asked": pl.int_range(count, dtype=pl.Int64, eager=True)})
    joined = everyone.join(found, on="_asked", how="left", maintain_order="left")[nothing.name]
    absent = ~everyone["_asked"].is_in(found["_asked"].implode())
    return joined.set(absent, nothing[0])


def _comparable(kind: Kind, values: pl.Series) -> tuple[Numbers, np.ufunc]:
    """Numbers in the order of the values, in which null never wins, and what finds the winner."""
    if values.dtype.is_float():
        numbers: Numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0
        return numbers, np.fmin if kind is Kind.MIN else np.fmax
    limit = np.iinfo(np.int64).max if kind is Kind.MIN else np.iinfo(np.int64).min
    whole = values.to_physical().cast(pl.Int64).fill_null(int(limit)).to_numpy()
    return whole, np.minimum if kind is Kind.MIN else np.maximum
