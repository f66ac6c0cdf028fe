"""Aggregates of many ranges of one array that no sum gives: the least, the most, and how many different values."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.point_in_time.timeline import Ints, joinable

Numbers = NDArray[Any]


def extremes(operation: np.ufunc, values: Numbers, low: Ints, high: Ints) -> Numbers:
    """The least or the most of each range `[low, high)`, none of them empty.

    Two halves that may overlap, each a power of two long, cover a range; so every power needs one pass over the values.
    """
    found = np.empty(len(low), values.dtype)
    sizes = high - low
    halves = np.frexp(sizes.astype(np.float64))[1] - 1
    table = values
    for half in range(int(halves.max()) + 1 if len(halves) else 0):
        which = np.flatnonzero(halves == half)
        found[which] = operation(table[low[which]], table[high[which] - (1 << half)])
        table = operation(table[: -(1 << half)], table[1 << half :])
    return found


def value_codes(values: pl.Series) -> Ints:
    """A number for each different value: null is one, NaN is one, and -0.0 is 0.0."""
    frame = joinable(values).alias("value").to_frame()
    kinds = frame.unique(maintain_order=True).with_row_index("number")
    joined = frame.join(kinds, on="value", how="left", maintain_order="left", nulls_equal=True)
    return joined["number"].cast(pl.Int64).to_numpy()


def different(codes: Ints, low: Ints, high: Ints) -> Ints:
    """How many different codes each range `[low, high)` holds.

    A code counts where it occurs first: where the place of its occurrence before is below `low`. Places below a
    bound in a range are counted bit by bit (Claude, Navarro and Ordonez, "The wavelet matrix", 2015).
    """
    before = _occurrence_before(codes) + 1
    bound = low + 1
    found = np.zeros(len(low), np.int64)
    left, right = low.copy(), high.copy()
    for bit in reversed(range(len(codes).bit_length())):
        ones = (before >> bit) & 1
        zeros_upto = np.concatenate([[0], np.cumsum(1 - ones)])
        zeros = zeros_upto[-1]
        left_zeros, right_zeros = zeros_upto[left], zeros_upto[right]
        above = (bound >> bit) & 1 == 1
        found += np.where(above, right_zeros - left_zeros, 0)
        left = np.where(above, zeros + left - left_zeros, left_zeros)
        right = np.where(above, zeros + right - right_zeros, right_zeros)
        before = np.concatenate([before[ones == 0], before[ones == 1]])
    return found


def _occurrence_before(codes: Ints) -> Ints:
    order = np.argsort(codes, kind="stable")
    found = np.full(len(codes), -1)
    same = codes[order[1:]] == codes[order[:-1]]
    found[order[1:][same]] = order[:-1][same]
    return found
