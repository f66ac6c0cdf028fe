"""What a worker counts, as Prometheus reads it.

On the way of a request these are plain additions. Where several workers share a port, each writes its counts to a file
of its own every second, and whichever worker is asked adds the files up: counters only grow, whoever answers.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Labels = tuple[str, ...]

COUNTERS: dict[str, tuple[str, str, Labels]] = {
    "answers": ("incumbent_answers", "Answers to scoring requests", ("model", "version", "path", "status")),
    "rows": ("incumbent_rows", "Rows answered on the fast path", ("model",)),
    "refused": ("incumbent_refused", "Requests turned away", ("reason",)),
    "not_finite": ("incumbent_not_finite", "Answers that hold NaN or an infinity", ("model", "version")),
    "swaps": ("incumbent_swaps", "Versions that were to be taken up", ("model", "outcome")),
    "shadow": ("incumbent_shadow", "Answered requests for the challenger", ("model", "version", "outcome")),
    "lookups": ("incumbent_lookups", "Questions that brought only their key", ("model", "outcome")),
    "unassigned": ("incumbent_unassigned", "Requests of an experiment that name no unit", ("model",)),
}
"""Each counter of `Counts`: its name without `_total`, what it counts, its labels."""


@dataclass(slots=True)
class Latency:
    """Seconds from the whole request to the answer, by bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one answer."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Load(NamedTuple):
    """What a process has used: seconds of one core since its start, and bytes of memory at this moment."""

    cpu_seconds: float
    resident_bytes: int

    @classmethod
    def own(cls) -> Load:
        """Of this process, read from the system."""
        process = psutil.Process()
        used = process.cpu_times()
        return cls(used.user + used.system, process.memory_info().rss)


class Counts:
    """Counters of one worker.

    Attributes:
        answers: by model, version, path (`fast` or `mlflow`) and status.
        rows: answered on the fast path, by model.
        refused: requests that were turned away, by reason.
        not_finite: answers that hold NaN or an infinity, by model and version.
        swaps: versions that were to be taken up, by model and outcome (`published`, `refused`, `failed`).
        shadow: answered requests for the challenger, by model, version and outcome (`scored`, `failed`, `dropped`).
        lookups: questions that brought only their key and were answered, by model and outcome (`found`, `missing`,
            `stale`, and where the store did not answer `unreachable`, `past` or `late`).
        unassigned: requests of an experiment that name no unit, by model.
        latency: by model and path.
        loads: what each worker has used, by its slot.
    """

    def __init__(self) -> None:
        self.answers: Counter[Labels] = Counter()
        self.rows: Counter[Labels] = Counter()
        self.refused: Counter[Labels] = Counter()
        self.not_finite: Counter[Labels] = Counter()
        self.swaps: Counter[Labels] = Counter()
        self.shadow: Counter[Labels] = Counter()
        self.lookups: Counter[Labels] = Counter()
        self.unassigned: Counter[Labels] = Counter()
        self.latency: dict[Labels, Latency] = {}
        self.loads: dict[str, Load] = {}

    def answered(self, labels: Labels, rows: int, seconds: float, answer: bytes) -> None:
        """Count an answer with labels (model, version, path, status)."""
        if labels[3] == "200" and (b"NaN" in answer or b"Infinity" in answer):
            self.not_finite[labels[:2]] += 1
        self.answers[labels] += 1
        self.rows[labels[:1]] += rows
        key = (labels[0], labels[2])
        if key not in self.latency:
            self.latency[key] = Latency()
        self.latency[key].observe(seconds)

    def dump(self) -> bytes:
        """All counts as JSON."""
        return json.dumps({
            **{name: list(getattr(self, name).items()) for name in COUNTERS},
            "latency": [(key, found.counts, found.total) for key, found in self.latency.items()],
            "loads": self.loads,
        }).encode()  # fmt: skip

    @classmethod
    def load(cls, text: bytes) -> Counts:
        """What `dump` wrote."""
        found, counts = json.loads(text), cls()
        for name in COUNTERS:
            getattr(counts, name).update({tuple(labels): value for labels, value in found[name]})
        counts.latency = {tuple(key): Latency(buckets, total) for key, buckets, total in found["latency"]}
        counts.loads = {slot: Load(*load) for slot, load in found["loads"].items()}
        return counts

    def add(self, other: Counts) -> None:
        """Add another worker's."""
        for name in COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for key, theirs in other.latency.items():
            ours = self.latency.setdefault(key, Latency())
            ours.counts = [a + b for a, b in zip(ours.counts, theirs.counts, strict=True)]
            ours.total += theirs.total
        self.loads |= other.loads


class Board:
    """Where the counts of all workers come together.

    Args:
        folder: shared by the workers; none where there is only one.
        slot: this worker's number. One that takes the place of a dead worker goes on from its counts.
    """

    def __init__(self, counts: Counts, folder: Path | None = None, slot: int = 0) -> None:
        self._counts = counts
        self._folder = folder
        self._slot = str(slot)
        self._path = folder / f"worker-{slot}.json" if folder else None
        if self._path is not None and self._path.exists():
            counts.add(Counts.load(self._path.read_bytes()))

    def publish(self) -> None:
        """Let the other workers see the counts."""
        if self._path is None:
            return
        self._counts.loads[self._slot] = Load.own()
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(self._counts.dump())
        fresh.replace(self._path)

    def total(self) -> Counts:
        """The counts of all workers."""
        if self._folder is None:
            self._counts.loads[self._slot] = Load.own()
            return self._counts
        together = Counts()
        for path in sorted(self._folder.glob("worker-*.json")):
            together.add(Counts.load(path.read_bytes()))
        return together


class Gauge(NamedTuple):
    """Something as it stands at this moment."""

    name: str
    told: str
    labels: Labels
    values: Sequence[tuple[Labels, float]]


def render(counts: Counts, gauges: Iterable[Gauge]) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected((*_families(counts), *_gauges(gauges))))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)
class _Collected:
    families: tuple[Metric, ...]

    def collect(self) -> Iterator[Metric]:
        return iter(self.families)


def _families(counts: Counts) -> Iterator[Metric]:
    for attribute, (name, told, labels) in COUNTERS.items():
        family = CounterMetricFamily(name, told, labels=labels)
        for key, value in sorted(getattr(counts, attribute).items()):
            family.add_metric(key, value)
        yield family
    yield _latency(counts)
    yield from _loads(counts)


def _latency(counts: Counts) -> Metric:
    family = HistogramMetricFamily(
        "incumbent_answer_seconds", "From the whole request to the answer", labels=("model", "path")
    )
    for key, found in sorted(counts.latency.items()):
        buckets, running = [], 0
        for limit, count in zip([*map(str, BUCKETS), "+Inf"], found.counts, strict=True):
            running += count
            buckets.append((limit, running))
        family.add_metric(key, buckets, found.total)
    return family


def _loads(counts: Counts) -> Iterator[Metric]:
    used = CounterMetricFamily(
        "incumbent_cpu_seconds", "Seconds of one core that a worker has used", labels=("worker",)
    )
    held = GaugeMetricFamily("incumbent_resident_bytes", "Memory that a worker holds", labels=("worker",))
    for slot, load in sorted(counts.loads.items()):
        used.add_metric((slot,), load.cpu_seconds)
        held.add_metric((slot,), load.resident_bytes)
    yield used
    yield held


def _gauges(gauges: Iterable[Gauge]) -> Iterator[Metric]:
    for name, told, labels, values in gauges:
        family = GaugeMetricFamily(name, told, labels=labels)
        for key, value in values:
            family.add_metric(key, value)
        yield family
