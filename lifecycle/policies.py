"""Policies: a pure function from evidence to an action, written in four words.

`worse`, `older` and `drifted` are conditions, joined by `|` and `&`; `.for_(2)` asks for two windows running.
A condition answers yes, no or *unknown* (too few labels, nothing to compare with), and unknown never starts
or promotes anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from lifecycle.actions import Action, Hold, Promote, Retrain, Rollback
from lifecycle.errors import CooldownTooShortError, PolicyError
from lifecycle.evidence import ChallengerFacts, Comparison, Evidence, Performance
from lifecycle.metrics import lower_is_better
from lifecycle.moments import iso, span, spell

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_AFTER_LABELS = timedelta(days=3)


class Against(Enum):
    """What `worse` compares the champion with."""

    GATE_VALUE = "its own value at the gate"
    PREVIOUS = "the previous champion on the same rows"


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a condition holds (none: unknown), and why, in words."""

    holds: bool | None
    text: str


class Condition:
    """Something a policy can ask of the evidence. Join conditions with `|` and `&`."""

    __slots__ = ()

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        """Look at the newest evidence, and at earlier evidence, newest first."""
        raise NotImplementedError

    def __or__(self, other: Condition) -> Condition:
        return AnyOf((self, other))

    def __and__(self, other: Condition) -> Condition:
        return AllOf((self, other))

    def for_(self, windows: int) -> Condition:
        """The same condition, holding in this many windows running under the same champion."""
        return Persisting(self, windows)


@dataclass(frozen=True, slots=True)
class Drifted(Condition):
    """A column drifted, as the calibrated rule has it; or, with a share, so many columns lie far away.

    Attributes:
        share: Evidently's rule instead: at least this share of the columns reaches its threshold.
    """

    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and (not _is_number(self.share) or not 0 < self.share <= 1):
            raise PolicyError("drifted(share)", self.share, "Give a share above 0 and up to 1, for example 0.5.")

    def __str__(self) -> str:
        return "drifted()" if self.share is None else f"drifted({self.share:g})"

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        if self.share is not None:
            return self._far(evidence, self.share)
        unknown = evidence.undecided
        if not evidence.drift_known:
            return Finding(None, "drift unknown: no column could be compared")
        drifted = [f"{finding.column}: {finding.reason}" for finding in evidence.drifted]
        text = f"{len(drifted)} of {len(evidence.drift)} columns drifted"
        text += f" ({'; '.join(drifted)})" if drifted else ""
        text += f", {len(unknown)} unknown ({', '.join(unknown)})" if unknown else ""
        return Finding(bool(drifted), text)

    def _far(self, evidence: Evidence, share: float) -> Finding:
        if all(finding.score is None for finding in evidence.drift):
            return Finding(None, "drift unknown: no column could be compared")
        far = [finding.column for finding in evidence.drift if finding.far]
        text = f"{len(far)} of {len(evidence.drift)} columns are far away" + (f" ({', '.join(far)})" if far else "")
        return Finding(evidence.far_share >= share, text)


@dataclass(frozen=True, slots=True)
class Worse(Condition):
    """The champion is worse by more than a share, and not by chance: the interval lies past it."""

    share: float

    def __str__(self) -> str:
        return f"worse({self.share:.1%})"

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        if against is Against.PREVIOUS:
            return self._than_previous(evidence.against_previous, min_labels)
        if evidence.performance is None or evidence.champion is None:
            return Finding(None, "performance unknown: no champion was scored")
        return self._than_at_the_gate(evidence.performance, evidence.champion.gate_value, min_labels)

    def _than_at_the_gate(self, performance: Performance, gate_value: float, min_labels: int) -> Finding:
        labelled = performance.coverage.labelled
        if labelled < min_labels:
            return Finding(None, f"too few labels: {labelled} of {min_labels}")
        if performance.estimate is None:
            return Finding(None, f"too few labels: {labelled} allow no interval by independent blocks")
        estimate, metric = performance.estimate, performance.metric
        text = f"{metric} {estimate} against {gate_value:.4f} at the gate"
        if lower_is_better(metric):
            return Finding(estimate.low > gate_value * (1 + self.share), text)
        return Finding(estimate.high < gate_value - self.share * abs(gate_value), text)

    def _than_previous(self, comparison: Comparison | None, min_labels: int) -> Finding:
        if comparison is None:
            return Finding(None, "no previous champion to compare with")
        if comparison.difference.rows < min_labels:
            return Finding(None, f"too few labels: {comparison.difference.rows} of {min_labels}")
        text = (
            f"{comparison.metric} against version {comparison.other_version} on the same rows: "
            f"{comparison.difference} on {comparison.other_value:.4f}"
        )
        return Finding(comparison.difference.low > self.share * abs(comparison.other_value), text)


