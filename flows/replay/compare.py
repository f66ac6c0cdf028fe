"""Replay: the same history once per policy, each with a registry and a ledger of its own; the policies side by side."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from flows.errors import UnknownPolicyError
from flows.model import Model
from flows.replay.backfill import backfill
from flows.replay.run import watching
from flows.replay.summary import Summary, summarise
from flows.replay.timeline import reading_once, ticks
from flows.retraining import train_here
from flows.settings import LakeTable, LedgerTable, Mlflow, Settings, State
from flows.wiring import Loop, build
from lifecycle.evidence import Estimate
from lifecycle.moments import span
from lifecycle.policies import Condition, Elapsed, Never, Policy, drifted, worse


@dataclass(frozen=True, slots=True)
class Row:
    """One policy's outcome."""

    policy: str
    told: str
    summary: Summary

    def facts(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {"policy": self.policy, "told": self.told, **self.summary.facts()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Policies over the same history, in the order they were asked for."""

    model: str
    rows: tuple[Row, ...]


def compare(loop: Loop, model: Model, between: tuple[datetime, datetime], names: Sequence[str]) -> Comparison:
    """Walk the loop through the same moments once per policy.

    Sources are read once; registry, ledger and lake are each policy's own, and are removed at the end.

    Raises:
        UnknownPolicyError: a name is none of never, monthly, drift, worse and model.
    """
    policies = {name: policy_named(name.strip(), model.policy) for name in names}
    read, fits = reading_once(), dict[tuple[Any, ...], Any]()
    loop.settings.folder.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="replay-", dir=loop.settings.folder))
    try:
        rows = []
        for name, policy in policies.items():
            own = _own_loop(loop.settings, root, name)
            own.read, own.policy, own.fits = read, policy, fits
            moments = ticks(*between, policy.every)
            with watching(f"{model.name} {name}", moments) as watcher:
                backfill(own, model, moments, watcher)
            rows.append(Row(name, str(policy), summarise(own, model, *between)))
            _log(loop, model, rows[-1])
        return Comparison(model.name, tuple(rows))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def policy_named(name: str, own: Policy) -> Policy:
    """A policy by name, with the rhythm of the model's own."""
    conditions: Mapping[str, Condition] = {
        "never": Never(),
        "monthly": Elapsed(span("30d")),
        "drift": drifted().for_(2),
        "worse": worse("2%"),
    }
    if name == "model":
        return own
    if name not in conditions:
        raise UnknownPolicyError(name, [*conditions, "model"])
    return replace(own, retrain=conditions[name], rollback=None)


def _own_loop(settings: Settings, root: Path, name: str) -> Loop:
    """A loop on a registry, ledger and lake of its own, beside the ones of the other policies."""
    folder = root / name
    template = root / "mlflow-empty.db"
    own = settings.model_copy(
        update={
            "state": State(folder=folder),
            "mlflow": Mlflow(),
            "ledger": LedgerTable(url=SecretStr(f"sqlite:///{folder / 'ledger.db'}")),
            "lake": LakeTable(root=str(folder / "lake")),
        }
    )
    (folder / "mlflow").mkdir(parents=True)
    if template.exists():
        shutil.copyfile(template, folder / "mlflow" / "mlflow.db")  # making an empty one takes ten seconds
    made = build(own, start_training=train_here)
    if not template.exists():
        shutil.copyfile(folder / "mlflow" / "mlflow.db", template)
    return made


def _log(loop: Loop, model: Model, row: Row) -> None:
    """One MLflow run a policy, to compare them by."""
    summary = row.summary
    with loop.tracker.run(f"{model.name} replay", f"{row.policy} {summary.window.end:%Y-%m-%d}") as run:
        run.params({"policy": row.told, "window": str(summary.window)})
        values = {f"{name}": value for name, value in summary.loop.items()}
        values |= {
            "trainings": summary.trainings,
            "promotions": summary.promotions,
            "decisions": len(summary.decisions),
        }
        run.metrics(values | _interval(summary.difference))
        for position, month in enumerate(summary.months):
            run.metrics({f"monthly_{name}": value for name, value in month.loop.items()}, step=position)


def _interval(difference: Estimate | None) -> dict[str, float]:
    if difference is None:
        return {}
    return {"gain": difference.value, "gain_low": difference.low, "gain_high": difference.high}
