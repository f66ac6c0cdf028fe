"""Watch: one window of the loop as a schedule runs it, and the owner told of what is new."""

from __future__ import annotations

from prefect import flow

from flows.alerting import tell_of_failure, tell_of_window
from flows.decide import decide
from flows.evidence import noted_evidence
from flows.health import export, system_health
from flows.history import log_history
from flows.ingest import ingest
from flows.monitor import monitor
from flows.requests import compact
from flows.results import Result
from flows.score import score
from flows.steps import Step, carry_out, run_name
from lifecycle.health import symptoms_of_health
from lifecycle.moments import iso


@flow(name="watch", flow_run_name=run_name, on_failure=[tell_of_failure], on_crashed=[tell_of_failure])
def watch(model: str, as_of: str | None = None) -> Result:
    """One window of the loop as a schedule runs it: take in what is new, look at it, decide, and tell the owner."""
    return carry_out("watch", model, as_of, _watch)


def _watch(step: Step) -> Result:
    moment = iso(step.as_of)
    links = dict(ingest(step.reference, moment).links)
    if step.loop.champion(step.model) is not None:
        compact(step.loop, step.reference, step.as_of)  # before scoring, which leaves out what was answered
        score(step.reference, moment)
        links |= monitor(step.reference, moment).links
    decided = decide(step.reference, moment)
    log_history(step)
    around = system_health(step.loop, step.model, step.as_of)
    export(step.loop, step.model, noted_evidence(step.loop, step.model, step.as_of), around)
    step.run.metrics({f"seconds.{one.step}": one.seconds for one in around.steps if one.seconds is not None})
    told = tell_of_window(step, links, list(symptoms_of_health(around)))
    return Result("watch", step.model.name, moment, {**decided.facts, **({"alerts": told} if told else {})})
