"""A backfill from end to end: walk, watch, and sum up."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from flows.model import Model
from flows.replay.backfill import Watcher, backfill
from flows.replay.summary import Summary, summarise
from flows.replay.timeline import reading_once, ticks
from flows.showing import progress, quiet_logs
from flows.wiring import Loop


def run_backfill(loop: Loop, model: Model, start: datetime, end: datetime) -> Summary:
    """Walk the loop from `start` (data taken in, first training) to `end`, and compare it with never retraining."""
    quiet_logs()
    moments = ticks(start, end, loop.policy_of(model).every)
    loop.read = reading_once()
    gc.collect()
    gc.freeze()  # a million objects of imported packages, which no later collection need look at
    with watching(model.name, moments) as watcher:
        backfill(loop, model, moments, watcher)
    return summarise(loop, model, start, end)


@contextmanager
def watching(title: str, moments: list[datetime]) -> Iterator[Watcher]:
    """A progress bar over the ticks on a terminal, log lines elsewhere."""
    with progress(title, len(moments)) as advance:

        def watcher(moment: datetime, step: str) -> None:
            advance(moments.index(moment), f"{moment:%Y-%m-%d} {step}")

        yield watcher
        advance(len(moments), "done")
