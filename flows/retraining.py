"""How a decision to retrain is carried out: here and now, or by an event that an automation answers."""

from __future__ import annotations

from datetime import datetime

from prefect.events import emit_event
from prefect.runtime import flow_run

from flows.model import Model
from flows.train import train
from lifecycle.moments import iso

RETRAIN_EVENT = "incumbent.retrain"
"""Emitted where a decision to retrain is carried out by an automation; the deployed train flow answers it."""


def train_here(model: Model, as_of: datetime) -> None:
    """Carry out a `Retrain` by running the train flow inside this one."""
    train(model.reference, iso(as_of))


def ask_for_training(model: Model, as_of: datetime) -> None:
    """Carry out a `Retrain` by an event; the automation that `deploy` made starts the train deployment on it."""
    emit_event(
        event=RETRAIN_EVENT,
        resource={"prefect.resource.id": f"incumbent.model.{model.name}", "prefect.resource.name": model.name},
        payload={"model": model.reference, "as_of": iso(as_of), "flow_run_id": str(flow_run.id or "")},
    )
