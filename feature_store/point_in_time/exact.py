"""Sums of numbers that are rounded once: the same whatever the order, the chunks or the tiles.

A double is a whole number times a power of two, so the sum of doubles is a rational number. It is kept
without loss and rounded to a double at the end, as `math.fsum` does. Exact parts of two sets of values
merge into the parts of both, so that a tile's part can be stored and finished at the moment of a read.

The parts of a sum are an expansion (Shewchuk, "Adaptive precision floating-point arithmetic and fast robust
geometric predicates", 1997): doubles whose real sum is the sum of the values, usually one or two. The parts
of a standard deviation are whole numbers, because squares leave the range of doubles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from feature_store.errors import SumOverflowError

# Every finite double is a whole multiple of 2**-1074.
_LEAST = 1074
_WHOLE_LIMIT = 2**63
_HELD = (tuple, list)


def exact_sum(values: Iterable[float]) -> float:
    """The real sum of doubles (or of parts), rounded once; 0.0 without values.

    NaN where any value is, or where both infinities are; an infinity where the rounded sum is beyond the doubles.

    >>> exact_sum([0.1] * 10), exact_sum([1e308, 1e308, -1e308])
    (1.0, 1e+308)
    """
    held = values if isinstance(values, _HELD) else tuple(values)
    try:
        return math.fsum(held)
    except ValueError:  # both infinities
        return math.nan
    except OverflowError:  # on the way, which says nothing of the sum
        endless = [value for value in held if not math.isfinite(value)]
        return sum(endless) if endless else rounded_ratio(sum(_whole(value) for value in held), 1 << _LEAST)


def exact_parts(values: Iterable[float]) -> tuple[float, ...]:
    """The fewest doubles known to have the same real sum, to be stored and merged with others.

    `exact_sum(exact_parts(a) + exact_parts(b)) == exact_sum(a + b)`, bit for bit. Where a value is not
    finite there is one part, the NaN or the infinity.

    >>> exact_parts([1e16, 1.0, -1e16])
    (1.0,)
    """
    parts: list[float] = []
    for value in values:
        if not math.isfinite(value):
            return (exact_sum([value, *values]) if isinstance(values, list | tuple) else _endless(value, values),)
        _grow(parts, value)
    return tuple(parts)


def _endless(first: float, rest: Iterable[float]) -> float:
    """The sum from the first value on that is not finite; what came before it no longer matters."""
    return exact_sum([first, *(value for value in rest if not math.isfinite(value))])


def _grow(parts: list[float], value: float) -> None:
    """Add a value to an expansion in place, without loss."""
    kept = 0
    for part in parts:
        large, small = (value, part) if abs(value) >= abs(part) else (part, value)
        total = large + small
        if math.isinf(total):  # beyond the doubles: the two stay side by side
            parts[kept] = small
            kept += 1
            value = large
            continue
        lost = small - (total - large)
        if lost:
            parts[kept] = lost
            kept += 1
        value = total
    parts[kept:] = [value] if value else []


def exact_mean(total: float, count: int) -> float | None:
    """A sum divided by a count: one more rounding (two, where a whole sum is beyond 2**53); None without values."""
    return float(total) / count if count else None


def whole_sum(values: Iterable[int]) -> int:
    """The sum of whole numbers or booleans as a 64-bit number.

    Raises:
        SumOverflowError: it is beyond 64 bits.
    """
    total = sum(values)
    if not -_WHOLE_LIMIT <= total < _WHOLE_LIMIT:
        raise SumOverflowError(total)
    return int(total)


@dataclass(frozen=True, slots=True)
class Moments:
    """What a standard deviation is made of, without loss: parts that merge.

    Attributes:
        count: how many values.
        total: their sum, in units of `2**exponent`.
        squares: the sum of their squares, in units of `2**(2 * exponent)`.
        exponent: of the unit; 0 or less.
        finite: whether every value is finite; otherwise the answer is NaN.
    """

    count: int = 0
    total: int = 0
    squares: int = 0
    exponent: int = 0
    finite: bool = True

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets of values."""
        exponent = min(self.exponent, other.exponent)
        ours, theirs = self.exponent - exponent, other.exponent - exponent
        return Moments(
            self.count + other.count,
            (self.total << ours) + (other.total << theirs),
            (self.squares << 2 * ours) + (other.squares << 2 * theirs),
            exponent,
            self.finite and other.finite,
        )


def exact_moments(values: Iterable[float]) -> Moments:
    """The moments of doubles, whole numbers or booleans.

    >>> exact_std(exact_moments([1.0, 2.0]).merged(exact_moments([3, 4])))
    1.2909944487358056
    """
    held = list(values)
    finite = [value for value in held if math.isfinite(value)]
    ratios = [value.as_integer_ratio() for value in finite]
    exponent = max((below.bit_length() - 1 for _, below in ratios), default=0)
    whole = [above << (exponent - below.bit_length() + 1) for above, below in ratios]
    return Moments(len(held), sum(whole), sum(one * one for one in whole), -exponent, len(finite) == len(held))


def exact_std(moments: Moments) -> float | None:
    """The sample standard deviation (ddof = 1): the exact variance rounded once, and its root; None below two values.

    An infinity where the variance is beyond the doubles, NaN where a value is not finite.
    """
    n = moments.count
    if n < 2:
        return None
    if not moments.finite:
        return math.nan
    above = n * moments.squares - moments.total * moments.total
    return math.sqrt(rounded_ratio(above, (n * (n - 1)) << (-2 * moments.exponent)))


def _whole(value: float) -> int:
    above, below = value.as_integer_ratio()
    return above << (_LEAST - below.bit_length() + 1)


def rounded_ratio(above: int, below: int) -> float:
    """A rational number as the nearest double; Python divides whole numbers that way."""
    try:
        return above / below
    except OverflowError:
        return math.inf if above > 0 else -math.inf