@dataclass(frozen=True, slots=True)
class Older(Condition):
    """The newest label the champion was trained on is older than this."""

    age: timedelta

    def __str__(self) -> str:
        return f"older({spell(self.age)})"

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        if evidence.champion is None:
            return Finding(None, "age unknown: no champion")
        age = evidence.as_of - evidence.champion.newest_label
        return Finding(age > self.age, f"newest label {age.days}d old, limit {spell(self.age)}")


@dataclass(frozen=True, slots=True)
class Elapsed(Condition):
    """So much time has passed since the last training. What a calendar does."""

    length: timedelta

    def __str__(self) -> str:
        return f"elapsed({spell(self.length)})"

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        if evidence.last_training is None:
            return Finding(None, "never trained")
        passed = evidence.as_of - evidence.last_training
        return Finding(passed >= self.length, f"{passed.days}d since the last training, every {spell(self.length)}")


@dataclass(frozen=True, slots=True)
class Never(Condition):
    """Never holds: the policy that leaves the first champion where it is."""

    def __str__(self) -> str:
        return "never()"

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        return Finding(False, "never")


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.conditions))

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        found = [c.examine(evidence, earlier, against=against, min_labels=min_labels) for c in self.conditions]
        holding = [finding for finding in found if finding.holds]
        if holding:
            return Finding(True, "; ".join(finding.text for finding in holding))
        unknown = any(finding.holds is None for finding in found)
        return Finding(None if unknown else False, "; ".join(finding.text for finding in found))


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """All of the conditions hold."""

    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return " & ".join(f"({c})" if isinstance(c, AnyOf) else str(c) for c in self.conditions)

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        found = [c.examine(evidence, earlier, against=against, min_labels=min_labels) for c in self.conditions]
        text = "; ".join(finding.text for finding in found)
        if any(finding.holds is False for finding in found):
            return Finding(False, text)
        return Finding(None if any(finding.holds is None for finding in found) else True, text)


@dataclass(frozen=True, slots=True)
class Persisting(Condition):
    """The condition holds in so many windows running, all under the same champion."""

    condition: Condition
    windows: int

    def __post_init__(self) -> None:
        if not isinstance(self.windows, int) or self.windows < 1:
            raise PolicyError(".for_(windows)", self.windows, "Give a whole number of windows, 1 or more.")

    def __str__(self) -> str:
        text = str(self.condition)
        return f"({text}).for_({self.windows})" if " " in text else f"{text}.for_({self.windows})"

    def examine(self, evidence: Evidence, earlier: Sequence[Evidence], *, against: Against, min_labels: int) -> Finding:
        now = self.condition.examine(evidence, earlier, against=against, min_labels=min_labels)
        if not now.holds or self.windows == 1:
            return now
        running = 1 + self._running(evidence, earlier, against, min_labels)
        return Finding(running >= self.windows, f"{now.text}, {running} of {self.windows} windows running")

    def _running(self, evidence: Evidence, earlier: Sequence[Evidence], against: Against, min_labels: int) -> int:
        running = 0
        for index, past in enumerate(earlier[: self.windows - 1]):
            if _epoch(past) != _epoch(evidence):
                break
            found = self.condition.examine(past, earlier[index + 1 :], against=against, min_labels=min_labels)
            if not found.holds:
                break
            running += 1
        return running


def _is_number(given: object) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _epoch(evidence: Evidence) -> int | None:
    return evidence.champion.epoch if evidence.champion else None


def _share(name: str, given: object) -> float:
    """A share above 0 and below 1, as a number or a percentage."""
    match = _PERCENT.fullmatch(given.strip()) if isinstance(given, str) else None
    share = float(match[1]) / 100 if match else given
    if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 < share < 1:
        raise PolicyError(name, given, 'Give a share above 0 and below 1, for example "0.1%".')
    return float(share)


def worse(than: str | float) -> Condition:
    """The champion is worse by more than this share, say `"2%"`, with the whole interval past it.

    In `retrain` it is compared with its own value at the gate, in `rollback` with the previous champion.
    """
    if isinstance(than, str):
        match = _PERCENT.fullmatch(than.strip())
        if match is None:
            raise PolicyError("worse(...)", than, 'Write a percentage, for example worse("2%").')
        return Worse(float(match[1]) / 100)
    if not _is_number(than) or not 0 <= than < 1:
        raise PolicyError("worse(...)", than, "Give a share below 1, for example 0.02 for 2 %.")
    return Worse(float(than))


def older(than: str | timedelta) -> Condition:
    """The newest label the champion was trained on is older than this, say `"60d"`."""
    return Older(span(than))


def drifted(share: float | None = None) -> Condition:
    """A column drifted from the champion's reference window, by a rule calibrated to one false week in twenty years.

    With a share, Evidently's rule for data sets: at least this share of the columns lies at its threshold or beyond.
    """
    return Drifted(share)


