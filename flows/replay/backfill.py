"""The loop in logical time: at each tick ingest, score, monitor and decide, with the flows that run live.

Every step is noted when it is finished. A backfill that was killed goes on with the first step that is not, and
one that is run again repeats no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.decide import ON_CHALLENGER, decide
from flows.ingest import ingest
from flows.keys import step_key
from flows.model import Model
from flows.monitor import monitor
from flows.promote import reconcile
from flows.score import score
from flows.train import train
from flows.wiring import Loop, running
from lifecycle.moments import iso

Watcher = Callable[[datetime, str], None]
"""Told before each step: the tick and what is done next."""


def backfill(loop: Loop, model: Model, moments: Sequence[datetime], watcher: Watcher) -> None:
    """Walk the loop through the moments, oldest first; the first one only takes in data and trains."""
    loop.models[model.reference] = model
    # Each sync flow otherwise ends with a second of waiting for its heartbeat thread; live runs keep it.
    with running(loop), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        loop.tracker.end_stale(f"{model.name} loop")
        loop.tracker.end_stale(model.name)
        reconcile(loop, model)
        for moment in moments:
            _tick(loop, model, moment, moment == moments[0], watcher)


def _tick(loop: Loop, model: Model, moment: datetime, first: bool, watcher: Watcher) -> None:
    def once(name: str, flow: Callable[[str, str], object]) -> None:
        if loop.journal.finished(step_key(name, model, moment)) is None:
            watcher(moment, name)
            flow(model.reference, iso(moment))

    once("ingest", ingest)
    if first:
        once(f"decide{ON_CHALLENGER}", train)
        return
    if loop.champion(model) is not None:
        once("score", score)
        once("monitor", monitor)
    once("decide", decide)
