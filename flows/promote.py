"""Promote: the ledger's epoch first, then the alias, then read back. Rolling back is the same, to an old version."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import flow

from flows.model import Model
from flows.results import Result
from flows.steps import Step, carry_out
from flows.wiring import Loop
from lifecycle.decisions import Epoch
from lifecycle.errors import AliasNotSetError, NoChampionError
from lifecycle.moments import iso
from lifecycle.ports import Alias, Ledger


@flow(name="promote", flow_run_name="promote version {version}")
def promote(model: str, as_of: str, version: int, decision_id: str) -> Result:
    """Make `version` the champion by the authority of a recorded decision.

    Raises:
        EpochTakenError: another promotion came first; the champion stays.
    """
    return carry_out("promote", model, as_of, lambda step: _promote(step, version, decision_id), part=f" {decision_id}")


def _promote(step: Step, version: int, decision_id: str) -> Result:
    loop, name = step.loop, step.model.name
    decision = loop.ledger.find(decision_id)
    digest = loop.registry.version(name, version).digest
    wanted = Epoch(name, (decision.epoch or 0) + 1, version, digest, decision_id, step.as_of)
    loop.reign(wanted)  # loads, verifies and compares golden rows: a bad model never reigns
    epoch = loop.ledger.advance(wanted)
    reconcile(loop, step.model)
    step.run.metrics({"epoch": float(epoch.epoch), "version": float(version)})
    facts = {"version": version, "epoch": epoch.epoch, "digest": digest[:12], "decision": decision_id}
    return Result("promote", name, iso(step.as_of), facts)


def reconcile(loop: Loop, model: Model) -> bool:
    """Make the aliases what the ledger says; whether anything had to be moved."""
    try:
        head = loop.ledger.head(model.name)
    except NoChampionError:
        return False
    tags = {"incumbent.epoch": str(head.epoch), "incumbent.decision": head.decision_id}
    moved = _align(loop, model, Alias.CHAMPION, head.version, tags)
    before = _previous_version(loop.ledger, model)
    if before is not None:
        _align(loop, model, Alias.PREVIOUS, before, {})
    return moved


def _align(loop: Loop, model: Model, alias: Alias, version: int, tags: Mapping[str, str]) -> bool:
    try:
        if loop.registry.pointed(model.name, alias) == version:
            return False
    except AliasNotSetError:
        pass  # only absence leads here: an unreachable registry raises another error, and nothing is moved
    loop.registry.point(model.name, alias, at=version, tags=tags)
    return True


def _previous_version(ledger: Ledger, model: Model) -> int | None:
    versions = [epoch.version for epoch in ledger.epochs(model.name)]
    earlier = [version for version in versions if version != versions[-1]]
    return earlier[-1] if earlier else None
