"""What a version brings along for serving: its plan, if it has one that was proved, and the verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from modeling.errors import UnreadablePlanError
from modeling.pipeline import column_kinds
from modeling.plan.compile import compile_plan
from modeling.plan.plan import Plan
from modeling.plan.storage import to_bytes
from modeling.plan.verify import COMPILED, Verdict, verify
from modeling.tasks import Task


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """How a version may be served, proved.

    Attributes:
        plan: the compiled plan; none below tier 3.
    """

    verdict: Verdict
    plan: Plan | None

    def verdict_file(self) -> bytes:
        """Content of `serving.json`."""
        verdict = self.verdict
        told = {
            "tier": verdict.tier,
            "without_plan": verdict.without_plan,
            "reasons": verdict.reasons,
            "samples": verdict.samples,
        }
        return json.dumps(told, indent=1, sort_keys=True).encode()

    def plan_file(self) -> bytes | None:
        """Content of `plan.npz`, or none."""
        return None if self.plan is None else to_bytes(self.plan)


def prove(pipeline: Any, X: pd.DataFrame, task: Task) -> Serving:
    """Compile a fitted pipeline and compare; costs about half a second of CPU time.

    Args:
        X: prepared rows that it was not fitted on.
    """
    kinds = column_kinds(X)
    found = compile_plan(pipeline, task, list(kinds), list(kinds.values()), X)
    verdict = verify(found, pipeline, X, task)
    return Serving(verdict, found if isinstance(found, Plan) and verdict.tier == COMPILED else None)


def read_verdict(content: bytes) -> Verdict:
    """Read `serving.json`.

    Raises:
        UnreadablePlanError: it is no verdict.
    """
    try:
        told = json.loads(content)
        reasons = tuple(map(str, told["reasons"]))
        return Verdict(int(told["tier"]), int(told["without_plan"]), reasons, int(told["samples"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadablePlanError(f"serving.json holds no verdict, {type(error).__name__}: {error}") from error
