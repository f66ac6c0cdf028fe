"""A decision's canonical bytes name the past by content and leave out where it happened."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from lifecycle.actions import Hold, Retrain
from lifecycle.decisions import WINDOW, Decision, Links


def decision_on(evidence, **fields) -> Decision:
    links = Links(evidence.as_of, "policy", "flow", "run", "report.html")
    usual = {"model": "m", "as_of": evidence.as_of, "stage": WINDOW, "action": Hold("fine"), "evidence": evidence}
    return Decision(**({**usual, "policy": "never()", "epoch": 1, "links": links} | fields))


def test_canonical_bytes_leave_out_every_link(evidence_of, noon) -> None:
    decision = decision_on(evidence_of())
    elsewhere = replace(decision, links=Links(noon + timedelta(days=900), "somebody", "other", None))

    assert decision.canonical() == elsewhere.canonical()
    for link in ("flow", "run", "report.html", "decided_at", "actor"):
        assert f'"{link}"'.encode() not in decision.canonical()


def test_canonical_bytes_change_with_everything_else(evidence_of, findings) -> None:
    evidence = evidence_of()
    decision = decision_on(evidence)
    others = [
        replace(decision, action=Hold("not fine")),
        replace(decision, action=Retrain("fine")),
        replace(decision, stage="challenger:2"),
        replace(decision, policy="every=7d"),
        replace(decision, epoch=2),
        replace(decision, evidence=evidence_of(drift=findings(0.3))),
        replace(decision, as_of=decision.as_of + timedelta(days=1)),
    ]

    assert len({decision.canonical(), *(other.canonical() for other in others)}) == 8


def test_canonical_bytes_are_sorted_json_in_utc(evidence_of) -> None:
    plain = json.loads(decision_on(evidence_of()).canonical())

    assert list(plain) == sorted(plain)
    assert plain["as_of"] == "2013-06-01T12:00:00Z"
    assert plain["action"] == {"type": "Hold", "reason": "fine"}


def test_the_same_question_has_the_same_id(evidence_of) -> None:
    decision = decision_on(evidence_of())

    assert decision.decision_id == replace(decision, action=Retrain("worse"), policy="other").decision_id
    assert len(decision.decision_id) == 16
    assert decision.decision_id != replace(decision, stage="challenger:2").decision_id
    assert decision.decision_id != replace(decision, model="n").decision_id
    assert decision.decision_id != replace(decision, as_of=decision.as_of + timedelta(seconds=1)).decision_id
