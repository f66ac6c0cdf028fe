"""The Open Inference Protocol, version 2: the same models, asked with one tensor for each column.

Addresses and fields: https://github.com/kserve/open-inference-protocol, with its binary tensor extension.
"""

from __future__ import annotations

import json
from typing import Any

from mlflow_plugins.deployment.application import Answered, Application
from mlflow_plugins.deployment.asgi import Headers, Receive, Scope, Send, header, respond, respond_json
from mlflow_plugins.deployment.encoding import encode
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.tensors import DATATYPES, read_request, write_answer
from mlflow_plugins.errors import ClientGoneError, QuestionError, RequestNotLoggedError, TensorError

HEAD_LENGTH = b"inference-header-content-length"
SERVER = {"name": "incumbent", "version": "2", "extensions": ["binary_tensor_data"]}


async def open_inference(application: Application, scope: Scope, receive: Receive, send: Send) -> bool:
    """Answer what lies under `/v2`; false for another address."""
    path, method = scope["path"].rstrip("/"), scope["method"]
    if path != "/v2" and not path.startswith("/v2/"):
        return False
    ready = application.routes.default is not None and not application.draining
    told = {
        "/v2": (SERVER, 200),
        "/v2/health/live": ({"live": True}, 200),
        "/v2/health/ready": ({"ready": ready}, 200 if ready else 503),
    }.get(path)
    if told is not None and method == "GET":
        await respond_json(send, *told)
        return True
    served, verb = _find(application.routes, path)
    if served is None:
        await _error(send, 404, f"Nothing is served at {path}. Served: {sorted(application.routes.versions)}.")
    elif (method, verb) == ("POST", "infer"):
        await _infer(application, _assigned(application, served, scope), scope, receive, send)
    elif (method, verb) == ("GET", "ready"):
        await respond_json(send, {"name": served.model, "ready": ready}, 200 if ready else 503)
    elif (method, verb) == ("GET", ""):
        await respond_json(send, metadata(application.routes, served))
    else:
        await _error(send, 405, f"{method} does not go with {path}.")
    return True


def metadata(routes: Routes, served: Served) -> dict[str, Any]:
    """The tensors of a model."""
    output = served.output
    outputs = [] if output is None else [
        {"name": "predictions", "datatype": output.datatype, "shape": [-1, *output.row_shape]}
    ]  # fmt: skip
    return {
        "name": served.model,
        "versions": list(routes.versions[served.model]),
        "platform": "mlflow",
        "inputs": [{"name": c.name, "datatype": DATATYPES[c.kind][0], "shape": [-1]} for c in served.columns],
        "outputs": outputs,
    }


def _find(routes: Routes, path: str) -> tuple[Served | None, str]:
    """What `/v2/models/NAME[/versions/VERSION][/VERB]` names; a name may hold slashes."""
    rest = path.removeprefix("/v2/models/")
    verb = next((verb for verb in ("infer", "ready") if rest.endswith(f"/{verb}")), "")
    rest = rest.removesuffix(f"/{verb}") if verb else rest
    name, found, version = rest.rpartition("/versions/")
    return (routes.find(name, version) if found else routes.find(rest)), verb


def _assigned(application: Application, served: Served, scope: Scope) -> Served:
    """Who answers a request to a name; its unit is in the header, because tensors are not looked into for it."""
    comparison = application.routes.comparisons.get(f"/models/{served.model}/invocations")
    if comparison is None or "/versions/" in scope["path"]:
        return served
    return application.compared(comparison, served, scope, b"")


async def _infer(application: Application, served: Served, scope: Scope, receive: Receive, send: Send) -> None:
    body = await application.read(scope, receive, send)
    if body is None:
        return
    if application.full():
        await application.refuse_work(send)
        return
    application.in_flight += 1
    try:
        await _answer(application, served, (scope, body), receive, send)
    except ClientGoneError:
        return
    except (TensorError, QuestionError) as error:  # of a question it has the moment only, in a header
        await _error(send, 400, str(error), served.headers)
    except TimeoutError:
        await _error(send, 504, "The model took too long.", served.headers)
    except RequestNotLoggedError as error:
        await application.refuse_unlogged(send, error)
    finally:
        application.in_flight -= 1


async def _answer(
    application: Application, served: Served, asked: tuple[Scope, bytes], receive: Receive, send: Send
) -> None:
    if served.predict is None:
        problem = "The signature of this model is not one of named scalar columns; ask it at /invocations."
        raise TensorError(problem, [])
    scope, body = asked
    request, values = read_request(body, header(scope, HEAD_LENGTH), served.columns)
    try:
        predictions = await application.predict(served, values, receive)
    except (ClientGoneError, TimeoutError):
        raise
    except Exception as error:  # whatever the model raised, the client is told
        told = "" if application.redacts else f" {type(error).__name__}: {error}."
        names = [column.name for column in served.columns]
        raise TensorError(f"The model cannot answer these values.{told}", names) from error
    named = {"model_name": served.model, "model_version": str(served.version)}
    head, blobs = write_answer(request, predictions, named)
    text = json.dumps(head).encode()
    more = served.headers
    if application.before_answer is not None:
        answered = Answered(served, scope, body, values, predictions, 200, encode(predictions))
        more += application.before_answer(answered)
    if not blobs:
        await respond_json(send, head, headers=more)
        return
    length = (HEAD_LENGTH, str(len(text)).encode())
    await respond(send, 200, text + blobs, ((b"content-type", b"application/octet-stream"), length, *more))


async def _error(send: Send, status: int, told: str, headers: Headers = ()) -> None:
    await respond_json(send, {"error": told}, status, headers)
