"""Evidence: facts about one window, without opinions.

Every class here is a plain value, so that evidence can be stored, compared byte for byte, and given to any policy.
None of them holds run ids, host names or wall times: the same past gives the same evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lifecycle.drift_findings import MODEL_COLUMNS as MODEL_COLUMNS
from lifecycle.drift_findings import DriftFinding as DriftFinding
from lifecycle.drift_findings import JointDrift as JointDrift
from lifecycle.drift_findings import Measure as Measure
from lifecycle.drift_findings import look_first
from lifecycle.estimates import Estimate as Estimate
from lifecycle.estimates import LabelCoverage as LabelCoverage
from lifecycle.estimates import Performance as Performance
from lifecycle.moments import Window
from lifecycle.worth import Worth


@dataclass(frozen=True, slots=True)
class Comparison:
    """Champion against another version on the same rows.

    Attributes:
        difference: loss of the champion minus loss of the other, paired; above zero the champion is worse.
        other_value: metric of the other on those rows, to make the difference relative.
    """

    other_version: int
    metric: str
    difference: Estimate
    other_value: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate said of a challenger. A check that errors is a check that failed."""

    gate: str
    passed: bool
    text: str
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class ChampionFacts:
    """The model in production, as the ledger and its manifest describe it.

    Attributes:
        digest: content hash of its arrays and golden predictions.
        gate_value: its metric on the block it was gated on.
        newest_label: `as_of` of the newest question it was trained on.
    """

    version: int
    epoch: int
    digest: str
    gate_value: float
    newest_label: datetime


@dataclass(frozen=True, slots=True)
class ChallengerFacts:
    """A trained, registered and gated challenger that waits for a decision.

    Attributes:
        against_epoch: epoch of the champion it was compared with; none when there was no champion.
    """

    version: int
    digest: str
    candidate: str
    against_epoch: int | None
    verdicts: tuple[Verdict, ...]

    @property
    def refusals(self) -> tuple[Verdict, ...]:
        """The gates that said no."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that validation found about a batch: of one column, or (column empty) of the batch as a whole.

    Attributes:
        told: what was found and what was expected, in a sentence.
    """

    column: str
    told: str


@dataclass(frozen=True, slots=True)
class IngestFacts:
    """What validation said of the batches of one source in this window.

    Attributes:
        suite: version of the expectations it was checked against; empty where there are none.
        anomalies: what it did not live up to, in the order of the expectations.
    """

    source: str
    rows: int
    quarantined: int
    digest: str
    newest_event: datetime | None = None
    stale: bool = False
    stopped: str | None = None
    suite: str = ""
    anomalies: tuple[Anomaly, ...] = ()


@dataclass(frozen=True, slots=True)
class SkewFinding:
    """How a feature that a server answered with compares with the same feature computed again.

    Attributes:
        checked: logged values that were compared, by key.
        differing: of those, values that differ although nothing came in late.
        late: values that differ because rows came in after the answer.
        largest: largest difference of two numbers; none where there is none.
    """

    feature: str
    checked: int
    differing: int
    late: int = 0
    largest: float | None = None

    @property
    def share(self) -> float:
        """Share of the compared values that differ; 0 of 0 is 0."""
        return self.differing / self.checked if self.checked else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a policy may look at, as it was known at `as_of`.

    Attributes:
        window: questions asked in (start, end].
        drift: one finding per column, in column order, of the champion's features and prediction.
        joint: drift of the features taken together; measured when a page is due.
        performance: on the newest fully labelled window; none without a champion.
        against_previous: champion against the previous champion; none when there is none.
        last_training: `as_of` of the last training that was started, refused ones included.
        label_delay_p95: 95 % of the labels arrived within this time after their question.
        worth: what the champion's answers are worth beyond the gate's metric: estimated without labels, in parts.
        skew: one finding a feature, the most differing first; none where no server answered in the window.
    """

    model: str
    as_of: datetime
    window: Window
    champion: ChampionFacts | None = None
    drift: tuple[DriftFinding, ...] = ()
    performance: Performance | None = None
    against_previous: Comparison | None = None
    ingested: tuple[IngestFacts, ...] = ()
    challenger: ChallengerFacts | None = None
    last_training: datetime | None = None
    label_delay_p95: timedelta | None = None
    worth: Worth | None = None
    skew: tuple[SkewFinding, ...] = ()
    joint: tuple[JointDrift, ...] = ()

    @property
    def drifted(self) -> tuple[DriftFinding, ...]:
        """What drifted, in the order a reader should look (`look_first`)."""
        return look_first(self.drift)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Columns of which the decision rule cannot tell whether they drifted."""
        return tuple(finding.column for finding in self.drift if finding.drifted is None)

    @property
    def drift_known(self) -> bool:
        """Whether it can tell of any: an empty window is not one without drift."""
        return len(self.undecided) < len(self.drift)

    @property
    def drift_share(self) -> float:
        """Share of the columns that drifted; 0 without findings."""
        return len(self.drifted) / len(self.drift) if self.drift else 0.0

    @property
    def far_share(self) -> float:
        """Share of the columns whose score reaches its threshold: Evidently's; 0 without findings."""
        return sum(finding.far for finding in self.drift) / len(self.drift) if self.drift else 0.0
