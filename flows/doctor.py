"""What is wrong with this installation, said before it hurts."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from feature_store.online.catalog import every_entry
from feature_store.online.errors import OnlineStoreError
from flows.online import never_made, opened
from flows.results import Result
from flows.servers import live_server
from flows.settings import Settings, read_settings

_BELOW = {
    "pandas": ((3,), "Evidently 0.7 does not import on pandas 3"),
    "fastapi": ((0, 151), "Prefect 3.8's server does not start on newer ones"),
    "sqlalchemy": ((2, 1), "on newer ones Prefect's scheduler creates no runs, and says so only in its log"),
}


def examine() -> tuple[Result, bool]:
    """Every finding, and whether all of them are good."""
    settings = read_settings()
    findings = {
        "python": _python(),
        **{name: _pin(name) for name in _BELOW},
        "state folder": _writable(settings.folder),
        "online store": _online(settings),
    }
    for name in ("mlflow", "prefect"):
        findings[f"{name} server"] = live_server(settings, name) or "not running (incumbent up starts it)"
    healthy = not any(text.startswith("WRONG") for text in findings.values())
    return Result("doctor", "", "", findings), healthy


def _online(settings: Settings) -> str:
    if never_made(settings):
        return "none yet (incumbent features materialize makes it)"
    try:
        with opened(settings, readonly=True) as store:
            return f"{store!r}, {sum(1 for _ in every_entry(store))} views"
    except OnlineStoreError as error:
        return f"WRONG: {error}"


def _python() -> str:
    told = ".".join(map(str, sys.version_info[:3]))
    return told if sys.version_info >= (3, 11) else f"WRONG: {told}, 3.11 or newer is needed"


def _pin(name: str) -> str:
    limit, reason = _BELOW[name]
    try:
        found = version(name)
    except PackageNotFoundError:
        return "WRONG: not installed. Run: make install"
    parts = tuple(int(part) for part in found.split(".")[: len(limit)] if part.isdigit())
    return found if parts < limit else f"WRONG: {found}, below {'.'.join(map(str, limit))} is needed: {reason}"


def _writable(folder: Path) -> str:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return str(folder) if os.access(nearest, os.W_OK) else f"WRONG: {folder} cannot be written"
