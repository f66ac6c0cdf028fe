"""The metrics of a scoring server, read as Prometheus reads them, between two looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

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
    """

    at: float
    counts: Mapping[str, int]
    buckets: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0


def read_metrics(text: str, at: float) -> Scrape:
    """Read a server's page of metrics.

    Raises:
        ValueError: it is no such page.
    """
    counts = dict.fromkeys(("answers", "errors", "fallbacks", "refused"), 0)
    buckets: dict[str, int] = {}
    in_flight = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            value = int(sample.value)
            if sample.name == "incumbent_answers_total":
                counts["answers"] += value
                counts["errors"] += value * (int(sample.labels["status"]) >= _SERVER_ERROR)
                counts["fallbacks"] += value * (sample.labels["path"] == "mlflow")
            elif sample.name == "incumbent_refused_total":
                counts["refused"] += value
            elif sample.name == "incumbent_answer_seconds_bucket":
                limit = sample.labels["le"]
                buckets[limit] = buckets.get(limit, 0) + value
            elif sample.name == "incumbent_in_flight":
                in_flight = value
    return Scrape(at, counts, buckets, in_flight)


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
    )


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
