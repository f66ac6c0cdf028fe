from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.errors import MomentError, SpanError
from lifecycle.moments import Window, iso, parse_moment, span, spell

NAIVE = datetime(2013, 3, 1)  # noqa: DTZ001 - to be refused
moments = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2200, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(moments)
def test_a_moment_is_written_and_read_back_as_itself_in_utc(moment: datetime) -> None:
    assert parse_moment(iso(moment)) == moment
    assert parse_moment(moment).tzinfo is UTC
    assert iso(moment).endswith("Z")


class Kept(datetime):
    """What pendulum's moments do: a length subtracted from one takes its zone along."""

    def __sub__(self, other: object) -> datetime:  # type: ignore[override]
        return super().__sub__(other).replace(tzinfo=None)  # type: ignore[operator]


def test_a_moment_of_another_library_becomes_a_plain_one_that_keeps_its_zone() -> None:
    moment = Kept(2026, 11, 26, 0, 22, 48, 7, tzinfo=UTC)

    earlier = parse_moment(moment) - timedelta(0)

    assert type(earlier) is datetime
    assert iso(earlier) == "2026-11-26T00:22:48.000007Z"


@pytest.mark.parametrize("given", ["2013-03-01", "2013-03-01T00:00:00", "yesterday", "", NAIVE, 1362096000, None, True])
def test_what_has_no_zone_or_is_no_moment_is_refused(given: object) -> None:
    with pytest.raises(MomentError, match=r"is not a moment with a time zone. Write ISO 8601 with a zone"):
        parse_moment(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("36h", timedelta(hours=36)),
        (" 30 d ", timedelta(days=30)),
        ("2w", timedelta(days=14)),
        (timedelta(hours=1), timedelta(hours=1)),
    ],
)
def test_lengths_of_time_are_read(given: str | timedelta, length: timedelta) -> None:
    assert span(given) == length


@pytest.mark.parametrize("given", ["", "7", "d", "-7d", "1.5h", "7 days", "1y", 7, None])
def test_what_is_no_length_of_time_is_refused(given: object) -> None:
    with pytest.raises(SpanError, match=r"is not a length of time. Write a whole number and a unit"):
        span(given)  # type: ignore[arg-type]


@given(st.integers(1, 10**6).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_length_that_is_spelled_out_reads_back(length: timedelta) -> None:
    assert span(spell(length)) == length


def test_a_window_ends_where_it_says_and_never_before_its_start() -> None:
    end = parse_moment("2013-03-08T00:00Z")
    window = Window.before(end, timedelta(days=7))

    assert str(window) == "2013-03-01T00:00:00Z .. 2013-03-08T00:00:00Z"
    with pytest.raises(MomentError, match="ends before it starts"):
        Window(end, window.start)
    with pytest.raises(MomentError):
        Window(NAIVE, end)
