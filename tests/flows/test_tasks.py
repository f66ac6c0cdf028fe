"""Tasks take their arguments as they are, and are still named by them and drawn behind each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from prefect import flow
from prefect.context import TaskRunContext

from flows.tasks import task

pytestmark = pytest.mark.usefixtures("prefect_api")


class Untouched(list[int]):
    """A list that nobody may look through."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("somebody looked through an argument")


@dataclass
class Place:
    name: str
    inside: Untouched


@task("make frame")
def make_frame(place: Place) -> pl.DataFrame:
    return pl.DataFrame({"a": [len(place.inside)]})


@task("look at", run_name="look at {place.name}")
def look_at(frame: pl.DataFrame, *, place: Place, more: Untouched) -> tuple[int, Any]:
    context = TaskRunContext.get()
    assert context is not None
    return frame["a"][0] + len(more), context.task_run


def test_arguments_are_not_looked_through_and_the_run_is_named_and_drawn_behind_the_other() -> None:
    @flow
    def looking() -> tuple[int, Any, pl.DataFrame]:
        place = Place("home", Untouched([1, 2]))
        frame = make_frame(place)
        return (*look_at(frame, place=place, more=Untouched([3])), frame)

    found, task_run, _ = looking()

    assert found == 3
    assert task_run.name == "look at home"
    (behind,) = task_run.task_inputs["frame"]
    assert behind.input_type == "task_run"


def test_a_task_keeps_its_function_and_its_errors() -> None:
    @task("fail")
    def failing(number: int) -> int:
        """Say so."""
        raise ZeroDivisionError(number)

    @flow
    def around() -> int:
        return failing(7)

    assert failing.__doc__ == "Say so."
    with pytest.raises(ZeroDivisionError, match="7"):
        around()
