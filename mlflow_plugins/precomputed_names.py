"""What the tables of precomputed answers are called in the online store."""

from __future__ import annotations

SCORES, TOP, GRID = "scores", "top", "grid"


def table_name(model: str, kind: str) -> str:
    """Name of one of a model's tables."""
    return f"{kind} of {model}"
