"""Deployments with schedules, and the automations on events of ours."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime, timedelta
from typing import Any

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.automations import automate, retrains, tells
from flows.errors import UnknownDeploymentError
from flows.events import ALERT_EVENT, RETRAIN_EVENT
from flows.features.held import looked_up
from flows.features.materialize import refresh
from flows.model import Model
from flows.requests import compact_requests
from flows.results import Result
from flows.score import score
from flows.settings import Settings
from flows.train import train
from flows.watch import watch
from flows.wiring import Loop
from lifecycle.moments import iso, spell

_FLOWS: dict[str, Flow[..., Any]] = {
    "train": train, "monitor": watch, "score": score, "requests": compact_requests, "materialize": refresh,
}  # fmt: skip
_TOLD = {
    "train": "Fit the candidates, gate the best against the champion, register it and decide on it.",
    "monitor": "One window of the loop: take in what is new, score it, look at it, and decide.",
    "requests": "Bring what the scoring servers logged into the lake. The monitor run does this as well.",
    "score": "Answer the questions of the window with the champion. The monitor run does this as well.",
    "materialize": "Take in what is new, and bring the features that are read online up to it.",
}
_CALENDAR = timedelta(days=30)
_REFRESH = timedelta(hours=1)  # where `[online] every` says nothing
_COMPACTION = timedelta(hours=1)
_PATIENCE = 600.0  # seconds that `trigger` waits for a worker to finish
_NOBODY = "name a notification block of Prefect's in [alerts] blocks, and the owner is told"
_NOT_AWAITED: dict[str, Any] = {"_sync": True}  # in a notebook Prefect otherwise answers with something to await


def deploy(loop: Loop, model: Model, anchor: datetime) -> Result:
    """Register train, monitor, score, requests and materialize, and the automation; again, what has changed.

    The monitor deployment takes in new data, scores, looks at the window and decides, every `policy.every` from
    `anchor` on. Train starts by the automation. Schedules of train and score are there for whoever wants them,
    switched off; that of score lies half a window away, so that it never competes with the monitor run. Materialize is
    registered where features are looked up; its schedule is on where `[online] every` says how often.
    """
    _ensure_pool(loop.settings.prefect.work_pool)
    every = model.policy.every
    schedules = {
        "train": _every(_CALENDAR, anchor, active=False),
        "monitor": _every(every, anchor, active=True),
        "score": _every(every, anchor + every / 2, active=False),
        "requests": _every(_COMPACTION, anchor, active=True),
    }
    refreshed = loop.settings.online_every
    if "materialize" in verbs_of(model):
        schedules["materialize"] = _every(refreshed or _REFRESH, anchor, active=refreshed is not None)
    ids = {verb: _register(loop.settings, model, verb, schedule) for verb, schedule in schedules.items()}
    automation = automate(retrains(model, ids["train"]))
    telling = tells(model, loop.settings.alerts.blocks)
    pages = {f"{verb} deployment": f"{loop.settings.prefect_url}/deployments/deployment/{ids[verb]}" for verb in ids}
    facts = {
        "monitor": f"every {spell(every)} from {iso(anchor)}: ingest, score, monitor, decide",
        "train": f"when {RETRAIN_EVENT} is emitted; also every {spell(_CALENDAR)} once you switch its schedule on",
        "score": "within every monitor run; also half-way between two of them once you switch its schedule on",
        **({"materialize": _told_refresh(refreshed)} if "materialize" in ids else {}),
        "requests": f"every {spell(_COMPACTION)}: what scoring servers logged goes into the lake",
        "automation": automation,
        "alerts": automate(telling) if telling else f"{ALERT_EVENT} is emitted; {_NOBODY}",
        "next": "incumbent up",
    }
    return Result("deploy", model.name, iso(anchor), facts, pages, ids)


def _told_refresh(every: timedelta | None) -> str:
    told = f"every {spell(every or _REFRESH)}: ingest, and bring online"
    return told if every else f"{told}, once you set `[online] every` or switch its schedule on"


def trigger(loop: Loop, model: Model, verb: str, as_of: datetime) -> Result:
    """Start the deployment of a verb by hand, and wait until a worker has run it.

    Raises:
        UnknownDeploymentError: there is none of this verb.
    """
    if verb not in verbs_of(model):
        raise UnknownDeploymentError(model.name, verb, verbs_of(model))
    name = f"{_FLOWS[verb].name}/{deployment_name(model, verb)}"
    try:
        run: Any = run_deployment(
            name, parameters={"as_of": iso(as_of)}, timeout=_PATIENCE, as_subflow=False, **_NOT_AWAITED
        )
    except ObjectNotFound as error:
        raise UnknownDeploymentError(model.name, verb, verbs_of(model)) from error
    state = run.state.name if run.state else "unknown"
    facts = {"deployment": name, "state": state, "flow_run": run.name}
    if run.state is None or not run.state.is_final():
        facts["note"] = "it waits for a worker: is `incumbent up` running?"
    page = f"{loop.settings.prefect_url}/runs/flow-run/{run.id}"
    return Result(verb, model.name, iso(as_of), facts, {"Prefect run": page}, {"flow_run_id": str(run.id)})


def verbs_of(model: Model) -> list[str]:
    """The verbs that are deployed: all, but for a model whose questions bring everything not `materialize`."""
    return [verb for verb in _FLOWS if verb != "materialize" or looked_up(model.features)]


def deployment_name(model: Model, verb: str) -> str:
    """Name of a verb's deployment."""
    return f"{model.name} {verb}"


def registered_anchor(model: Model) -> datetime | None:
    """The anchor of the monitor schedule that is registered already, or none."""
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(f"{watch.name}/{deployment_name(model, 'monitor')}")
        except ObjectNotFound:
            return None
    anchors = [each.schedule.anchor_date for each in known.schedules if isinstance(each.schedule, IntervalSchedule)]
    return anchors[0] if anchors else None


def _every(interval: timedelta, anchor: datetime, *, active: bool) -> Schedule:
    return Interval(interval, anchor_date=anchor, timezone="UTC", active=active, slug="every")


def _register(settings: Settings, model: Model, verb: str, schedule: Schedule) -> str:
    deployment: Any = _FLOWS[verb].to_deployment(
        name=deployment_name(model, verb),
        work_pool_name=settings.prefect.work_pool,
        schedules=[schedule],
        parameters={"model": model.reference},
        description=f"{_TOLD[verb]}\n\n**{model.name}**: {model.purpose}. Owner: {model.owner}.",
        tags=["incumbent", model.name],
        entrypoint_type=EntrypointType.MODULE_PATH,
        job_variables=_job_variables(settings),
        **_NOT_AWAITED,
    )
    return str(deployment.apply(**_NOT_AWAITED))  # what `flow.deploy` does, without its tables on standard output


def _job_variables(settings: Settings) -> dict[str, Any]:
    """How a worker of this machine starts a run: this Python, in the folder of `incumbent.toml`.

    `-P` keeps a folder `flows` of the user's own from hiding ours. Where Prefect is a server of its own, its workers
    may be other machines, and what they run and where is theirs to say. Settings never pass through Prefect's
    database: a worker hands its own environment on.
    """
    if settings.prefect.api_url:
        return {}
    command = shlex.join([sys.executable, "-P", "-m", "prefect.engine"])
    return {"command": command, "working_dir": str(settings.folder.parent)}


def _ensure_pool(name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            try:
                client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            except ObjectAlreadyExists:
                return  # somebody else deployed at the same moment
