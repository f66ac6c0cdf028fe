"""Records of several parts read at once, or not at all."""

from __future__ import annotations

from struct import pack

import pytest

from feature_store.online.plain_records import PlainLayout, plain_row, plain_rows

LAYOUTS = [PlainLayout(33, "dq"), PlainLayout(25, "d")]


def record(since: int, until: int, *values: float) -> bytes:
    if len(values) == 2:
        return pack("<qq17xdq", since, until, *values)
    return pack("<qq9xd", since, until, *values)


def records(count: int) -> list[bytes | None]:
    return [one for place in range(count) for one in (record(0, 100, place / 4, place), record(10, 90, -place))]


def reading(raws: list[bytes | None], at: int) -> list[tuple[float, ...]] | None:
    return (plain_row if len(raws) == len(LAYOUTS) else plain_rows)(LAYOUTS)(raws, at)


@pytest.mark.parametrize("count", [1, 2, 100])
def test_each_question_gets_the_values_of_all_parts(count: int) -> None:
    found = reading(records(count), 50)

    assert found == [(place / 4, place, -place) for place in range(count)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "odd", [None, record(0, 50, 1.0), record(51, 100, 1.0), record(10, 90, 1.0) + record(20, 80, 2.0)]
)
def test_one_record_that_does_not_tell_at_once_sends_all_to_who_looks_further(count: int, odd: bytes | None) -> None:
    raws = records(count)
    raws[-1] = odd

    assert reading(raws, 50) is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_record_answers_from_its_first_moment_to_before_its_last(count: int) -> None:
    assert [reading(records(count), at) is not None for at in (9, 10, 89, 90)] == [False, True, True, False]
