"""Why: a decision's record, told so that a person understands it."""

from __future__ import annotations

from flows.results import Result
from lifecycle.decisions import Decision
from lifecycle.errors import DecisionNotFoundError
from lifecycle.evidence import DriftFinding
from lifecycle.moments import iso
from lifecycle.ports import Ledger


def decisions_of(ledger: Ledger, model: str) -> Result:
    """Every decision on a model, a line each, and who reigned when."""
    facts: dict[str, object] = {
        f"{iso(d.as_of)[:16]} {d.decision_id}": f"{_kind(d)}: {d.action.reason}" for d in ledger.decisions(model)
    }
    for epoch in ledger.epochs(model):
        facts[f"epoch {epoch.epoch}"] = (
            f"version {epoch.version} from {iso(epoch.as_of)}, by decision {epoch.decision_id}"
        )
    return Result("why", model, "", facts)


def tell(ledger: Ledger, model: str, what: str) -> Result:
    """One decision by id, or the decision that made (or refused) a version.

    Raises:
        DecisionNotFoundError: neither a decision nor a version has this name.
    """
    decision = _about_version(ledger, model, what.removeprefix("v")) or ledger.find(what)
    evidence = decision.evidence
    facts: dict[str, object] = {
        "action": _kind(decision),
        "because": decision.action.reason,
        "policy": decision.policy,
        "stage": decision.stage,
        "window": str(evidence.window),
    }
    if evidence.champion:
        champion = evidence.champion
        facts["champion"] = f"version {champion.version}, epoch {champion.epoch}, {champion.gate_value:.4f} at its gate"
    if evidence.challenger:
        facts["challenger"] = f"version {evidence.challenger.version}, trained on {evidence.challenger.candidate}"
        for verdict in evidence.challenger.verdicts:
            facts[f"gate {verdict.gate}"] = f"{'passed' if verdict.passed else 'REFUSED'}: {verdict.text}"
    if evidence.performance:
        coverage = evidence.performance.coverage
        facts["performance"] = f"{evidence.performance.metric} {evidence.performance.estimate or 'unknown yet'}"
        facts["labels"] = (
            f"{coverage.labelled} of {coverage.asked} arrived, {coverage.waiting} waiting, {coverage.never} never"
        )
    facts["drift"] = _drift(decision)
    for source in evidence.ingested:
        facts[f"source {source.source}"] = (
            f"{source.rows:,} rows, {source.quarantined} quarantined, content {source.digest[:12]}"
        )
    facts |= {
        "decided at": iso(decision.links.decided_at),
        "by": decision.links.actor,
        "decision": decision.decision_id,
    }
    ids = {"mlflow_run_id": decision.links.mlflow_run_id or "", "flow_run_id": decision.links.flow_run_id or ""}
    return Result("why", model, iso(decision.as_of), facts | ids)


def _about_version(ledger: Ledger, model: str, what: str) -> Decision | None:
    if not what.isdecimal() or len(what) > 8:
        return None
    about = [d for d in ledger.decisions(model) if d.evidence.challenger and d.evidence.challenger.version == int(what)]
    if not about:
        raise DecisionNotFoundError(f"version {what}", len(list(ledger.decisions(model))))
    return about[-1]


def _kind(decision: Decision) -> str:
    return type(decision.action).__name__.lower()


def _drift(decision: Decision) -> str:
    drifted, others = decision.evidence.drifted, [f for f in decision.evidence.drift if not f.drifted]
    findings = [*drifted, *sorted(others, key=lambda f: -(f.score or 0.0))]
    told = [
        f"{f.column} {_score(f)}{' DRIFTED' if f.drifted else ''}"
        for f in findings[:8]
        if f.drifted or f.score is not None
    ]
    return ", ".join(told) or "nothing was compared"


def _score(finding: DriftFinding) -> str:
    return finding.note if finding.score is None else f"{finding.score:.3f}"
