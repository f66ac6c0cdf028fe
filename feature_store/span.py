"""Lengths of time and moments, as the specification writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from feature_store.errors import NaiveMomentError, SpanTextError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+)\s*([smhdw])")


def parse_span(given: str | timedelta) -> timedelta:
    """Read a length of time such as `2h`, `10m`, `30d` or `1w`.

    >>> parse_span("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(given, timedelta):
        return given
    match = _SPAN.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise SpanTextError(given)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def span_text(length: timedelta) -> str:
    """Write a length of time the one way it appears in feature names.

    >>> span_text(timedelta(hours=24)), span_text(timedelta(minutes=90)), span_text(timedelta(days=7))
    ('24h', '90m', '7d')
    """
    seconds = int(length.total_seconds())
    # A day is spelled 24h and only longer spans in days, as people say them.
    if seconds % 86_400 == 0 and seconds > 86_400:
        return f"{seconds // 86_400}d"
    for unit, size in (("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def microseconds(length: timedelta) -> int:
    """The length in whole microseconds."""
    return length // timedelta(microseconds=1)


def utc(name: str, moment: datetime) -> datetime:
    """The moment in UTC.

    Raises:
        NaiveMomentError: the moment has no time zone.
    """
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise NaiveMomentError(name, moment)
    return moment.astimezone(UTC)
