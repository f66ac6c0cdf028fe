"""Decide: ask the policy about the evidence, record what it says, and do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import assert_never

from prefect import flow
from prefect.runtime import flow_run

from flows.evidence import noted_evidence, windows_decided
from flows.model import Model
from flows.promote import promote
from flows.results import Result
from flows.steps import Step, carry_out, run_name
from lifecycle.actions import Action, Freeze, Hold, Promote, Retrain, Rollback
from lifecycle.decisions import CHALLENGER, WINDOW, Decision, Links
from lifecycle.evidence import ChallengerFacts, Evidence
from lifecycle.moments import iso
from lifecycle.ports import Ledger
from lifecycle.records import from_plain

ON_CHALLENGER = " on the challenger"
"""Tells the decision on what a training registered from the decision on the window, both at the same moment."""


@flow(name="decide", flow_run_name=run_name)
def decide(model: str, as_of: str | None = None) -> Result:
    """Ask the policy about the evidence of the window that ends at `as_of`, and do what it says."""
    return carry_out("decide", model, as_of, _decide_on_window)


@flow(name="judge", flow_run_name="decide on challenger {challenger}")
def judge(model: str, as_of: str, challenger: int) -> Result:
    """Ask the policy about a registered challenger: promote it, or hold and say which gate refused it."""
    return carry_out("decide", model, as_of, _decide_on_challenger, part=ON_CHALLENGER)


def _decide_on_window(step: Step) -> Result:
    evidence = noted_evidence(step.loop, step.model, step.as_of)
    earlier = earlier_evidence(step.loop.ledger, step.model, evidence)
    return _settle(step, WINDOW, evidence, step.loop.policy_of(step.model).decide(evidence, earlier))


def _decide_on_challenger(step: Step) -> Result:
    noted = step.loop.journal.finished(step.key("train"))
    if noted is None:
        raise LookupError(f"No training of {step.model.name!r} at {iso(step.as_of)} is noted. Run: incumbent train")
    facts = from_plain(ChallengerFacts, Result.from_json(noted).facts["_challenger"])
    evidence = replace(noted_evidence(step.loop, step.model, step.as_of), challenger=facts)
    action = step.loop.policy_of(step.model).decide(evidence)
    return _settle(step, f"{CHALLENGER}{facts.version}", evidence, action)


def earlier_evidence(ledger: Ledger, model: Model, evidence: Evidence) -> Sequence[Evidence]:
    """The evidence of the windows before this one, newest first, as it was recorded then."""
    return evidence_before(ledger, model, evidence.as_of)


def evidence_before(ledger: Ledger, model: Model, as_of: datetime) -> Sequence[Evidence]:
    """The evidence of the windows before a moment, newest first, as it was recorded then."""
    return [decision.evidence for decision in reversed(windows_decided(ledger, model, before=as_of))]


def _settle(step: Step, stage: str, evidence: Evidence, action: Action) -> Result:
    """Record first, act second: what was decided is known even when acting is cut short."""
    decision = step.loop.ledger.record(
        Decision(
            model=step.model.name,
            as_of=step.as_of,
            stage=stage,
            action=action,
            evidence=evidence,
            policy=str(step.loop.policy_of(step.model)),
            epoch=evidence.champion.epoch if evidence.champion else None,
            links=Links(
                decided_at=datetime.now(UTC),
                actor="policy",
                flow_run_id=str(flow_run.id) if flow_run.id else None,
                mlflow_run_id=step.run.run_id,
            ),
        )
    )
    carry_out_action(step, decision)
    return told(decision, step)


def carry_out_action(step: Step, decision: Decision) -> None:
    """Do what a recorded decision says. Doing it again has no further effect."""
    match decision.action:
        case Hold() | Freeze():
            pass
        case Retrain():
            step.loop.start_training(step.model, step.as_of)
        case Promote(version=version) | Rollback(to_version=version):
            promote(step.reference, iso(step.as_of), version, decision.decision_id)
        case _:
            assert_never(decision.action)


def told(decision: Decision, step: Step) -> Result:
    """The decision as facts, a table on both UIs."""
    kind = type(decision.action).__name__.lower()
    step.run.tags({"incumbent.action": kind, "incumbent.decision": decision.decision_id})
    step.run.text(decision.canonical().decode(), "decision.json")
    facts = {
        "action": kind,
        "reason": decision.action.reason,
        "stage": decision.stage,
        "policy": decision.policy,
        "epoch": decision.epoch,
        "decision": decision.decision_id,
    }
    return Result("decide", step.model.name, iso(step.as_of), facts)
