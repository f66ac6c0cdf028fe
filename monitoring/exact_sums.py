"""Sums of powers that do not depend on the order of the rows or on how they were cut into chunks.

A double is a whole number of units of 2**-1074, and so is the sum of doubles: it is kept as one whole number, which
adds without rounding. What is rounded is a row's own power, once and always alike, so that the sums of two windows
added are the sums of both windows, bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ORDER = 4
"""Powers that are summed: enough for mean, deviation, skewness and kurtosis."""

UNIT = 1074
_FRACTION_BITS = 52
_HALF_BITS = 26  # half a fraction each: the sum of 2**37 rows stays within 63 bits
_HALF = (1 << _HALF_BITS) - 1
_BLOCK = 1 << 15  # rows whose scratch space stays in the processor's cache
_LARGEST = np.finfo(np.float64).max

Floats = NDArray[np.float64]


def power_sums(ascending: Floats, centre: float) -> tuple[int, ...]:
    """Sums of `(x - centre) ** k` for k of 1 to 4, in units of 2**-1074.

    Args:
        ascending: finite values in ascending order.
        centre: a fixed number close to the values, which keeps a deviation far from zero exact.

    Returns:
        Four whole numbers. A power beyond the largest double counts as the largest double.

    >>> [total / 2**1074 for total in power_sums(np.array([1.0, 2.0, 4.0]), 2.0)]
    [1.0, 5.0, 7.0, 17.0]
    """
    with np.errstate(over="ignore", under="ignore"):
        away = ascending - centre
        if away.size and (away[0] == -np.inf or away[-1] == np.inf):
            away = np.clip(away, -_LARGEST, _LARGEST)
        middle = int(away.searchsorted(0.0))
        below, above = _magnitude_sums(-away[:middle][::-1]), _magnitude_sums(away[middle:])
    return tuple(up + (down if order % 2 else -down) for order, (down, up) in enumerate(zip(below, above, strict=True)))


def _magnitude_sums(ascending: Floats) -> list[int]:
    """Sums of the first powers of values that are not negative."""
    sums = [0] * ORDER
    room, halves = np.empty(_BLOCK), np.empty(_BLOCK, dtype=np.int64)
    for start in range(0, ascending.size, _BLOCK):
        block = ascending[start : start + _BLOCK]
        power = room[: block.size]
        np.add(block, 0.0, out=power)  # -0.0 + 0.0 is 0.0
        for order in range(ORDER):
            if order:
                np.multiply(power, block, out=power)
                if power[-1] == np.inf:
                    np.minimum(power, _LARGEST, out=power)
            sums[order] += _whole_sum(power.view(np.int64), halves[: block.size])
    return sums


def _whole_sum(bits: NDArray[np.int64], room: NDArray[np.int64]) -> int:
    """The sum of ascending doubles that are not negative, given as their bits, in units of 2**-1074.

    The bits are ascending whole numbers, so that the rows of one exponent lie together.
    """
    exponents = np.arange(bits[0] >> _FRACTION_BITS, (bits[-1] >> _FRACTION_BITS) + 1)
    starts = np.unique(bits.searchsorted(exponents << _FRACTION_BITS))
    low = np.add.reduceat(np.bitwise_and(bits, _HALF, out=room), starts)
    np.right_shift(bits, _HALF_BITS, out=room)
    high = np.add.reduceat(np.bitwise_and(room, _HALF, out=room), starts)
    rows = np.diff(starts, append=bits.size)
    found = (column.tolist() for column in (bits[starts] >> _FRACTION_BITS, low, high, rows))
    return sum(
        ((count << _FRACTION_BITS if exponent else 0) + least + (most << _HALF_BITS)) << max(exponent - 1, 0)
        for exponent, least, most, count in zip(*found, strict=True)
    )


def as_float(numerator: int, count: int) -> float:
    """A sum in units of 2**-1074 over a count, rounded once; infinite where it leaves the doubles."""
    try:
        return numerator / (count << UNIT)
    except OverflowError:
        return float("inf") if numerator > 0 else float("-inf")
