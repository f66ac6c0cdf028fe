"""Predictions: what was asked, when, of which version, and what it answered."""

from __future__ import annotations

import hashlib
from datetime import datetime

from lifecycle.moments import iso

PREDICTION_COLUMNS = (
    "prediction_id",
    "model",
    "version",
    "epoch",
    "as_of",
    "served_at",
    "prediction",
    "variant",
    "origin",
)


def batch_id(model: str, version: int, start: datetime, end: datetime) -> str:
    """Identity of one batch of predictions: the same batch is written once.

    >>> from lifecycle.moments import parse_moment
    >>> batch_id("m", 1, parse_moment("2013-01-01T00:00Z"), parse_moment("2013-01-08T00:00Z"))[:12]
    'e7c50d7db87d'
    """
    text = f"{model}|{version}|{iso(start)}|{iso(end)}"
    return hashlib.sha256(text.encode()).hexdigest()
