"""Decisions by hand, recorded like any other: who, why, and on what evidence."""

from __future__ import annotations

import getpass
from dataclasses import replace
from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.decide import carry_out_action, told
from flows.errors import SpecError
from flows.evidence import champion_facts, noted_evidence
from flows.results import Result
from flows.steps import Step, carry_out
from lifecycle.actions import Action, Promote, Rollback
from lifecycle.decisions import Decision, Links


@flow(name="promote by hand", flow_run_name="promote version {version} by hand")
def promote_by_hand(model: str, as_of: str, version: int, reason: str) -> Result:
    """Make a registered version the champion because a person says so."""
    return carry_out(
        "decide", model, as_of, lambda step: _decide(step, Promote(version, reason)), part=f" by hand promote {version}"
    )


@flow(name="roll back by hand")
def rollback_by_hand(model: str, as_of: str, reason: str) -> Result:
    """Bring the previous champion back because a person says so.

    Raises:
        SpecError: there is no previous champion.
    """
    return carry_out(
        "decide", model, as_of, lambda step: _decide(step, _rollback(step, reason)), part=" by hand rollback"
    )


def _rollback(step: Step, reason: str) -> Rollback:
    previous = step.loop.previous(step.model)
    if previous is None:
        raise SpecError("rollback", step.model.name, "There is no earlier champion to go back to; promote a version.")
    return Rollback(previous.epoch.version, reason)


def _decide(step: Step, action: Action) -> Result:
    champion = step.loop.champion(step.model)  # the one of now: what was noted may be from before another promotion
    facts = champion_facts(champion) if champion else None
    evidence = replace(noted_evidence(step.loop, step.model, step.as_of), champion=facts)
    taken = sum(d.stage.startswith("by hand") for d in step.loop.ledger.decisions(step.model.name))
    links = Links(datetime.now(UTC), getpass.getuser(), str(flow_run.id) if flow_run.id else None, step.run.run_id)
    epoch = facts.epoch if facts else None
    stage = f"by hand:{type(action).__name__.lower()}:{taken + 1}"
    decision = Decision(step.model.name, step.as_of, stage, action, evidence, "a person", epoch, links)
    decision = step.loop.ledger.record(decision)
    carry_out_action(step, decision)
    return told(decision, step)
