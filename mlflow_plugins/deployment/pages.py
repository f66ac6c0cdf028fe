"""What the server tells about itself: `/ready`, `/models`, `/metrics`, `/openapi.json`."""

from __future__ import annotations

from mlflow_plugins.deployment.application import Application, Pages
from mlflow_plugins.deployment.asgi import Receive, Scope, Send, respond, respond_json
from mlflow_plugins.deployment.metrics import CONTENT_TYPE, Gauge, render
from mlflow_plugins.deployment.open_inference import open_inference
from mlflow_plugins.deployment.openapi import openapi


async def own_pages(application: Application, scope: Scope, receive: Receive, send: Send) -> bool:
    """Answer one of the addresses above; false for another."""
    path = scope["path"]
    if scope["method"] != "GET":
        return False
    if path == "/ready":
        facts = readiness(application)
        await respond_json(send, facts, 200 if facts["ready"] else 503)
    elif path == "/metrics":
        text = render(application.board.total(), gauges(application))
        await respond(send, 200, text, ((b"content-type", CONTENT_TYPE),))
    elif path == "/models":
        models = [served.facts() for served in application.routes.all()]
        await respond_json(send, {"models": models, "problems": list(application.problems.values())})
    elif path == "/openapi.json":
        await respond_json(send, openapi(application.routes))
    else:
        return False
    return True


def readiness(application: Application) -> dict[str, object]:
    """Whether requests should be sent here, and why not."""
    loaded = application.routes.default is not None
    troubles = [told for check in application.checks if (told := check()) is not None]
    return {
        "ready": loaded and not application.draining and not troubles,
        "draining": application.draining,
        "problems": [*application.problems.values(), *troubles],
        "models": [served.facts() for served in application.routes.all()],
    }


def gauges(application: Application) -> list[Gauge]:
    """How this worker stands at this moment; the worker that is asked speaks for itself."""
    served = application.routes.all()
    info = [((each.model, str(each.version), str(each.epoch), each.tier.value), 1.0) for each in served]
    ready = float(bool(readiness(application)["ready"]))
    return [
        Gauge("incumbent_ready", "1 when requests should be sent here", (), [((), ready)]),
        Gauge("incumbent_in_flight", "Requests read and not answered yet", (), [((), application.in_flight)]),
        Gauge("incumbent_model", "Versions that are served", ("model", "version", "epoch", "tier"), info),
        *(gauge for more in application.gauges for gauge in more()),
    ]


PAGES: tuple[Pages, ...] = (own_pages, open_inference)
