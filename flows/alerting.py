"""The owner told: what a window or a failed run shows of a new cause, once, as a Prefect event with links.

An automation that `deploy` makes answers the event with a notification. Places that were told are noted in the
journal, so that a cause that goes on, or a run that is tried again, is not told again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from flows.decide import earlier_evidence
from flows.errors import BatchRefusedError
from flows.evidence import noted_evidence
from flows.keys import step_key
from flows.model import Model
from flows.places import places_of
from flows.steps import Step
from flows.wiring import Loop, current_loop
from lifecycle.alerts import FLOW, HEALTH, VALIDATION, Alert, Symptom, alerts_of, symptoms_of
from lifecycle.evidence import Evidence
from lifecycle.moments import Window, parse_moment

_MEMORY = 2
"""Windows without a symptom after which the same cause is a new one."""


def tell_of_window(step: Step, links: Mapping[str, str], further: Sequence[Symptom] = ()) -> list[str]:
    """Tell of the causes that the window's evidence shows and the windows before it did not; their titles.

    Args:
        links: pages by name.
        further: what was seen beside the evidence, at parts of the system.
    """
    loop, model = step.loop, step.model
    evidence, made_of = noted_evidence(loop, model, step.as_of), places_of(model)
    earlier = earlier_evidence(loop.ledger, model, evidence)[:_MEMORY]
    known = {one.place for past in earlier for one in symptoms_of(past, made_of)} | told_before(loop, model, step.as_of)
    seen = symptoms_of(evidence, made_of)
    # A part of the system is no cause of what is seen at the model.
    alerts = (*alerts_of(evidence, model.owner, seen, known), *alerts_of(evidence, model.owner, further, known))
    told = send(loop, alerts, links)
    note(loop, model, step.as_of, [*seen, *further])
    return told


def tell_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell that a scheduled run did not end well: of the batch that was refused, or of the error."""
    loop = current_loop()
    model = loop.model(str(flow_run.parameters["model"]))
    as_of = parse_moment(flow_run.parameters.get("as_of") or flow_run.expected_start_time or "")
    evidence = Evidence(model.name, as_of, Window.before(as_of, loop.policy_of(model).every))
    seen = list(_of_failure(flow.name, state))
    send(loop, alerts_of(evidence, model.owner, seen, told_before(loop, model, as_of)), {})
    note(loop, model, as_of, seen)


def _of_failure(name: str, state: State[Any]) -> Iterator[Symptom]:
    error = state.result(raise_on_failure=False) if state.is_failed() else None
    if isinstance(error, BatchRefusedError):
        for place in [f"{error.source}.{column}" for column in error.columns if column] or [error.source]:
            yield Symptom(VALIDATION, place, f"refused: {error.problem}")
        return
    told = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(state.message)
    yield Symptom(HEALTH, f"{FLOW}{name}", told)


def told_before(loop: Loop, model: Model, as_of: datetime) -> set[str]:
    """Places that were seen in this window or those just before, also where the run failed afterwards."""
    every = loop.policy_of(model).every
    moments = [as_of - every * back for back in range(_MEMORY + 1)]
    return {place for moment in moments for note in _notes(loop, model, moment) for place in json.loads(note)}


def _notes(loop: Loop, model: Model, as_of: datetime) -> Iterator[str]:
    """What was noted at a moment, once a run: one that failed is tried again, and sees something else."""
    for number in count():
        noted = loop.journal.finished(_note(model, as_of, number))
        if noted is None:
            return
        yield noted


def _note(model: Model, as_of: datetime, number: int) -> str:
    return step_key(f"told {number}" if number else "told", model, as_of)


def send(loop: Loop, alerts: Sequence[Alert], links: Mapping[str, str]) -> list[str]:
    """Send alerts where this loop tells anybody; their titles."""
    if loop.tell_owner is None:
        return []
    for alert in alerts:
        loop.tell_owner(alert, links)
    return [alert.title for alert in alerts]


def note(loop: Loop, model: Model, as_of: datetime, seen: Sequence[Symptom]) -> None:
    """Note what was seen where somebody was told, so that it is known in the windows after."""
    if loop.tell_owner is None:
        return
    notes = list(_notes(loop, model, as_of))
    fresh = {one.place for one in seen}.difference(*map(json.loads, notes))
    if fresh:
        loop.journal.finish(_note(model, as_of, len(notes)), json.dumps(sorted(fresh)))
