"""The record of a decision: evidence, policy, action, and what it led from and to.

A record has two parts. The *canonical* part names the past by content, so that the same past gives the same bytes
on any machine. The *links* (run and flow ids, wall times) say where it happened; they are kept, shown,
and left out of every comparison.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from lifecycle.actions import Action
from lifecycle.evidence import Evidence
from lifecycle.moments import iso
from lifecycle.records import to_bytes, to_plain

WINDOW = "window"
"""Stage of a decision on one window's evidence."""
CHALLENGER = "challenger:"
"""How the stage of a decision on a challenger begins; its version follows."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where a decision was made: ids that lead to the Prefect and MLflow pages, and wall times."""

    decided_at: datetime
    actor: str
    flow_run_id: str | None = None
    mlflow_run_id: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, `hold` included.

    Attributes:
        stage: `window`, `challenger:<version>` or `by hand:<verb>:<n>`.
        policy: the policy as text.
        epoch: epoch of the champion the decision was made under; none before the first.
    """

    model: str
    as_of: datetime
    stage: str
    action: Action
    evidence: Evidence
    policy: str
    epoch: int | None
    links: Links

    @property
    def decision_id(self) -> str:
        """The same question has the same id, so asking twice decides once."""
        text = f"{self.model}|{iso(self.as_of)}|{self.stage}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def canonical(self) -> bytes:
        """The record without links: equal bytes for an equal past."""
        return to_bytes(
            {
                "model": self.model,
                "as_of": iso(self.as_of),
                "stage": self.stage,
                "action": to_plain(self.action),
                "evidence": to_plain(self.evidence),
                "policy": self.policy,
                "epoch": self.epoch,
            }
        )


@dataclass(frozen=True, slots=True)
class Epoch:
    """One reign: which version is the champion from this epoch on, and by which decision."""

    model: str
    epoch: int
    version: int
    digest: str
    decision_id: str
    as_of: datetime
