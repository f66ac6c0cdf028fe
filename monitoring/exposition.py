"""What the loop knows of a model, as Prometheus reads it: gauges in a text file that a collector picks up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from lifecycle.evidence import Evidence
from lifecycle.health import SystemHealth

Value = tuple[str, dict[str, str], float | None]

TOLD = {
    "incumbent_step_seconds": "Duration of the newest finished run of a step",
    "incumbent_step_usual_seconds": "Median duration of the runs before it",
    "incumbent_step_slow": "1 when the newest run was slow against its own history",
    "incumbent_step_failures": "Failed runs among the newest 50",
    "incumbent_server_up": "1 when the scoring server answered",
    "incumbent_server_answers_per_second": "Answers a second since the look before",
    "incumbent_server_error_share": "Share of answers with a status of 500 or more",
    "incumbent_server_fallback_share": "Share of answers by MLflow's own code",
    "incumbent_server_latency_seconds": "Quantiles of latency since the look before",
    "incumbent_server_cores": "Processors that the workers kept busy since the look before",
    "incumbent_server_resident_bytes": "Memory of the workers",
    "incumbent_feature_age_seconds": "Age of the newest row behind a feature view",
    "incumbent_feature_stale": "1 when a feature view is older than it may be",
    "incumbent_source_rows": "New rows of the newest batch",
    "incumbent_source_quarantined": "Quarantined rows of the newest batch",
    "incumbent_source_anomalies": "Anomalies of the newest batch",
    "incumbent_drift_score": "Distance of a column from the reference window",
    "incumbent_drift_share": "Share of the columns that drifted",
    "incumbent_performance": "Realised performance, with its interval",
    "incumbent_gate_value": "The champion's value at its gate",
    "incumbent_label_coverage": "Share of the labels that have arrived",
    "incumbent_champion_version": "Version of the champion",
    "incumbent_as_of_seconds": "The moment of the newest evidence, in seconds since 1970",
}
"""Every metric of the text file, with its meaning."""


class _Gauges:
    def __init__(self, model: str, values: Iterator[Value]) -> None:
        self.model, self.values = model, [value for value in values if value[2] is not None]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, told in TOLD.items():
            mine = [(labels, value) for found, labels, value in self.values if found == name]
            if not mine:
                continue
            names = ("model", *mine[0][0])
            family = GaugeMetricFamily(name, told, labels=names)
            for labels, value in mine:
                family.add_metric((self.model, *labels.values()), float(value or 0.0))
            yield family


def exposition(model: str, evidence: Evidence | None, health: SystemHealth) -> bytes:
    """The text file of a model."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges(model, _values(evidence, health)))
    return generate_latest(registry)


def _values(evidence: Evidence | None, health: SystemHealth) -> Iterator[Value]:
    yield from _of_steps(health)
    yield from _of_servers(health)
    for view in health.features:
        yield "incumbent_feature_age_seconds", {"view": view.view}, view.age
        yield "incumbent_feature_stale", {"view": view.view}, float(view.stale)
    if evidence is not None:
        yield from _of_evidence(evidence)


def _of_steps(health: SystemHealth) -> Iterator[Value]:
    for step in health.steps:
        labels = {"step": step.step}
        yield "incumbent_step_seconds", labels, step.seconds
        yield "incumbent_step_usual_seconds", labels, step.usual
        yield "incumbent_step_slow", labels, float(step.slow)
        yield "incumbent_step_failures", labels, float(step.failures)


def _of_servers(health: SystemHealth) -> Iterator[Value]:
    for server in health.servers:
        labels = {"server": server.server}
        yield "incumbent_server_up", labels, float(not server.problem)
        yield "incumbent_server_answers_per_second", labels, server.per_second
        yield "incumbent_server_cores", labels, server.cores
        yield "incumbent_server_resident_bytes", labels, server.resident_bytes
        if server.answers:
            yield "incumbent_server_error_share", labels, server.errors / server.answers
            yield "incumbent_server_fallback_share", labels, server.fallbacks / server.answers
        for share, value in (("0.5", server.p50), ("0.95", server.p95), ("0.99", server.p99)):
            yield "incumbent_server_latency_seconds", {**labels, "quantile": share}, value


def _of_evidence(evidence: Evidence) -> Iterator[Value]:
    yield "incumbent_as_of_seconds", {}, evidence.as_of.timestamp()
    for facts in evidence.ingested:
        labels = {"source": facts.source}
        yield "incumbent_source_rows", labels, float(facts.rows)
        yield "incumbent_source_quarantined", labels, float(facts.quarantined)
        yield "incumbent_source_anomalies", labels, float(len(facts.anomalies))
    for finding in evidence.drift:
        yield "incumbent_drift_score", {"column": finding.column}, finding.score
    yield "incumbent_drift_share", {}, evidence.drift_share if evidence.drift_known else None
    if evidence.champion is not None:
        yield "incumbent_champion_version", {}, float(evidence.champion.version)
        yield "incumbent_gate_value", {}, evidence.champion.gate_value
    yield from _of_performance(evidence)


def _of_performance(evidence: Evidence) -> Iterator[Value]:
    seen = evidence.performance
    if seen is None:
        return
    yield "incumbent_label_coverage", {}, seen.coverage.share
    if seen.estimate is not None:
        bounds: Sequence[tuple[str, float]] = (
            ("value", seen.estimate.value),
            ("low", seen.estimate.low),
            ("high", seen.estimate.high),
        )
        for bound, value in bounds:
            yield "incumbent_performance", {"metric": seen.metric, "bound": bound}, value
