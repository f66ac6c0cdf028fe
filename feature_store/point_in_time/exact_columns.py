"""Exact sums over many windows at once: whole numbers in, one rounding out.

A column of doubles is written as whole numbers times one power of two. Prefix sums of whole numbers are exact, and
so are their differences; only the finished sum of a window is rounded. Whole numbers are cut into limbs of 32 bits
whose prefix sums fit in 64: one limb for most columns, two or three for long fractions. Columns that span more
powers of two than that are summed as Python's whole numbers, which is slower and as exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.errors import SumOverflowError
from feature_store.point_in_time.exact import rounded_ratio
from feature_store.point_in_time.timeline import Ints

Floats = NDArray[np.float64]
Numbers = NDArray[Any]

_LIMB = 32
_LOW = np.int64(2**_LIMB - 1)
_MOST_LIMBS = 3
_MANTISSA = 53
_WHOLE = 2**63
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class ExactColumn:
    """n numbers or n sums of numbers, without loss: `sum(limb * 2**(32 * place)) * 2**exponent`.

    Attributes:
        limbs: int64, least first; a single array of Python's whole numbers where three do not suffice.
        exponent: of the unit.
    """

    limbs: tuple[Numbers, ...]
    exponent: int

    @classmethod
    def of(cls, values: Floats | Ints) -> ExactColumn:
        """Finite doubles, or whole numbers, as they are."""
        if values.dtype.kind == "i":
            most = max(abs(int(values.max())), abs(int(values.min()))) if len(values) else 0
            fits = most * max(len(values), 1) < _WHOLE
            return cls((values if fits else values.astype(object),), 0)
        return _of_doubles(values.astype(np.float64, copy=False))

    def prefix(self) -> ExactColumn:
        """The sums of the first 0, 1, ..., n numbers."""
        return ExactColumn(tuple(_prefix(limb) for limb in self.limbs), self.exponent)

    def take(self, places: Ints) -> ExactColumn:
        """The numbers at the places."""
        return ExactColumn(tuple(limb[places] for limb in self.limbs), self.exponent)

    def minus(self, other: ExactColumn) -> ExactColumn:
        """Differences of numbers of one column, one by one."""
        pairs = zip(self.limbs, other.limbs, strict=True)
        return ExactColumn(tuple(ours - theirs for ours, theirs in pairs), self.exponent)

    def without(self, which: Ints, other: ExactColumn) -> ExactColumn:
        """The numbers after taking others of the same column out of those at `which`, each named once."""
        found = tuple(limb.copy() for limb in self.limbs)
        for limb, theirs in zip(found, other.limbs, strict=True):
            limb[which] -= theirs
        return ExactColumn(found, self.exponent)

    def squares(self) -> ExactColumn:
        """The squares of the numbers."""
        whole = self.whole()
        most = max(abs(int(whole.max())), abs(int(whole.min()))) if len(whole) else 0
        if whole.dtype != object and most * most * max(len(whole), 1) >= _WHOLE:
            whole = whole.astype(object)
        return ExactColumn((whole * whole,), 2 * self.exponent)

    def whole(self) -> Numbers:
        """The numbers in units of `2**exponent`: int64 where there is one such limb, otherwise Python's."""
        if len(self.limbs) == 1:
            return self.limbs[0]
        found = np.zeros(len(self.limbs[0]), object)
        for place, limb in enumerate(self.limbs):
            found = found + limb.astype(object) * (1 << (_LIMB * place))
        return found

    def whole_sums(self) -> Ints:
        """Sums of whole numbers as 64-bit numbers.

        Raises:
            SumOverflowError: one does not fit.
        """
        (limb,) = self.limbs
        if limb.dtype == object:
            for total in limb:
                if not -_WHOLE <= total < _WHOLE:
                    raise SumOverflowError(total)
        return limb.astype(np.int64)

    def rounded(self) -> Floats:
        """The nearest doubles; infinite beyond them."""
        with np.errstate(over="ignore"):
            return self._rounded()

    def _rounded(self) -> Floats:
        limbs = self.limbs
        if limbs[0].dtype == object:
            return np.array([_scaled(int(one), self.exponent) for one in limbs[0]], np.float64)
        if len(limbs) == 1:  # a conversion of 64 bits rounds once
            return np.ldexp(limbs[0].astype(np.float64), self.exponent)
        if len(limbs) == 2:
            high, low = limbs[1] + (limbs[0] >> _LIMB), limbs[0] & _LOW
            return np.ldexp(_nearest(high, low), self.exponent)
        first, second, third = limbs
        return np.ldexp(_nearest_of_three(first, second, third), self.exponent)


