"""Alerts: what several detectors saw of one cause, told once to the owner.

A cause has a *place*: a column of a source (`flights.distance`), a source, or a part of the system (`step train`). All
that is seen there is the same cause, whichever detector saw it. What is seen at the model (its predictions, its
performance) is taken as a consequence where a cause in the data is known, and as a cause of its own where none is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from lifecycle.evidence import MODEL_COLUMNS, Evidence, Performance
from lifecycle.metrics import lower_is_better
from lifecycle.moments import iso

VALIDATION, FRESHNESS, SKEW, DRIFT = "validation", "freshness", "skew", "drift"
PERFORMANCE, HEALTH = "performance", "health"
MODEL_PLACES = MODEL_COLUMNS | {"performance"}
"""Where consequences are seen."""
FLOW, SERVER, STEP = "flow ", "server ", "step "
"""How the places of parts of the system begin; no source has a name with a space."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """What one detector saw at one place.

    Attributes:
        place: `source.column`, `source`, `prediction`, `performance`, or a part of the system.
    """

    detector: str
    place: str
    told: str

    @property
    def origin(self) -> str:
        """The source, or the part of the system, that the place belongs to."""
        return self.place.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Alert:
    """One cause, with everything that was seen of it.

    Attributes:
        places: where it lies, in order of first mention.
    """

    model: str
    owner: str
    as_of: datetime
    places: tuple[str, ...]
    symptoms: tuple[Symptom, ...]

    @property
    def alert_id(self) -> str:
        """The same cause at the same moment is the same alert, however often it is raised."""
        text = f"{self.model}|{iso(self.as_of)}|{'|'.join(self.places)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        """The cause in a line."""
        detectors = dict.fromkeys(one.detector for one in self.symptoms)
        return f"{self.model}: {', '.join(self.places)} ({', '.join(detectors)})"

    @property
    def lines(self) -> tuple[str, ...]:
        """What was seen, a line each."""
        return tuple(f"{one.detector}, {one.place}: {one.told}" for one in self.symptoms)


def symptoms_of(evidence: Evidence, made_of: Mapping[str, Sequence[str]]) -> tuple[Symptom, ...]:
    """What the evidence of a window shows, in the order a reader should look: data first, consequences last.

    Args:
        made_of: the places each feature is computed from.
    """
    of_features = (*_of_skew(evidence, made_of), *_of_drift(evidence, made_of))
    return (*_of_batches(evidence), *of_features, *_of_performance(evidence))


def _of_batches(evidence: Evidence) -> Iterable[Symptom]:
    for facts in evidence.ingested:
        if facts.stopped:
            yield Symptom(VALIDATION, facts.source, f"refused: {facts.stopped}")
        for one in facts.anomalies:
            place = f"{facts.source}.{one.column}" if one.column else facts.source
            yield Symptom(VALIDATION, place, one.told)
        if facts.stale:
            newest = iso(facts.newest_event) if facts.newest_event else "never"
            yield Symptom(FRESHNESS, facts.source, f"stale, its newest row is of {newest}")


def _of_skew(evidence: Evidence, made_of: Mapping[str, Sequence[str]]) -> Iterable[Symptom]:
    for one in evidence.skew:
        if one.differing:
            told = f"{one.feature} was served otherwise than it is computed"
            told += f" in {one.differing:,} of {one.checked:,} answers"
            for place in made_of.get(one.feature, (one.feature,)):
                yield Symptom(SKEW, place, told)


def _of_drift(evidence: Evidence, made_of: Mapping[str, Sequence[str]]) -> Iterable[Symptom]:
    for one in evidence.drifted:
        told = f"{one.named} drifted, {one.method} {'unknown' if one.score is None else f'{one.score:.3g}'}"
        told += f": {one.reason or one.note}" if one.reason or one.note else ""
        for place in made_of.get(one.column, (one.column,)):
            yield Symptom(DRIFT, place, told)


def _of_performance(evidence: Evidence) -> Iterable[Symptom]:
    seen, champion = evidence.performance, evidence.champion
    if seen is not None and champion is not None and is_worse(seen, champion.gate_value):
        told = f"{seen.metric} {seen.estimate}, {champion.gate_value:.4f} at the gate"
        yield Symptom(PERFORMANCE, "performance", told)


def is_worse(performance: Performance, gate_value: float) -> bool:
    """Whether the whole interval lies on the wrong side of the value at the gate."""
    if performance.estimate is None:
        return False
    if lower_is_better(performance.metric):
        return performance.estimate.low > gate_value
    return performance.estimate.high < gate_value


def alerts_of(evidence: Evidence, owner: str, symptoms: Sequence[Symptom], known: Set[str]) -> tuple[Alert, ...]:
    """One alert for each cause that is new; none for one that goes on.

    Args:
        known: the places at which something was seen already, in the windows just before.
    """
    causes = [one for one in symptoms if one.place not in MODEL_PLACES]
    consequences = [one for one in symptoms if one.place in MODEL_PLACES]
    if not causes and any(_may_explain_the_model(place) for place in known):
        return ()  # what is seen at the model follows from a cause that was told before
    groups = [[one for one in causes if one.origin == origin] for origin in dict.fromkeys(one.origin for one in causes)]
    found = []
    for seen, more in [(group, consequences) for group in groups] or [(consequences, [])]:
        new = [one for one in seen if one.place not in known]
        places = tuple(dict.fromkeys(one.place for one in new))
        if new:
            found.append(Alert(evidence.model, owner, evidence.as_of, places, (*new, *more)))
    return tuple(found)


def _may_explain_the_model(place: str) -> bool:
    """Whether it lies in the data: a slow step or a flow that failed makes no answer worse."""
    return place not in MODEL_PLACES and not place.startswith((FLOW, SERVER, STEP))
