from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.requests import batch_id
from lifecycle.run_tags import current_tags, tagged


def test_tags_add_up_inside_and_are_gone_outside() -> None:
    assert current_tags() == {}
    with tagged({"a": "1", "b": "1"}):
        with tagged({"b": "2"}):
            assert current_tags() == {"a": "1", "b": "2"}
        assert current_tags() == {"a": "1", "b": "1"}
    assert current_tags() == {}


def test_tags_are_gone_after_an_error_too() -> None:
    with pytest.raises(ArithmeticError), tagged({"a": "1"}):
        raise ArithmeticError
    assert current_tags() == {}


def test_a_batch_is_named_by_model_version_and_window() -> None:
    start, week = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=7)
    known = batch_id("m", 1, start, start + week)

    assert known == batch_id("m", 1, start, start + week)
    others = {batch_id("n", 1, start, start + week), batch_id("m", 2, start, start + week)}
    assert len({known, *others, batch_id("m", 1, start, start + 2 * week)}) == 4
