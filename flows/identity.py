"""What code ran: the commit where there is one, and a digest of the model file and our rooms."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

_ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows")


@lru_cache
def code_version(model_file: Path | None) -> str:
    """`incumbent VERSION rooms:DIGEST model:DIGEST`: equal exactly when the code is."""
    root = Path(__file__).resolve().parent.parent
    ours = [path for room in _ROOMS for path in sorted((root / room).rglob("*.py"))]
    beside = sorted(model_file.parent.glob("*.py")) if model_file else []
    return f"incumbent {version('incumbent')} rooms:{_digest(ours, root)} model:{_digest(beside, model_file)}"


def _digest(paths: list[Path], root: Path | None) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12] if root else "none"


@lru_cache
def environment() -> dict[str, str]:
    """The packages that a prediction depends on, with their versions."""
    names = ("scikit-learn", "skops", "numpy", "pandas", "polars", "mlflow", "scipy")
    return {name: version(name) for name in names}
