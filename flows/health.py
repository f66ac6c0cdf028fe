"""Health: steps against their own history, scoring servers, and the age of features, as they are now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from flows.evidence import noted_evidence
from flows.features.looking import freshness
from flows.model import Model
from flows.results import Result
from flows.wiring import Loop
from lifecycle.evidence import Evidence
from lifecycle.health import FeatureAge, ServerHealth, SystemHealth
from lifecycle.moments import iso, parse_moment, span
from monitoring.durations import PastRun, step_health
from monitoring.exposition import exposition
from monitoring.server_health import Scrape, read_metrics, server_health

_PATIENCE = 5.0  # seconds that a server has to tell its metrics


def system_health(loop: Loop, model: Model, as_of: datetime) -> SystemHealth:
    """Look at everything around a model.

    Servers are looked at since the look before, whose counts are kept in the state folder.
    """
    return SystemHealth(tuple(_steps(loop, model)), tuple(_servers(loop)), tuple(_features(loop, model, as_of)))


def health(loop: Loop, model: Model, as_of: datetime) -> Result:
    """The same as tables, and the metrics for Prometheus renewed."""
    found = system_health(loop, model, as_of)
    path = export(loop, model, noted_evidence(loop, model, as_of), found)
    slow = [step.step for step in found.steps if step.slow]
    away = [server.server for server in found.servers if server.problem]
    facts: dict[str, Any] = {
        "slow": slow or "nothing",
        "away": away or "nobody",
        "steps": [{**_rounded(asdict(step)), "slow": step.slow} for step in found.steps] or "none has run yet",
        "servers": [_rounded(asdict(server)) for server in found.servers] or "none named in [monitoring] servers",
        "features": [_rounded(asdict(view)) for view in found.features] or "none is looked up",
        "metrics": str(path),
    }
    return Result("health", model.name, iso(as_of), facts)


def export(loop: Loop, model: Model, evidence: Evidence | None, found: SystemHealth) -> Path:
    """Write the text file of a model, in one piece; where it lies."""
    folder = loop.settings.textfiles
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"incumbent-{model.name}.prom"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(exposition(model.name, evidence, found))
    return fresh.replace(path)


def _steps(loop: Loop, model: Model) -> Iterator[Any]:
    runs = loop.tracker.step_runs([model.name, f"{model.name} loop"])
    for step in dict.fromkeys(run.step for run in runs):
        yield step_health(step, [PastRun(run.step, run.seconds, run.failed) for run in runs if run.step == step])


def _servers(loop: Loop) -> Iterator[ServerHealth]:
    token = loop.settings.serving.token
    for server in loop.settings.monitoring.servers:
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        try:
            with urlopen(Request(f"{server.rstrip('/')}/metrics", headers=headers), timeout=_PATIENCE) as answer:
                now = read_metrics(answer.read().decode(), time.time())
        except (URLError, HTTPException, OSError, ValueError, KeyError) as error:  # KeyError: another program's metrics
            yield ServerHealth(server, problem=f"does not tell its metrics: {error}")
            continue
        yield server_health(server, now, _look_before(loop, server, now))


def _look_before(loop: Loop, server: str, now: Scrape) -> Scrape | None:
    """The counts of the look before, and those of now in their place."""
    path = loop.settings.folder / "metrics" / "servers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    before = Scrape(**known[server]) if server in known else None
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({**known, server: asdict(now)}))
    fresh.replace(path)  # in one piece: half a file would end every later look
    return before


def _features(loop: Loop, model: Model, as_of: datetime) -> Iterator[FeatureAge]:
    for row in freshness(loop, model, as_of).facts["views"]:
        newest, limit = row.get("newest_event_time"), row.get("limit")
        age = (as_of - parse_moment(newest)).total_seconds() if newest else None
        yield FeatureAge(row["view"], age, span(limit).total_seconds() if limit else None, row["stale"])


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
