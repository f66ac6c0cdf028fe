"""The metrics of a scoring server, read as Prometheus reads them, between two looks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from lifecycle.health import ServerHealth

_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a server had counted at a moment.

    Attributes:
        at: seconds on the wall clock.
        counts: `answers`, `errors`, `fallbacks` and `refused` since its start.
        buckets: answers by upper limit of latency in seconds, cumulative; the last limit is infinite.
        in_flight: requests read and not answered.
        cpu_seconds: seconds of one core that each worker has used since its start.
        resident_bytes: memory of all workers; none where the server does not tell.
    """

    at: float
    counts: Mapping[str, int]
    buckets: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    resident_bytes: int | None = None


def read_metrics(text: str, at: float) -> Scrape:
    """Read a server's page of metrics.

    Raises:
        ValueError: it is no such page.
    """
    told: dict[str, list[Sample]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told[sample.name].append(sample)
    answers, held = told["incumbent_answers_total"], told["incumbent_resident_bytes"]
    counts = {
        "answers": _sum(answers),
        "errors": _sum(one for one in answers if int(one.labels["status"]) >= _SERVER_ERROR),
        "fallbacks": _sum(one for one in answers if one.labels["path"] == "mlflow"),
        "refused": _sum(told["incumbent_refused_total"]),
    }
    buckets: dict[str, int] = {}
    for sample in told["incumbent_answer_seconds_bucket"]:
        buckets[sample.labels["le"]] = buckets.get(sample.labels["le"], 0) + int(sample.value)
    used = {sample.labels["worker"]: sample.value for sample in told["incumbent_cpu_seconds_total"]}
    return Scrape(at, counts, buckets, _sum(told["incumbent_in_flight"]), used, _sum(held) if held else None)


def _sum(samples: Iterable[Sample]) -> int:
    return int(sum(sample.value for sample in samples))


def server_health(server: str, now: Scrape, before: Scrape | None) -> ServerHealth:
    """What happened between two looks; since its start where it was not looked at, or started again."""
    restarted = before is not None and any(now.counts[name] < before.counts[name] for name in now.counts)
    since = None if restarted else before
    counts = {name: count - (since.counts[name] if since else 0) for name, count in now.counts.items()}
    buckets = {limit: count - (since.buckets.get(limit, 0) if since else 0) for limit, count in now.buckets.items()}
    passed = now.at - since.at if since else 0.0
    return ServerHealth(
        server,
        answers=counts["answers"],
        errors=counts["errors"],
        fallbacks=counts["fallbacks"],
        refused=counts["refused"],
        in_flight=now.in_flight,
        per_second=counts["answers"] / passed if passed > 0 else None,
        p50=quantile(buckets, 0.50),
        p95=quantile(buckets, 0.95),
        p99=quantile(buckets, 0.99),
        cores=_cores(now, since),
        resident_bytes=now.resident_bytes,
    )


def _cores(now: Scrape, since: Scrape | None) -> float | None:
    """Processors kept busy since a look; a worker that started again is counted since then."""
    if since is None or not since.cpu_seconds or now.at <= since.at:
        return None
    before = {worker: since.cpu_seconds.get(worker, 0.0) for worker in now.cpu_seconds}
    used = sum(
        now.cpu_seconds[worker] - (was if was <= now.cpu_seconds[worker] else 0.0) for worker, was in before.items()
    )
    return used / (now.at - since.at)


def quantile(buckets: Mapping[str, int], share: float) -> float | None:
    """A quantile by straight lines within buckets; the lower limit of the last one; none without answers.

    >>> quantile({"0.1": 50, "0.2": 100, "+Inf": 100}, 0.75)
    0.15
    """
    ordered = sorted((float(limit.replace("+Inf", "inf")), count) for limit, count in buckets.items())
    total = ordered[-1][1] if ordered else 0
    if not total:
        return None
    lower, below = 0.0, 0
    for limit, count in ordered:
        if count >= share * total and count > below:
            inside = (share * total - below) / (count - below)
            return lower if limit == float("inf") else round(lower + (limit - lower) * inside, 9)
        lower, below = limit, count
    return lower
