"""Digests of rows and tables: by value, whatever the order, the chunks or the version of a library."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

Words = NDArray[np.uint64]

# Constants of the splitmix64 generator (Steele, Lea and Flood 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_NULL = 0x6E756C6C


def row_digests(frame: pl.DataFrame, sparse: Collection[str] = ()) -> pl.Series:
    """One unsigned 64-bit digest per row, of the values, types and names of its columns in any order.

    Args:
        sparse: columns of which a null counts like the column's absence, so that a row keeps its digest when a table
            gets the column later.
    """
    total: Words = np.zeros(frame.height, np.uint64)
    for column in frame.get_columns():
        seed = _word(f"{column.name}\0{_kind(column.dtype)}")
        words = _mix(_words(column) ^ seed)
        total += np.where(column.is_null().to_numpy(), np.uint64(0), words) if column.name in sparse else words
    return pl.Series("row_digest", _mix(total), dtype=pl.UInt64)


def content_digest(digests: pl.Series | Iterable[pl.Series]) -> str:
    """A digest of rows, given theirs, in whatever order; 128 bits as hexadecimal text.

    It adds two independent mixes of the row digests, so that equal rows count as often as they occur.
    """
    low = high = count = 0
    for series in [digests] if isinstance(digests, pl.Series) else digests:
        words = as_words(series)
        count += len(words)
        low += int(_mix(words ^ _GOLDEN).sum(dtype=np.uint64))
        high += int(_mix(words ^ _MIX2).sum(dtype=np.uint64))
    text = f"{low % 2**64:016x}{high % 2**64:016x}{count}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


def as_words(series: pl.Series) -> Words:
    """Stored digests as unsigned words; Delta has only signed numbers."""
    values = series.to_numpy()
    return values.view(np.uint64) if values.dtype == np.int64 else values.astype(np.uint64, copy=False)


def as_stored(series: pl.Series, name: str) -> pl.Series:
    """Digests with the same bits as signed numbers, as tables keep them."""
    return pl.Series(name, series.to_numpy().view(np.int64), dtype=pl.Int64)


def combine(first: pl.Series, *others: pl.Series) -> pl.Series:
    """The digest of rows that are put together from several digested ones, in this order."""
    total = as_words(first).copy()
    for other in others:
        total = _mix(total) + as_words(other)
    return pl.Series("row_digest", _mix(total), dtype=pl.UInt64)


def _kind(dtype: pl.DataType) -> str:
    if dtype == pl.String:
        return "str"
    return "datetime" if isinstance(dtype, pl.Datetime) else str(dtype).lower()


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little"))


def _mix(words: Words) -> Words:
    mixed = (words + _GOLDEN) * _MIX1
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX2
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _words(column: pl.Series) -> Words:
    words = _text_words(column) if column.dtype == pl.String else _number_words(column)
    if column.null_count():
        words = np.where(column.is_null().to_numpy(), np.uint64(_NULL), _mix(words))
        return words
    return _mix(words)


def _text_words(column: pl.Series) -> Words:
    codes = column.cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(0)
    uniques = pl.DataFrame({"code": codes, "text": column}).drop_nulls().unique("code")
    table: Words = np.zeros(int(codes.max() or 0) + 1, np.uint64)  # type: ignore[arg-type]
    table[uniques["code"].to_numpy()] = [_word(text) for text in uniques["text"]]
    found: Words = table[codes.to_numpy()]
    return found


def _number_words(column: pl.Series) -> Words:
    if column.dtype.is_float():
        values = column.fill_null(0.0).cast(pl.Float64).to_numpy() + 0.0  # makes -0.0 and 0.0 one value
        values = np.where(np.isnan(values), np.nan, values)
        return values.view(np.uint64)
    whole = column.to_physical() if column.dtype.is_temporal() else column
    return whole.cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
