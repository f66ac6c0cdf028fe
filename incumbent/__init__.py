"""Keep the best model in production: the names a model file needs, and nothing loaded before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from incumbent.rooms import check_rooms

_HOME = {
    "ALL": "feature_store.definitions.source",
    "INGESTED": "feature_store.definitions.source",
    "Gate": "lifecycle.gates",
    "Label": "feature_store.offline.labels",
    "Model": "incumbent.model",
    "Policy": "lifecycle.policies",
    "Source": "feature_store.definitions.source",
    "after": "feature_store.definitions.source",
    "ahead": "feature_store.offline.labels",
    "before": "feature_store.definitions.source",
    "col": "polars",
    "csv": "feature_store.intake.readers",
    "delta": "feature_store.intake.readers",
    "derived": "feature_store.definitions.feature_view",
    "difference": "feature_store.definitions.feature_view",
    "drifted": "lifecycle.policies",
    "each": "feature_store.definitions.spine",
    "every": "feature_store.definitions.spine",
    "latest": "feature_store.definitions.feature_view",
    "load_model": "incumbent.model",
    "not_null": "feature_store.definitions.expectations",
    "older": "lifecycle.policies",
    "one_of": "feature_store.definitions.expectations",
    "parquet": "feature_store.intake.readers",
    "predict": "flows.embedded",
    "ratio": "feature_store.definitions.feature_view",
    "recency": "feature_store.definitions.feature_view",
    "replay": "flows.running",
    "request": "feature_store.definitions.feature_view",
    "seen": "feature_store.definitions.spine",
    "sql": "feature_store.intake.readers",
    "tune": "modeling.fit_function",
    "window": "feature_store.definitions.feature_view",
    "within": "feature_store.definitions.expectations",
    "worse": "lifecycle.policies",
}

__all__ = [
    "ALL",
    "INGESTED",
    "Gate",
    "Label",
    "Model",
    "Policy",
    "Source",
    "after",
    "ahead",
    "before",
    "col",
    "csv",
    "delta",
    "derived",
    "difference",
    "drifted",
    "each",
    "every",
    "latest",
    "load_model",
    "not_null",
    "older",
    "one_of",
    "parquet",
    "predict",
    "ratio",
    "recency",
    "replay",
    "request",
    "seen",
    "sql",
    "tune",
    "window",
    "within",
    "worse",
]

check_rooms()

if TYPE_CHECKING:
    from polars import col

    from feature_store.definitions.expectations import not_null, one_of, within
    from feature_store.definitions.feature_view import derived, difference, latest, ratio, recency, request, window
    from feature_store.definitions.source import ALL, INGESTED, Source, after, before
    from feature_store.definitions.spine import each, every, seen
    from feature_store.intake.readers import csv, delta, parquet, sql
    from feature_store.offline.labels import Label, ahead
    from flows.embedded import predict
    from flows.running import replay
    from incumbent.model import Model, load_model
    from lifecycle.gates import Gate
    from lifecycle.policies import Policy, drifted, older, worse
    from modeling.fit_function import tune


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"incumbent has no {name!r}; it has {__all__}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