@dataclass(frozen=True, slots=True)
class Policy:
    """When to look, and what to do about what is seen.

    Attributes:
        every: length of a window, and so the time between two decisions.
        retrain: condition that starts a training run.
        rollback: condition that brings the previous champion back; none means never.
        cooldown: shortest time between two trainings; none means the longer of `every` and the 95 % label delay + 3 d.
        min_labels: below this many labelled rows performance counts as unknown.
        quarantine: a prediction whose row is more extreme than all but this share of the champion's reference rows is
            set aside with its reason, `"0.1%"` for example; none means that none is.
        client: column of the questions that says who asked, to find clients that probe the model; none means unknown.

    Raises:
        PolicyError: a field contradicts itself.
    """

    every: timedelta
    retrain: Condition = field(default_factory=Never)
    rollback: Condition | None = None
    cooldown: timedelta | None = None
    min_labels: int = 500
    quarantine: float | None = None
    client: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", span(self.every))
        if self.every <= timedelta(0):
            raise PolicyError("Policy.every", str(self.every), 'Give a time above zero, for example "7d".')
        if self.cooldown is not None:
            object.__setattr__(self, "cooldown", span(self.cooldown))
        if not isinstance(self.min_labels, int) or self.min_labels < 1:
            raise PolicyError("Policy.min_labels", self.min_labels, "Give a whole number of rows, 1 or more.")
        if self.quarantine is not None:
            object.__setattr__(self, "quarantine", _share("Policy.quarantine", self.quarantine))
        for name, condition in (("retrain", self.retrain), ("rollback", self.rollback)):
            if not isinstance(condition, Condition) and not (name == "rollback" and condition is None):
                raise PolicyError(
                    f"Policy.{name}", condition, 'Join worse("2%"), older("60d") and drifted() by | and &.'
                )

    def __str__(self) -> str:
        rollback = f", rollback={self.rollback}" if self.rollback else ""
        cooldown = f", cooldown={spell(self.cooldown)}" if self.cooldown else ""
        aside = f", quarantine={self.quarantine:.3%}" if self.quarantine is not None else ""
        least = f", min_labels={self.min_labels}"
        return f"every={spell(self.every)}, retrain={self.retrain}{rollback}{cooldown}{least}{aside}"

    def cooldown_after(self, label_delay_p95: timedelta | None) -> timedelta:
        """Shortest time between two trainings, given how long labels take.

        Raises:
            CooldownTooShortError: the declared cooldown ends before the effect of a training can be seen.
        """
        needed = max(self.every, (label_delay_p95 or timedelta(0)) + _AFTER_LABELS)
        if self.cooldown is None:
            return needed
        if self.cooldown < needed:
            raise CooldownTooShortError(self.cooldown, label_delay_p95 or timedelta(0), needed)
        return self.cooldown

    def decide(self, evidence: Evidence, earlier: Sequence[Evidence] = ()) -> Action:
        """Answer the evidence. `earlier` is the evidence of past windows, newest first."""
        if evidence.challenger is not None:
            return self._judge(evidence.challenger, evidence)
        stopped = [facts for facts in evidence.ingested if facts.stopped]
        if stopped:
            return Hold("; ".join(f"{facts.source} was refused: {facts.stopped}" for facts in stopped))
        if evidence.champion is None:
            return Retrain("no champion yet")
        return self._roll_back(evidence, earlier) or self._retrain(evidence, earlier)

    def _judge(self, challenger: ChallengerFacts, evidence: Evidence) -> Action:
        name = f"challenger {challenger.version} ({challenger.candidate})"
        if challenger.against_epoch != _epoch(evidence):
            return Hold(f"{name} was compared with epoch {challenger.against_epoch}, which is no longer the champion")
        if not challenger.verdicts:
            return Hold(f"{name} passed no gate: none was run")
        if challenger.refusals:
            return Hold(f"{name} refused: " + "; ".join(f"{v.gate}: {v.text}" for v in challenger.refusals))
        return Promote(challenger.version, f"{name}: " + "; ".join(f"{v.gate}: {v.text}" for v in challenger.verdicts))

    def _roll_back(self, evidence: Evidence, earlier: Sequence[Evidence]) -> Action | None:
        if self.rollback is None or evidence.against_previous is None:
            return None
        found = self.rollback.examine(evidence, earlier, against=Against.PREVIOUS, min_labels=self.min_labels)
        return Rollback(evidence.against_previous.other_version, found.text) if found.holds else None

    def _retrain(self, evidence: Evidence, earlier: Sequence[Evidence]) -> Action:
        found = self.retrain.examine(evidence, earlier, against=Against.GATE_VALUE, min_labels=self.min_labels)
        if not found.holds:
            return Hold(found.text)
        cooldown = self.cooldown_after(evidence.label_delay_p95)
        if evidence.last_training is not None and evidence.as_of - evidence.last_training < cooldown:
            return Hold(f"{found.text}; cooling down until {iso(evidence.last_training + cooldown)}")
        return Retrain(found.text)
