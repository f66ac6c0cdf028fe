"""The names under which a step and what it leaves behind are known."""

from __future__ import annotations

from datetime import datetime

from flows.model import Model
from lifecycle.moments import iso


def step_key(name: str, model: Model, as_of: datetime) -> str:
    """Identity of a step: asked twice, done once."""
    return f"{model.name}|{iso(as_of)}|{name}"


def artifact_key(model: str, what: str) -> str:
    """The key of a Prefect artifact, which takes small letters, digits and hyphens.

    >>> artifact_key("late_flights", "features list")
    'late-flights-features-list'
    """
    return f"{model}-{what}".lower().replace("_", "-").replace(" ", "-")
