"""What Prefect does by itself on an event of ours: start a training, and tell a model's owner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.events.actions import RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from flows.errors import AlertBlockNotFoundError
from flows.events import ALERT_EVENT, RETRAIN_EVENT
from flows.model import Model

_ANYBODY = "*"
_BODY = """{{ event.payload.title }}

Owner: {{ event.payload.owner }}. Window to {{ event.payload.as_of }}.

{{ event.payload.seen }}

{{ event.payload.links }}
"""


def automate(wanted: AutomationCore) -> str:
    """Make an automation, or renew the one of its name; one that was switched off stays off."""
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(wanted.name)
        if not known:
            client.create_automation(wanted)
            return wanted.name
        wanted.enabled = known[0].enabled
        client.update_automation(known[0].id, wanted)
        for extra in known[1:]:
            client.delete_automation(extra.id)
    return wanted.name


def retrains(model: Model, train_id: str) -> AutomationCore:
    """Start the train deployment whenever the policy asks for it."""
    return AutomationCore(
        name=f"{model.name}: retrain when the policy says so",
        description=(
            f"A decision to retrain {model.name} (drift, worse, age) emits {RETRAIN_EVENT}; this starts its training."
        ),
        trigger=_on(RETRAIN_EVENT, model),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=UUID(train_id),
                parameters={"model": model.reference, "as_of": "{{ event.payload.as_of }}"},
            )
        ],
    )


def tells(model: Model, blocks: Mapping[str, str]) -> AutomationCore | None:
    """Notify the owner of each new cause; none where no block is named for him.

    Raises:
        AlertBlockNotFoundError: Prefect has no such block.
    """
    block = blocks.get(model.owner) or blocks.get(_ANYBODY)
    if block is None:
        return None
    return AutomationCore(
        name=f"{model.name}: tell {model.owner}",
        description=f"Every new cause that monitoring finds emits {ALERT_EVENT} once; this tells the owner by {block}.",
        trigger=_on(ALERT_EVENT, model),
        actions=[
            SendNotification(
                block_document_id=_block(block, model.owner), subject="{{ event.payload.title }}", body=_BODY
            )
        ],
    )


def _on(event: str, model: Model) -> EventTrigger:
    return EventTrigger(
        expect={event},
        match={"prefect.resource.id": f"incumbent.model.{model.name}"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


def _block(block: str, owner: str) -> UUID:
    kind, _, name = block.partition("/")
    with get_client(sync_client=True) as client:
        try:
            found: Any = client.read_block_document_by_name(name=name, block_type_slug=kind)
        except ObjectNotFound as error:
            raise AlertBlockNotFoundError(block, owner) from error
    return UUID(str(found.id))
