"""What a window looked like, in a few kilobytes a column that merge: two windows' profiles make that of both.

Everything kept is a count, an extreme, a whole sum or a sketch that merges without loss, so that merging equals
profiling the rows together, bit for bit, in whatever chunks and order they come. That bounds the memory of a
window larger than it, and lets a season be put together from its weeks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd

from monitoring.bins import Bins, Layout, NumberBins, TextBins
from monitoring.columns import SortedNumbers, counted_texts, values_of
from monitoring.distinct import Distinct, distinct_numbers, distinct_texts
from monitoring.errors import LayoutMismatchError, UnreadableProfileError
from monitoring.exact_sums import ORDER, as_float, power_sums


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """A column of numbers in one window.

    Attributes:
        bins: the reference's bins.
        counts: finite values in each bin; the first and the last lie outside of the reference's range.
        nulls: nulls; all rows where the column is missing.
        infinities: values of minus and of plus infinity.
        foreign: values that are no numbers, where the window's column has another type.
        extremes: least and greatest finite value; none without one.
        sums: sums of the first four powers of the distance from the bins' centre (`exact_sums`).
        distinct: sketch of the distinct finite values.
    """

    bins: NumberBins
    counts: tuple[int, ...]
    nulls: int = 0
    infinities: tuple[int, int] = (0, 0)
    foreign: int = 0
    extremes: tuple[float, float] | None = None
    sums: tuple[int, ...] = (0,) * ORDER
    distinct: Distinct = Distinct()  # noqa: RUF009  (frozen, and without a value)

    @classmethod
    def of(cls, column: SortedNumbers, bins: NumberBins) -> NumberProfile:
        """Profile a column of numbers."""
        finite = column.finite
        return cls(
            bins,
            bins.counts(finite),
            column.nulls,
            column.infinities,
            column.foreign,
            extremes=(float(finite[0]) + 0.0, float(finite[-1]) + 0.0) if finite.size else None,
            sums=power_sums(finite, bins.centre),
            distinct=distinct_numbers(finite),
        )

    @property
    def values(self) -> int:
        """Finite values."""
        return sum(self.counts)

    @property
    def others(self) -> tuple[int, int]:
        """Rows without a finite value: infinities, and rows without a number."""
        return sum(self.infinities), self.nulls + self.foreign

    @property
    def rows(self) -> int:
        """All rows."""
        return self.values + sum(self.others)

    @property
    def mean(self) -> float:
        """Mean of the finite values; NaN without one."""
        return self.bins.centre + as_float(self.sums[0], self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """Population standard deviation of the finite values; NaN without one."""
        if not self.values:
            return math.nan
        # The sums are whole numbers of units, so the difference is rounded once, at the end.
        first, second = self.sums[:2]
        return math.sqrt(max(as_float(second * self.values - (first * first >> 1074), self.values**2), 0.0))

    def __add__(self, other: NumberProfile) -> NumberProfile:
        if self.bins != other.bins:
            raise LayoutMismatchError("number bins", len(self.bins.edges), len(other.bins.edges))
        ends = [*(self.extremes or ()), *(other.extremes or ())]
        return NumberProfile(
            self.bins,
            _added(self.counts, other.counts),
            self.nulls + other.nulls,
            (self.infinities[0] + other.infinities[0], self.infinities[1] + other.infinities[1]),
            self.foreign + other.foreign,
            (min(ends), max(ends)) if ends else None,
            _added(self.sums, other.sums),
            self.distinct + other.distinct,
        )


@dataclass(frozen=True, slots=True)
class TextProfile:
    """A column of categories in one window.

    Attributes:
        bins: the reference's categories.
        counts: values of each category, and of all others together.
        nulls: nulls; all rows where the column is missing.
        distinct: sketch of the distinct values.
    """

    bins: TextBins
    counts: tuple[int, ...]
    nulls: int = 0
    distinct: Distinct = Distinct()  # noqa: RUF009  (frozen, and without a value)

    @classmethod
    def of(cls, counted: Mapping[str, int], bins: TextBins, *, rows: int) -> TextProfile:
        """Profile a column of so many rows, given how often each non-null value occurs."""
        names, counts = np.array(list(counted), dtype=object), np.array(list(counted.values()), dtype=np.int64)
        return cls(bins, bins.counts(counted), rows - int(counts.sum()), distinct_texts(names, counts))

    @property
    def values(self) -> int:
        """Values that are not null."""
        return sum(self.counts)

    @property
    def others(self) -> tuple[int]:
        """Rows without a value: the nulls."""
        return (self.nulls,)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.values + self.nulls

    def __add__(self, other: TextProfile) -> TextProfile:
        if self.bins != other.bins:
            raise LayoutMismatchError("categories", len(self.bins.categories), len(other.bins.categories))
        return TextProfile(
            self.bins, _added(self.counts, other.counts), self.nulls + other.nulls, self.distinct + other.distinct
        )


ColumnProfile = NumberProfile | TextProfile


@dataclass(frozen=True, slots=True)
class Profile:
    """One window.

    Attributes:
        columns: name and profile, in the order of the layout.
    """

    columns: tuple[tuple[str, ColumnProfile], ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, layout: Layout) -> Profile:
        """Profile the columns of a layout; one that the frame lacks is all null, one it has besides is left out."""
        return cls(tuple((name, _profile(frame, name, bins)) for name, bins in layout))

    @classmethod
    def of_chunks(cls, chunks: Iterable[pd.DataFrame], layout: Layout) -> Profile:
        """Profile a window chunk by chunk; no more than one chunk needs to be in memory."""
        return reduce(add, (cls.of(chunk, layout) for chunk in chunks), cls.of(pd.DataFrame(), layout))

    @property
    def layout(self) -> Layout:
        """The bins it was counted in."""
        return Layout(tuple((name, column.bins) for name, column in self.columns))

    @property
    def rows(self) -> int:
        """All rows; 0 without columns."""
        return self.columns[0][1].rows if self.columns else 0

    def __getitem__(self, name: str) -> ColumnProfile:
        return dict(self.columns)[name]

    def __add__(self, other: Profile) -> Profile:
        mine, theirs = ([name for name, _ in profile.columns] for profile in (self, other))
        if mine != theirs:
            raise LayoutMismatchError("columns", mine, theirs)
        pairs = zip(self.columns, other.columns, strict=True)
        return Profile(tuple((name, _merged(one, two)) for (name, one), (_, two) in pairs))

    def to_json(self) -> str:
        """Canonical text: equal profiles are equal text."""
        columns = [[name, _plain(column)] for name, column in self.columns]
        return json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what `to_json` wrote.

        Args:
            text: canonical text.

        Raises:
            UnreadableProfileError: the text is something else.
        """
        try:
            return cls(tuple((name, _read(plain)) for name, plain in json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnreadableProfileError(f"{type(error).__name__}: {error}") from error


def profile_of_reference(frame: pd.DataFrame) -> Profile:
    """Make bins from the columns of a reference, and profile it in them; each column is sorted once.

    Numbers and booleans are numbers, everything else is categories.
    """
    return Profile(tuple((str(name), _reference_column(frame[name])) for name in frame.columns))


def _reference_column(column: pd.Series[Any]) -> ColumnProfile:
    if values_of(column) is None:
        counted = counted_texts(column)
        return TextProfile.of(counted, TextBins.of(counted), rows=len(column))
    numbers = SortedNumbers.of(column)
    return NumberProfile.of(numbers, NumberBins.of(numbers.finite))


def _profile(frame: pd.DataFrame, name: str, bins: Bins) -> ColumnProfile:
    column = frame[name] if name in frame else pd.Series(np.full(len(frame), np.nan))
    if isinstance(bins, NumberBins):
        return NumberProfile.of(SortedNumbers.of(column), bins)
    return TextProfile.of(counted_texts(column), bins, rows=len(column))


def _merged(one: ColumnProfile, two: ColumnProfile) -> ColumnProfile:
    if isinstance(one, NumberProfile) and isinstance(two, NumberProfile):
        return one + two
    if isinstance(one, TextProfile) and isinstance(two, TextProfile):
        return one + two
    raise LayoutMismatchError("kinds of a column", type(one).__name__, type(two).__name__)


def _added(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(first + second for first, second in zip(one, two, strict=True))


def _plain(column: ColumnProfile) -> dict[str, Any]:
    """What JSON can hold; whole sums as hexadecimal text, because they have hundreds of digits."""
    shared = {"counts": column.counts, "nulls": column.nulls, "distinct": column.distinct.kept}
    if isinstance(column, TextProfile):
        return {**shared, "categories": column.bins.categories}
    return {
        **shared,
        "edges": column.bins.edges,
        "centre": column.bins.centre,
        "infinities": column.infinities,
        "foreign": column.foreign,
        "extremes": column.extremes,
        "sums": [f"{total:x}" for total in column.sums],
    }


def _read(plain: Mapping[str, Any]) -> ColumnProfile:
    counts, distinct = tuple(plain["counts"]), Distinct(tuple(tuple(kept) for kept in plain["distinct"]))
    if "categories" in plain:
        return TextProfile(TextBins(tuple(plain["categories"])), counts, plain["nulls"], distinct)
    least, greatest = plain["infinities"]
    return NumberProfile(
        NumberBins(tuple(plain["edges"]), plain["centre"]),
        counts,
        plain["nulls"],
        (least, greatest),
        plain["foreign"],
        None if plain["extremes"] is None else (plain["extremes"][0], plain["extremes"][1]),
        tuple(int(total, 16) for total in plain["sums"]),
        distinct,
    )
