"""Which columns of a table are moments, and how their text is read: for `init`, and for nothing that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from polars._typing import EpochTimeUnit

_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_SORTED = (
    *("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m"),
    *("%Y-%m-%d %H:%M:%S UTC", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y%m%d"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_DAYS = ("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
_SPOKEN = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y")
_FORMATS = (*_SORTED, *(day + clock for day in (*_DAYS, *_SPOKEN) for clock in _CLOCKS))
_EPOCHS: dict[EpochTimeUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_PLAUSIBLE = (315_532_800, 4_102_444_800)  # 1980 to 2100, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Moments:
    """A column that holds moments.

    Attributes:
        reading: Polars source text that makes moments of the column `COLUMN`; it stands in the model file as it is.
        told: how they are written, for people.
        values: the moments, UTC without a zone.
    """

    reading: str
    told: str
    values: pl.Series


def moments_of(column: pl.Series) -> Moments | None:
    """Read a column as moments, or say that it holds none."""
    if column.is_empty() or column.null_count() == len(column):
        return None
    kind = column.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return _read(column, '.dt.convert_time_zone("UTC").dt.cast_time_unit("us")', f"moments of {kind.time_zone}")
    if isinstance(kind, pl.Datetime | pl.Date):
        return _read(column, '.cast(pl.Datetime("us"))', "days" if kind == pl.Date else "moments without a zone")
    if kind == pl.String:
        return _from_text(column)
    return _from_number(column) if kind.is_integer() else None


def _read(column: pl.Series, reading: str, told: str) -> Moments:
    values = column.cast(pl.Datetime("us")) if isinstance(column.dtype, pl.Date) else column
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return Moments(reading, told, values.cast(pl.Datetime("us")))


def _from_text(column: pl.Series) -> Moments | None:
    """Text of one format throughout; of several that fit, the one that makes the shortest history."""
    sample = column.drop_nulls().head(200)
    fitting: list[tuple[int, int, str]] = []
    for shape in (*_ZONED, *_FORMATS):
        if _parsed(sample, shape) is not None:
            values = _parsed(column.drop_nulls(), shape)
            if values is not None:
                fitting.append((_length(values), len(fitting), shape))
    if not fitting:
        return None
    shape = min(fitting)[2]
    zone = ', time_zone="UTC"' if shape in _ZONED else ""
    values = column.str.to_datetime(shape, time_unit="us", time_zone="UTC" if zone else None)
    return Moments(
        f'.str.to_datetime("{shape}", time_unit="us"{zone})',
        f"text read as {shape}",
        values.dt.replace_time_zone(None) if zone else values,
    )


def _parsed(texts: pl.Series, shape: str) -> pl.Series | None:
    zone = "UTC" if shape in _ZONED else None
    values = texts.str.to_datetime(shape, time_unit="us", time_zone=zone, strict=False)
    return None if values.null_count() else values


def _length(values: pl.Series) -> int:
    """Whole length in microseconds: a day read as a month scatters over the year."""
    whole = values.cast(pl.Int64)
    return int(whole.max()) - int(whole.min())  # type: ignore[arg-type]  # moments without nulls are numbers


def _from_number(column: pl.Series) -> Moments | None:
    known = column.drop_nulls().cast(pl.Float64)
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]  # numbers without nulls
    for unit, size in _EPOCHS.items():
        if low >= _PLAUSIBLE[0] * size and high <= _PLAUSIBLE[1] * size:
            scaled = '.mul(1000).cast(pl.Datetime("ms"))' if unit == "s" else f'.cast(pl.Datetime("{unit}"))'
            values = pl.from_epoch(column.cast(pl.Int64), time_unit=unit)
            reading = f'.cast(pl.Int64){scaled}.dt.cast_time_unit("us")'
            return Moments(reading, f"numbers read as {unit} since 1970", values.cast(pl.Datetime("us")))
    if low >= 1980_00_00 and high <= 2100_00_00:
        days = _from_text(column.cast(pl.String))
        return days and Moments(f".cast(pl.String){days.reading}", days.told, days.values)
    return None
