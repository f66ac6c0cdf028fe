"""What a champion's answers are worth, seen more closely than by one number: facts, as all evidence is.

Nothing here promotes, rolls back or retrains by itself. What could not be said is none, and `note` says why:
an empty window, labels of one class and labels that never come are findings, not gaps in the record.
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.estimates import Estimate, LabelCoverage
from lifecycle.moments import Window


@dataclass(frozen=True, slots=True)
class IntervalBasis:
    """What the interval of an estimate rests on.

    Attributes:
        deviation: standard deviation of the realised value around the estimate by chance alone, in units of the metric.
        reach: how many of these lie between the estimate and its limits.
        windows: reconciled windows of the version that were known and learned from; with 0 it is chance alone.
    """

    deviation: float
    reach: float
    windows: int

    def __str__(self) -> str:
        if not self.windows:
            return "interval from chance alone, no window is reconciled yet"
        return f"interval from {self.windows} reconciled window{'s' * (self.windows > 1)}"


@dataclass(frozen=True, slots=True)
class EstimatedPerformance:
    """A metric of the window without its labels.

    Attributes:
        method: `cbpe` (confidence-based, for classes) or `dle` (direct loss, for numbers).
        estimate: expected value and the interval in which the realised one is expected; none with a `note`.
        blind_to: what the method cannot see. Where the meaning of the features changed, the estimate stays as it was.
        basis: of the interval; none without an estimate, and in records from before intervals learned.
    """

    metric: str
    method: str
    window: Window
    estimate: Estimate | None
    note: str = ""
    blind_to: str = "concept drift"
    basis: IntervalBasis | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was estimated without labels, beside what the labels then said of the same rows.

    Attributes:
        estimated: with the interval that was stated at the end of the window, or would have been.
        windows: how many windows of this version were reconciled so far, this one included.
        bias: mean of realised minus estimated over them.
        covered: share of them with the realised value inside the stated interval.
        basis: of that interval; none in records from before intervals learned.
    """

    metric: str
    window: Window
    estimated: Estimate
    realised: float
    windows: int
    bias: float
    covered: float
    basis: IntervalBasis | None = None

    @property
    def within(self) -> bool:
        """Whether the realised value lies in the interval that was stated without it."""
        return self.estimated.low <= self.realised <= self.estimated.high


@dataclass(frozen=True, slots=True)
class Revision:
    """Performance on an earlier window with the labels known by now; what was decided then stays as it was.

    Attributes:
        estimate: none while the labels allow none.
        final: no label of the window can still arrive.
    """

    metric: str
    window: Window
    estimate: Estimate | None
    coverage: LabelCoverage
    final: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether predicted probabilities came true as frequencies.

    Attributes:
        error: expected calibration error; 0 is perfect.
        slope: of the outcome on the predicted log odds; below 1 the model is too sure of itself.
        intercept: of the same; above 0 it says too little.
    """

    rows: int
    error: Estimate | None
    slope: Estimate | None = None
    intercept: Estimate | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SegmentFinding:
    """A part of the rows, and how much worse the champion is inside it than outside.

    Attributes:
        segment: the part in words, `carrier=EV & hour in (12, 17]`.
        inside: mean loss inside.
        worse: mean loss inside minus mean loss outside; none with a `note`.
        p: chance of so large a difference were there none; by independent blocks, before correction.
        declared: named in the model file, and so reported in any case; others were searched for.
        weak: the difference counts: significant among all parts that were looked at, and not negligible.
    """

    segment: str
    metric: str
    rows: int
    inside: Estimate | None
    worse: Estimate | None
    p: float | None
    declared: bool
    weak: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class FairnessGap:
    """The largest difference of a rate between the groups of a column.

    Attributes:
        rate: which one, `share of yes answers` for example.
        gap: rate of `high` minus rate of `low`; none with a `note`.
    """

    column: str
    rate: str
    high: str
    low: str
    gap: Estimate | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class OutlierFacts:
    """How many rows of the window lie beyond what the reference window holds.

    Attributes:
        rows: rows with a score.
        extreme: rows whose score lies past the limit.
        expected: share of such rows in the reference window.
        columns: the columns that most often make a row extreme, most often first.
        quarantined: rows set aside with their reasons, by the limit the policy declares.
    """

    rows: int
    extreme: int
    expected: float
    columns: tuple[str, ...] = ()
    quarantined: int = 0
    note: str = ""

    @property
    def share(self) -> float:
        """Share of extreme rows; 0 of 0 is 0, and `note` says that there were none."""
        return self.extreme / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class ClientFinding:
    """A client whose requests look like attempts to find out how the model answers.

    Attributes:
        repeated: share of its requests that nearly repeat another of its own.
        probing: share that differ from its request before in one column only.
        usual: the larger of both shares over all other clients.
        p: chance of so many were the client like the others, before correction.
    """

    client: str
    requests: int
    repeated: float
    probing: float
    usual: float
    p: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class AttributionFinding:
    """How one column's part in the answers differs from what it was.

    Attributes:
        before: its share of all attributions then.
        now: its share now.
        shift: size of the change, in the units of `AttributionDrift.method`.
        p: chance of so large a shift were there none; none where the method has no test.
    """

    column: str
    before: float
    now: float
    shift: float
    p: float | None = None


@dataclass(frozen=True, slots=True)
class AttributionDrift:
    """How the columns' parts in the answers moved, largest shift first.

    Attributes:
        method: what was compared.
        ndcg: agreement of the two rankings, 1 for the same; none where there is no earlier ranking.
    """

    method: str
    rows: int
    ndcg: float | None
    findings: tuple[AttributionFinding, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Worth:
    """Everything of this kind about one window.

    Attributes:
        estimated: the current window without labels, one entry a metric.
        reconciled: the newest fully labelled window as long as the current one, estimated and realised.
        revised: windows whose labels are still arriving, oldest first.
        calibration: on the newest fully labelled window; none for a regression.
        segments: declared slices, then the weakest of those searched for.
        fairness: gaps between the groups that the gate names.
        outliers: of the current window.
        clients: those that stand out, of the current window.
        attributions: made when a page is due.
    """

    estimated: tuple[EstimatedPerformance, ...] = ()
    reconciled: tuple[Reconciliation, ...] = ()
    revised: tuple[Revision, ...] = ()
    calibration: Calibration | None = None
    segments: tuple[SegmentFinding, ...] = ()
    fairness: tuple[FairnessGap, ...] = ()
    outliers: OutlierFacts | None = None
    clients: tuple[ClientFinding, ...] = ()
    attributions: tuple[AttributionDrift, ...] = ()
