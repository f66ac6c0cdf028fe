"""Which questions are asked, and when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feature_store.definitions.source import Shift, Source
from feature_store.errors import LeakError, ScheduleTextError, SpecError
from feature_store.span import parse_span

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SCHEDULE = re.compile(r"(?:(mon|tue|wed|thu|fri|sat|sun)\s+)?([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True, eq=False)
class Each:
    """One question per row of a source, asked at a moment that the row tells."""

    source: Source
    as_of: Shift

    def __post_init__(self) -> None:
        where = f"each({self.source.name})"
        if self.source.timeless:
            raise SpecError(where, "a timeless source asks no questions", "Ask about a source with an event_time")
        waits = self.source.known_with(self.as_of.column)
        if waits:
            raise LeakError(self.as_of.column, " and ".join(waits), "Ask at a moment that comes with the row")
        for condition in self.source.filters:
            late = self.source.known_with(condition)
            if late:
                raise LeakError(str(condition), " and ".join(late), "Choose questions by columns known with the row")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The entities that a source has told about within a length of time."""

    source: Source
    within: timedelta

    def __post_init__(self) -> None:
        if not self.source.entity_columns or self.source.timeless:
            raise SpecError(
                f"seen({self.source.name})", "the source has no entity or no times", "Give it entity= and event_time="
            )


@dataclass(frozen=True, slots=True, eq=False)
class Every:
    """One question per entity of a population, at each tick of a local clock.

    Attributes:
        weekday: 0 is Monday; None is every day.
        at: local time of day.
    """

    text: str
    weekday: int | None
    at: time
    population: Seen
    tz: str


Spine = Each | Every


def each(source: Source, *, as_of: Shift | str) -> Each:
    """One question per row of `source`, asked at `as_of`."""
    return Each(source, Shift(as_of) if isinstance(as_of, str) else as_of)


def seen(source: Source, *, within: str | timedelta) -> Seen:
    """The entities of `source` with an event in the span before a tick, known at the tick."""
    return Seen(source, parse_span(within))


def every(at: str, population: Seen, *, tz: str = "UTC") -> Every:
    """One question per entity of `population` at each `06:00` or `mon 06:00` of the zone `tz`."""
    match = _SCHEDULE.fullmatch(at.strip().lower()) if isinstance(at, str) else None
    if match is None:
        raise ScheduleTextError(at)
    try:
        ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SpecError("every", f"tz {tz!r} is no time zone", "Write an IANA name such as Europe/London") from error
    weekday = _WEEKDAYS.index(match[1]) if match[1] else None
    return Every(match[0], weekday, time(int(match[2]), int(match[3])), population, tz)


def asked_source(spine: Spine) -> Source:
    """The source whose rows or entities the questions are about."""
    return spine.source if isinstance(spine, Each) else spine.population.source
