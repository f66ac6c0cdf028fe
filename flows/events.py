"""The two events of the loop, which automations answer: a model is to be trained, and its owner is to be told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.runtime import flow_run as this_run

from flows.keys import artifact_key
from flows.model import Model
from lifecycle.alerts import Alert
from lifecycle.moments import iso

RETRAIN_EVENT = "incumbent.retrain"
"""Emitted where a decision to retrain is carried out by an automation; the deployed train flow answers it."""
ALERT_EVENT = "incumbent.alert"
"""Emitted once for each new cause; its payload holds owner, title, what was seen, and the pages to look at."""


def ask_for_training(model: Model, as_of: datetime) -> None:
    """Carry out a `Retrain` by an event; the automation that `deploy` made starts the train deployment on it."""
    emit_event(
        event=RETRAIN_EVENT,
        resource={"prefect.resource.id": f"incumbent.model.{model.name}", "prefect.resource.name": model.name},
        payload={"model": model.reference, "as_of": iso(as_of), "flow_run_id": str(this_run.id or "")},
    )


def emit_alert(alert: Alert, links: Mapping[str, str]) -> None:
    """Send an alert as Prefect's event, and leave it on the page of the flow run."""
    pages = {**links, **_run_page()}
    lines = "\n".join(f"- {line}" for line in alert.lines)
    emit_event(
        event=ALERT_EVENT,
        resource={"prefect.resource.id": f"incumbent.model.{alert.model}", "prefect.resource.name": alert.model},
        payload={
            "owner": alert.owner,
            "title": alert.title,
            "as_of": iso(alert.as_of),
            "seen": lines,
            "links": "\n".join(f"{name}: {url}" for name, url in pages.items()),
        },
        id=UUID(alert.alert_id),
    )
    if this_run.id:
        linked = " · ".join(f"[{name}]({url})" for name, url in pages.items())
        text = f"**{alert.title}**\n\nOwner: {alert.owner}\n\n{lines}\n\n{linked}\n"
        create_markdown_artifact(text, key=artifact_key(alert.model, "alert"), description=alert.title)


def _run_page() -> dict[str, str]:
    page = this_run.ui_url if this_run.id else None
    return {"Prefect run": page} if page else {}
