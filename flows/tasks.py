"""A part of a step as a Prefect task, whose arguments Prefect takes as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import opaque

Given = ParamSpec("Given")
Found = TypeVar("Found")


def task(name: str, run_name: str | None = None) -> Callable[[Callable[Given, Found]], Callable[Given, Found]]:
    """Make a function a task of this name; `run_name` may take in its arguments, as `ingest {source.name}` does.

    Prefect looks through every argument, twice, for futures at any depth: of a champion with its reference window that
    is a million numbers a call. Arguments are marked opaque, so that it looks at each once; a task whose argument is
    another task's answer is still drawn behind it.
    """

    def made(function: Callable[Given, Found]) -> Callable[Given, Found]:
        known = prefect.task(name=name, task_run_name=run_name, cache_policy=NO_CACHE)(function)

        @wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Found:
            marked = {key: opaque(value) for key, value in kwargs.items()}
            return known(*map(opaque, args), **marked)  # type: ignore[arg-type]

        return call

    return made
