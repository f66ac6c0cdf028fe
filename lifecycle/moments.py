"""Moments and lengths of time: always with a zone, always UTC inside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lifecycle.errors import MomentError, SpanError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+)\s*([smhdw])")


def parse_moment(given: str | datetime) -> datetime:
    """Read a moment with a time zone and return it in UTC, as a plain `datetime`.

    Raises:
        MomentError: no zone is given, or the text is no ISO 8601 moment.

    >>> parse_moment("2013-03-01T06:00-05:00").isoformat()
    '2013-03-01T11:00:00+00:00'
    """
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError as error:
            raise MomentError(given) from error
    else:
        moment = given
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise MomentError(given)
    utc = moment.astimezone(UTC)
    # A plain one also of a subclass: pendulum's, which Prefect hands out, lose this zone when a length is subtracted.
    return datetime.combine(utc.date(), utc.time(), UTC)


def span(given: str | timedelta) -> timedelta:
    """Read a length of time such as `2h`, `10m` or `30d`.

    >>> span("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(given, timedelta):
        return given
    match = _SPAN.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise SpanError(given)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def iso(moment: datetime) -> str:
    """Write a moment the one way it is written everywhere: ISO 8601, UTC, `Z`.

    >>> iso(parse_moment("2013-03-01T00:00:00+00:00"))
    '2013-03-01T00:00:00Z'
    """
    return parse_moment(moment).isoformat().replace("+00:00", "Z")


def spell(length: timedelta) -> str:
    """Write a length of time as a person would: `7d`, `2h`, `90m`.

    >>> spell(timedelta(days=7)), spell(timedelta(minutes=90))
    ('7d', '90m')
    """
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@dataclass(frozen=True, slots=True)
class Window:
    """The moments after `start`, up to and with `end` (UTC)."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", parse_moment(self.start))
        object.__setattr__(self, "end", parse_moment(self.end))
        if self.start > self.end:
            raise MomentError(f"window from {iso(self.start)} to {iso(self.end)}, which ends before it starts")

    def __str__(self) -> str:
        return f"{iso(self.start)} .. {iso(self.end)}"

    @classmethod
    def before(cls, end: datetime, length: timedelta) -> Window:
        """The window of this length that ends at `end`."""
        return cls(end - length, end)
