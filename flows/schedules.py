"""Deployments with schedules, and the automation that starts a training when the policy asks for one."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.automations import Automation
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Interval

from flows.model import Model
from flows.results import Result
from flows.retraining import RETRAIN_EVENT
from flows.settings import Settings
from flows.wiring import Loop
from lifecycle.moments import iso, spell

_ROOT = Path(__file__).resolve().parent.parent
_ENTRYPOINTS = {"train": "flows/train.py:train", "monitor": "flows/monitor.py:watch", "score": "flows/score.py:score"}
_CALENDAR = timedelta(days=30)


def deploy(loop: Loop, model: Model, anchor: datetime) -> Result:
    """Register train, monitor and score, and the automation. Doing it again replaces them.

    The monitor deployment takes in new data, looks at the window and decides, every `policy.every` from `anchor` on;
    score does its part alone. Train starts by the automation; its own calendar is there, switched off.
    """
    _ensure_pool(loop.settings.prefect.work_pool)
    every = model.policy.every
    ids = {
        "train": _register(loop.settings, model, "train", _schedule(_CALENDAR, anchor, active=False)),
        "monitor": _register(loop.settings, model, "monitor", _schedule(every, anchor, active=True)),
        "score": _register(loop.settings, model, "score", _schedule(every, anchor, active=True)),
    }
    automation = _automate(model, ids["train"])
    pages = {f"{name} deployment": f"{loop.settings.prefect_url}/deployments/deployment/{ids[name]}" for name in ids}
    facts = {
        "monitor": f"every {spell(every)} from {iso(anchor)}",
        "score": f"every {spell(every)} from {iso(anchor)}",
        "train": f"when {RETRAIN_EVENT!r} is emitted; by calendar every {spell(_CALENDAR)} once you switch that on",
        "automation": automation,
        "next": "incumbent up",
    }
    return Result("deploy", model.name, iso(anchor), facts, pages, ids)


def deployment_name(model: Model, verb: str) -> str:
    """Name of a verb's deployment."""
    return f"{model.name} {verb}"


def _schedule(every: timedelta, anchor: datetime, *, active: bool) -> dict[str, Any]:
    return {"schedule": Interval(every, anchor_date=anchor, timezone="UTC"), "active": active}


def _register(settings: Settings, model: Model, verb: str, schedule: dict[str, Any]) -> str:
    flow: Any = Flow.from_source(source=str(_ROOT), entrypoint=_ENTRYPOINTS[verb])
    interval = schedule["schedule"]
    made = flow.deploy(
        name=deployment_name(model, verb),
        work_pool_name=settings.prefect.work_pool,
        schedules=[
            Interval(interval.interval, anchor_date=interval.anchor_date, timezone="UTC", active=schedule["active"])
        ],
        parameters={"model": model.reference},
        description=f"{verb.title()} {model.name}: {model.purpose}. Owner {model.owner}.",
        tags=["incumbent", model.name],
        job_variables={"env": worker_environment(settings), "working_dir": str(settings.folder.parent)},
        print_next_steps=False,
        ignore_warnings=True,
    )
    return str(made)


def worker_environment(settings: Settings) -> dict[str, str]:
    """What a worker's process must know to build the same loop; secrets are left to the worker's own environment."""
    known = {
        "INCUMBENT_STATE__FOLDER": str(settings.folder),
        "INCUMBENT_SERVERS__HOST": settings.servers.host,
        "INCUMBENT_SERVERS__MLFLOW_PORT": str(settings.servers.mlflow_port),
        "INCUMBENT_SERVERS__PREFECT_PORT": str(settings.servers.prefect_port),
        "INCUMBENT_MLFLOW__TRACKING_URI": settings.mlflow.tracking_uri,
        "INCUMBENT_LAKE__ROOT": settings.lake.root,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    return {name: value for name, value in known.items() if value is not None}


def _ensure_pool(name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            try:
                client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            except ObjectAlreadyExists:
                return  # somebody else deployed at the same moment


def _automate(model: Model, train_id: str) -> str:
    """Start the train deployment whenever the policy asks for it; replaces an automation of the same name."""
    name = f"{model.name}: retrain when the policy says so"
    automation = Automation(
        name=name,
        description=f"A decision to retrain {model.name} (drift, worse, age) emits {RETRAIN_EVENT}; this starts its training.",
        trigger=EventTrigger(
            expect={RETRAIN_EVENT},
            match={"prefect.resource.id": f"incumbent.model.{model.name}"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=train_id,
                parameters={"model": model.reference, "as_of": "{{ event.payload.as_of }}"},
            )
        ],
    )
    with get_client(sync_client=True) as client:
        for known in client.read_automations_by_name(name):
            client.delete_automation(known.id)
    automation.create()
    return name
