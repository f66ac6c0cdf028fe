"""Training-serving skew as evidence: what servers answered with in a window, against what is computed now."""

from __future__ import annotations

import polars as pl

from feature_store.offline.parity import merged, ranked
from flows.evidence import predictions
from flows.features.parity import compare_window, pieces
from flows.steps import Step
from lifecycle.evidence import SkewFinding
from lifecycle.moments import Window

_BATCH = "batch"


def measure_skew(step: Step) -> tuple[SkewFinding, ...]:
    """Every feature of the window's answers, compared by key; nothing where only batches answered.

    A batch is answered with what is computed from the lake, so comparing it would compare a thing with itself.
    """
    window = Window.before(step.as_of, step.loop.policy_of(step.model).every)
    rows = predictions(step.loop, step.model, window)
    if not rows.height or not rows.filter(pl.col("origin") != _BATCH).height:
        return ()
    found = ranked(merged(compare_window(step, piece) for piece in pieces(step, window)))
    return tuple(SkewFinding(one.feature, one.checked, one.differing, one.late, one.largest) for one in found)
