"""An entity as bytes: the same for one question in Python and for a column of many, and different for different ones.

A record's key is its entity between `RECORDS` and the ending of its view. So all that is known of an entity lies
together, and a read of several views finds it on one page.

Numbers have a fixed width and text its length before it (but for the last column of a key), so that no two entities of
one view have the same bytes. LMDB takes 511 bytes: longer entities become their digest, padded to a length that no
other has.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from feature_store.errors import ColumnTypeError

Question = Mapping[str, Any]

RECORDS = b"\x01"
"""What the keys of all views' records begin with."""

_LONGEST = 400
_DIGESTED = 448
_SIGN = 1 << 63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)

_word = struct.Struct(">Q").pack
_float = struct.Struct(">d").pack
_length = struct.Struct("<I").pack


class NoEntity(Exception):  # noqa: N818 - a null in a key is no error, it names no entity
    """A question whose key holds a null."""


def encoder(prefix: bytes, types: Mapping[str, pl.DataType]) -> Callable[[Question], bytes]:
    """A function from a question to the key of its record.

    It raises NoEntity for a null and ColumnTypeError for a value of another type.
    """
    columns = [(name, dtype, _scalar(dtype)) for name, dtype in types.items()]
    if not columns:
        return lambda question: prefix
    plain = _plain(prefix, *columns[0]) if len(columns) == 1 else None
    if plain is not None:
        return plain
    last = columns[-1][0]

    def composite(question: Question) -> bytes:
        parts = []
        for name, dtype, encode in columns:
            part = _checked(question[name], name, dtype, encode)
            parts.append(part if name == last or dtype != pl.String else _length(len(part)) + part)
        return prefix + _shortened(b"".join(parts))

    return composite


def encode_all(prefix: bytes, rows: pl.DataFrame, columns: Sequence[str], ending: bytes = b"") -> pl.Series:
    """The keys of many rows as binary, null where a column of the key is null."""
    if not columns:
        return pl.repeat(prefix + ending, rows.height, dtype=pl.Binary, eager=True)
    parts: list[Any] = [pa.scalar(prefix, pa.large_binary())]
    for name in columns:
        encoded = _encoded(rows[name])
        if rows.schema[name] == pl.String and name != columns[-1]:
            lengths = encoded.bin.size(unit="b").fill_null(0).cast(pl.UInt32).to_numpy().astype("<u4")
            parts.append(_fixed(lengths.view(np.uint8), 4))
        parts.append(encoded.to_arrow())
    parts.append(pa.scalar(ending, pa.large_binary()))
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
    keys = pl.Series("_key", joined, dtype=pl.Binary)
    start, end = len(prefix), len(ending)
    if (keys.bin.size().max() or 0) > start + _LONGEST + end:  # type: ignore[operator]
        texts = [None if key is None else prefix + _shortened(key[start : len(key) - end]) + ending for key in keys]
        return pl.Series("_key", texts, dtype=pl.Binary)
    return keys


def _plain(
    prefix: bytes, name: str, dtype: pl.DataType, encode: Callable[[Any], bytes]
) -> Callable[[Question], bytes] | None:
    """The two usual keys, one text or one whole number, without a loop."""
    if dtype == pl.String:

        def text(question: Question) -> bytes:
            try:
                found: bytes = question[name].encode()
            except AttributeError:
                found = _checked(question[name], name, dtype, encode)
            return prefix + (found if len(found) <= _LONGEST else _shortened(found))

        return text
    if dtype.is_integer():

        def whole(question: Question) -> bytes:
            try:
                return prefix + _word(question[name] + _SIGN)
            except (struct.error, TypeError, OverflowError):  # the last one from a whole number of NumPy's
                return prefix + _checked(question[name], name, dtype, encode)

        return whole
    return None


def _checked(value: Any, name: str, dtype: pl.DataType, encode: Callable[[Any], bytes]) -> bytes:
    if value is None:
        raise NoEntity
    try:
        return encode(value)
    except (struct.error, TypeError, AttributeError, ValueError) as error:
        raise ColumnTypeError("questions", name, got=f"{value!r}", expected=dtype) from error


def _shortened(key: bytes) -> bytes:
    return key if len(key) <= _LONGEST else blake2b(key).digest().ljust(_DIGESTED, b"\x00")


def _scalar(dtype: pl.DataType) -> Callable[[Any], bytes]:
    if dtype == pl.String:
        return lambda value: str.encode(value)
    if dtype == pl.Boolean:
        return lambda value: _word(bool.__index__(value) + _SIGN)
    if dtype == pl.Date:
        return lambda value: _word(date.toordinal(value) - _FIRST_DAY + _SIGN)
    if isinstance(dtype, pl.Datetime):
        return lambda value: _word((value - _EPOCH) // _MICROSECOND + _SIGN)
    if dtype.is_float():
        # All NaN are one key and so are the two zeros, as in a join.
        return lambda value: _float(math.nan if value != value else value + 0.0)
    return lambda value: _word(value.__index__() + _SIGN)


def _encoded(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column.cast(pl.Binary)
    if column.dtype.is_float():
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
        words = np.where(np.isnan(values), np.nan, values).astype(">f8")
    else:
        whole = column.to_physical().cast(pl.Int64).fill_null(0).to_numpy()
        words = (whole.view(np.uint64) ^ np.uint64(_SIGN)).astype(">u8")
    encoded = pl.Series(column.name, _fixed(words.view(np.uint8), 8), dtype=pl.Binary)
    if not column.null_count():
        return encoded
    return pl.select(pl.when(column.is_not_null()).then(encoded)).to_series()


def _fixed(octets: Any, width: int) -> pa.Array:
    """Octets as binary values of one width."""
    count = len(octets) // width
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int64)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(octets)]
    )
