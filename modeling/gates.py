"""The gates a challenger passes before anyone promotes it: all mandatory, in order, and an error is a no.

No correction is made across the mandatory gates (all must pass, so the chance of a wrong yes only falls); the
paired test is corrected for the number of candidates the challenger was the best of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from lifecycle.evidence import Estimate, Verdict
from lifecycle.gates import Gate
from modeling.calibration import calibration_difference, expected_calibration_error
from modeling.evaluation import Resampling, block_interval, paired_interval
from modeling.fairness import judge_fairness
from modeling.metrics import PROBABILITIES
from modeling.slices import judge_slices, slices_of
from modeling.tasks import Floats
from modeling.training import EvaluationRows

ALPHA = 0.05
PAIRED = "paired test"
"""Name of the gate that compares with the champion."""
CALIBRATION_TOLERANCE = 0.01
"""How much larger the calibration error may be than the champion's, in probability."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one call of `judge` is about.

    Attributes:
        columns: values of the columns by which rows are parted.
        alternatives: how many candidates the challenger is the best of.
    """

    gate: Gate
    rows: EvaluationRows
    columns: Mapping[str, NDArray[Any]]
    alternatives: int
    seed: int

    @property
    def test(self) -> Resampling:
        """The one-sided test, corrected for the candidates."""
        return Resampling.one_sided(ALPHA / max(1, self.alternatives), seed=self.seed)


def judge(
    gate: Gate,
    rows: EvaluationRows,
    columns: Mapping[str, NDArray[Any]] | None = None,
    *,
    alternatives: int = 1,
    seed: int = 0,
) -> tuple[Verdict, ...]:
    """Every gate in order, each with its numbers; a check that fails to run is a check that said no.

    Args:
        gate: what was declared before any data was seen.
        rows: labels and answers on rows that no model was trained on.
        columns: values on those rows of each column that `gate.slices` and `gate.groups` name; all must be there.
        alternatives: how many candidates the challenger is the best of.
        seed: the same seed and rows give the same verdicts.
    """
    trial = Trial(gate, rows, columns or {}, alternatives, seed)
    return tuple(_closed(name, check, trial) for name, check in _GATES.items())


def _closed(name: str, check: Callable[[Trial], Verdict], trial: Trial) -> Verdict:
    try:
        return check(trial)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return Verdict(name, passed=False, text=f"could not be checked: {error}")


def _bound(trial: Trial) -> Verdict:
    gate, rows = trial.gate, trial.rows
    found = block_interval(gate.metric, rows.y, rows.challenger, rows.blocks, Resampling(trial.seed))
    if gate.at_most is not None:
        return Verdict("bound", found.value <= gate.at_most, f"{gate.metric} {found}, at most {gate.at_most:g}", found)
    if gate.at_least is not None:
        return Verdict(
            "bound", found.value >= gate.at_least, f"{gate.metric} {found}, at least {gate.at_least:g}", found
        )
    return Verdict("bound", True, f"{gate.metric} {found}, no bound declared", found)


def _trivial(trial: Trial) -> Verdict:
    gain = _gain(trial, trial.rows.trivial)
    return Verdict("beats the trivial rule", gain.low > 0, f"{_gain_text(trial, gain)} over the trivial rule", gain)


def _paired(trial: Trial) -> Verdict:
    if trial.rows.champion is None:
        return Verdict(PAIRED, True, "no champion yet")
    gain = _gain(trial, trial.rows.champion)
    corrected = f", best of {trial.alternatives}" if trial.alternatives > 1 else ""
    return Verdict(PAIRED, gain.low > 0, f"{_gain_text(trial, gain)} over the champion{corrected}", gain)


def _gain(trial: Trial, reference: Floats) -> Estimate:
    """Loss of the reference minus loss of the challenger: above zero the challenger is better."""
    rows = trial.rows
    return paired_interval(trial.gate.metric, rows.y, (reference, rows.challenger), rows.blocks, trial.test)


def _gain_text(trial: Trial, gain: Estimate) -> str:
    return f"{trial.gate.metric} gains {gain} on {gain.rows} rows in {gain.blocks} blocks"


def _calibration(trial: Trial) -> Verdict:
    rows = trial.rows
    if trial.gate.metric not in PROBABILITIES:  # numbers may all be 0 and 1 as well
        return Verdict("calibration", True, "not a probability, so not checked")
    error = expected_calibration_error(rows.y, rows.challenger)
    if rows.champion is None:
        return Verdict("calibration", True, f"calibration error {error:.4f}, no champion yet")
    more = calibration_difference(rows.y, (rows.challenger, rows.champion), rows.blocks, trial.test)
    before = error - more.value
    tolerated = CALIBRATION_TOLERANCE + trial.gate.margin * before
    # Refused when the increase is too large and no accident: bins of a few rows differ by chance alone.
    passed = more.value <= tolerated or more.low <= 0
    return Verdict("calibration", passed, f"calibration error {error:.4f} against {before:.4f}", more)


def _slices(trial: Trial) -> Verdict:
    rows, gate = trial.rows, trial.gate
    if not gate.slices:
        return Verdict("slices", True, "no slices declared")
    missing = _missing("slices", gate.slices, trial)
    if missing is not None:
        return missing
    reference = rows.trivial if rows.champion is None else rows.champion
    found = [one for name in gate.slices for one in slices_of(name, trial.columns[name])]
    return judge_slices(gate, rows, found, reference=reference, seed=trial.seed)


def _fairness(trial: Trial) -> Verdict:
    rows, gate = trial.rows, trial.gate
    if not gate.groups:
        return Verdict("fairness", True, "no groups declared")
    missing = _missing("fairness", gate.groups, trial)
    if missing is not None:
        return missing
    if rows.champion is None:
        return Verdict("fairness", True, "no champion yet")
    return judge_fairness(gate, rows, trial.columns, champion=rows.champion, seed=trial.seed)


def _missing(gate: str, declared: Sequence[str], trial: Trial) -> Verdict | None:
    """The no of a gate whose declared columns are not all there."""
    missing = [name for name in declared if name not in trial.columns]
    return Verdict(gate, False, f"could not be checked: no values of {missing}") if missing else None


_GATES: Mapping[str, Callable[[Trial], Verdict]] = {
    "bound": _bound,
    "beats the trivial rule": _trivial,
    PAIRED: _paired,
    "calibration": _calibration,
    "slices": _slices,
    "fairness": _fairness,
}


def integrity(problems: Sequence[str], checked: Sequence[str]) -> Verdict:
    """The verdict on the artifact itself, which the caller has examined.

    Args:
        problems: what was wrong; empty means nothing was.
        checked: what was looked at. Nothing looked at is a no.
    """
    if problems:
        return Verdict("integrity", False, "; ".join(problems))
    if not checked:
        return Verdict("integrity", False, "nothing was checked")
    return Verdict("integrity", True, ", ".join(checked))


def latency(p99_ms: float, gate: Gate) -> Verdict:
    """The verdict on the 99th percentile of the time to answer one row, in milliseconds; NaN is a no."""
    if gate.p99 is None:
        return Verdict("latency", True, f"p99 {p99_ms:.2f} ms, no limit declared")
    return Verdict("latency", p99_ms <= gate.p99, f"p99 {p99_ms:.2f} ms, at most {gate.p99:g} ms")
