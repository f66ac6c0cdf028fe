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
_FRACTION = 52
_FRACTION_BITS = np.uint64(_FRACTION)
_RUN = 1 << (64 - _FRACTION)  # the fractions of so many rows add up within 64 bits
_BLOCK = 1 << 16  # rows whose scratch space stays in the processor's cache
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
    middle = int(ascending.searchsorted(centre))
    with np.errstate(over="ignore", under="ignore"):
        below, above = _distance_sums(ascending[:middle][::-1], centre), _distance_sums(ascending[middle:], centre)
    return tuple(up + (down if order % 2 else -down) for order, (down, up) in enumerate(zip(below, above, strict=True)))


def _distance_sums(values: Floats, centre: float) -> list[int]:
    """Sums of the first powers of the distance from the centre, of values on one side of it, nearest first."""
    sums = [0] * ORDER
    distances, powers = np.empty((2, min(_BLOCK, values.size)))
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK]
        # Into ascending addresses, whichever way the values run.
        distance = np.subtract(block, centre, out=distances[: block.size])
        power = np.abs(distance, out=distance)
        for order in range(ORDER):
            if order:
                power = np.multiply(power, distance, out=powers[: block.size])
            _limit(power)
            sums[order] += _whole_sum(power.view(np.uint64))
    return sums


def _limit(ascending: Floats) -> None:
    """No more than the largest double, in place."""
    if ascending[-1] == np.inf:
        np.minimum(ascending, _LARGEST, out=ascending)


def _whole_sum(bits: NDArray[np.uint64]) -> int:
    """The sum of ascending doubles that are not negative, given as their bits, in units of 2**-1074.

    The bits are ascending whole numbers, so that the rows of one exponent lie together. In runs of them the bits are
    added as they are: the exponents overflow, and what is known of them is subtracted.
    """
    exponents = np.arange(bits[0] >> _FRACTION_BITS, (bits[-1] >> _FRACTION_BITS) + 1, dtype=np.uint64)
    runs = np.arange(_RUN, bits.size + _RUN, _RUN).clip(max=bits.size)
    borders = np.sort(np.concatenate([bits.searchsorted(exponents << _FRACTION_BITS), runs]))
    ends = borders[1:][borders[1:] > borders[:-1]]
    starts = np.concatenate([borders[:1], ends[:-1]])
    rows = (ends - starts).astype(np.uint64)
    exponents = bits[starts] >> _FRACTION_BITS
    fractions = np.add.reduceat(bits, starts) - (rows * exponents << _FRACTION_BITS)
    found = zip(exponents.tolist(), fractions.tolist(), rows.tolist(), strict=True)
    least = max(int(exponents[0]) - 1, 0)  # shifted by at the end, so that what is added is short
    total: int = sum(
        ((count << _FRACTION if exponent else 0) + fraction) << max(exponent - 1, 0) - least
        for exponent, fraction, count in found
    )
    return total << least


def as_float(numerator: int, count: int) -> float:
    """A sum in units of 2**-1074 over a count, rounded once; infinite where it leaves the doubles."""
    try:
        return numerator / (count << UNIT)
    except OverflowError:
        return float("inf") if numerator > 0 else float("-inf")