def variances(count: Ints, sums: ExactColumn, squares: ExactColumn) -> Floats:
    """The sample variances, each rounded once; NaN below two values."""
    total, square = sums.whole(), squares.whole()
    below = count * (count - 1)
    answers = np.full(len(count), np.nan)
    asked = count > 1
    if total.dtype != object and square.dtype != object:
        # Both sides of the fraction are exact as doubles, so that the division is the only rounding.
        small = np.abs(total.astype(np.float64)) < 2.0**26
        small &= (count.astype(np.float64) * square.astype(np.float64) < _EXACT) & (below < _EXACT)
        fast = asked & small & (2 * sums.exponent > -1000)
        above = count[fast] * square[fast] - total[fast] * total[fast]
        answers[fast] = np.ldexp(above / below[fast], 2 * sums.exponent)
        asked &= ~fast
    scale = 1 << (-2 * sums.exponent) if sums.exponent < 0 else 1
    up = 1 << (2 * sums.exponent) if sums.exponent > 0 else 1
    for place in np.flatnonzero(asked):
        n, whole = int(count[place]), int(total[place])
        answers[place] = rounded_ratio((n * int(square[place]) - whole * whole) * up, n * (n - 1) * scale)
    return answers


def _prefix(numbers: Numbers) -> Numbers:
    found = np.zeros(len(numbers) + 1, numbers.dtype)
    np.cumsum(numbers, out=found[1:])
    return found


def _of_doubles(values: Floats) -> ExactColumn:
    if len(values) and max(values.max(), -values.min()) < _EXACT / len(values):
        plain = values.astype(np.int64)
        if (plain == values).all():
            return ExactColumn((plain,), 0)
    mantissas, exponents = np.frexp(values)
    whole = np.ldexp(mantissas, _MANTISSA).astype(np.int64)
    there = whole != 0
    if not there.any():
        return ExactColumn((np.zeros(len(values), np.int64),), 0)
    # The lowest bit of a number, as a double, has the count of its trailing zeros as exponent.
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    shifts = exponents.astype(np.int64) - _MANTISSA
    exponent = int((shifts + zeros)[there].min())
    shifts = np.where(there, shifts - exponent, 0)
    bits = int(exponents[there].max()) - exponent
    if bits + len(values).bit_length() < 63:
        return ExactColumn((_shifted(whole, shifts),), exponent)
    if bits <= _LIMB * _MOST_LIMBS and len(values) < 2**31:
        return ExactColumn(_limbs(whole, shifts, -(-bits // _LIMB)), exponent)
    numbers = [int(one) << int(up) if up >= 0 else int(one) >> int(-up) for one, up in zip(whole, shifts, strict=True)]
    return ExactColumn((np.array(numbers, object),), exponent)


def _shifted(whole: Ints, shifts: Ints) -> Ints:
    """Whole numbers moved up, or down over zeros."""
    return np.where(shifts >= 0, whole << np.maximum(shifts, 0), whole >> np.minimum(np.maximum(-shifts, 0), 63))


def _limbs(whole: Ints, shifts: Ints, count: int) -> tuple[Ints, ...]:
    sizes, signs = np.abs(whole).astype(np.uint64), np.sign(whole)
    found = []
    for place in range(count):
        up = shifts - _LIMB * place
        left = np.where((up >= 0) & (up < _LIMB), sizes << np.clip(up, 0, 63).astype(np.uint64), np.uint64(0))
        right = np.where((up < 0) & (up > -64), sizes >> np.clip(-up, 0, 63).astype(np.uint64), np.uint64(0))
        found.append(((left | right) & np.uint64(_LOW)).astype(np.int64) * signs)
    return tuple(found)


def _nearest(high: Ints, low: Ints) -> Floats:
    """`high * 2**32 + low` as the nearest double, for any 64-bit `high` and 32-bit `low`.

    Both summands are exact doubles, so that the addition is the only rounding.
    """
    top = (high >> 11).astype(np.float64) * 2.0 ** (11 + _LIMB)
    rest = (((high & 0x7FF) << _LIMB) | low).astype(np.float64)
    return top + rest


def _nearest_of_three(first: Ints, second: Ints, third: Ints) -> Floats:
    second = second + (first >> _LIMB)
    low, middle, high = first & _LOW, second & _LOW, third + (second >> _LIMB)
    short = (high >= -(2**30)) & (high < 2**30)
    joined = _nearest(np.where(short, (high << _LIMB) | middle, 0), low)
    # Beyond 62 bits the lowest limb only says whether the rest is more than nothing.
    sticky = _nearest(high, middle | (low != 0)) * 2.0**_LIMB
    return np.where(short, joined, sticky)


def _scaled(whole: int, exponent: int) -> float:
    return rounded_ratio(whole << max(exponent, 0), 1 << max(-exponent, 0))


def doubles(values: pl.Series) -> Floats:
    """A column of numbers as doubles, 0.0 for null."""
    return values.cast(pl.Float64).fill_null(0.0).to_numpy()


def finite_parts(values: Floats) -> tuple[Floats, Sequence[Ints]]:
    """Doubles with 0.0 for what is not finite, and where NaN, inf and -inf are; no such places where all is finite."""
    if np.isfinite(values).all():
        return values, ()
    kinds = (np.isnan(values), values == math.inf, values == -math.inf)
    return np.where(np.isfinite(values), values, 0.0), tuple(kind.astype(np.int64) for kind in kinds)
