"""Keep the best model in production: the names a model file needs, and nothing loaded before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from incumbent.rooms import check_rooms

_HOME = {
    "ALL": "feature_store.source",
    "INGESTED": "feature_store.source",
    "Gate": "lifecycle.gates",
    "Label": "feature_store.labels",
    "Model": "flows.model",
    "Policy": "lifecycle.policies",
    "Source": "feature_store.source",
    "after": "feature_store.source",
    "ahead": "feature_store.labels",
    "before": "feature_store.source",
    "col": "polars",
    "csv": "feature_store.readers",
    "delta": "feature_store.readers",
    "derived": "feature_store.feature_view",
    "difference": "feature_store.feature_view",
    "drifted": "lifecycle.policies",
    "each": "feature_store.spine",
    "every": "feature_store.spine",
    "latest": "feature_store.feature_view",
    "load_model": "flows.model",
    "not_null": "feature_store.expectations",
    "older": "lifecycle.policies",
    "one_of": "feature_store.expectations",
    "parquet": "feature_store.readers",
    "predict": "flows.embedded",
    "ratio": "feature_store.feature_view",
    "recency": "feature_store.feature_view",
    "replay": "flows.running",
    "request": "feature_store.feature_view",
    "seen": "feature_store.spine",
    "sql": "feature_store.readers",
    "tune": "modeling.fit_function",
    "window": "feature_store.feature_view",
    "within": "feature_store.expectations",
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

    from feature_store.expectations import not_null, one_of, within
    from feature_store.feature_view import derived, difference, latest, ratio, recency, request, window
    from feature_store.labels import Label, ahead
    from feature_store.readers import csv, delta, parquet, sql
    from feature_store.source import ALL, INGESTED, Source, after, before
    from feature_store.spine import each, every, seen
    from flows.embedded import predict
    from flows.model import Model, load_model
    from flows.running import replay
    from lifecycle.gates import Gate
    from lifecycle.policies import Policy, drifted, older, worse
    from modeling.fit_function import tune


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"incumbent has no {name!r}; it has {__all__}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
