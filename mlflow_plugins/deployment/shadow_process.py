"""The process in which challengers score what champions answered: `python -m mlflow_plugins.deployment.shadow_process`.

It gets a core only when nobody else wants it, has an interpreter of its own, and ends with the worker that started it.
So whatever a challenger does, the champion's answers come when they would have come. It asks its versions through the
same application as the worker does, so that a shadow answers what the version would answer as champion.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Any, BinaryIO

from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.asgi import Message as AsgiMessage
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.logged_answers import logging_requests
from mlflow_plugins.deployment.options import ServerOptions, read_options
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.shadow_messages import (
    Load,
    Message,
    Question,
    Questions,
    Told,
    Unload,
    frame_of,
    next_frame,
    read_message,
)
from mlflow_plugins.deployment.starting import OPTIONS
from mlflow_plugins.deployment.worker import make_application

SHADOW = "shadow"
"""The variant of what is logged here."""


class Shadow:
    """The versions of this process."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._served: dict[str, Served] = {}

    async def obey(self, message: Message) -> Told:
        """Do what the worker asks for, and say how it went."""
        match message:
            case Load(stored):
                self._served.pop(stored.model, None)
                try:
                    self._served[stored.model] = load_served(stored).appointed(SHADOW, 0)
                except Exception as error:  # noqa: BLE001  # whatever it was, the worker tells it
                    return Told(problem=str(error))
            case Unload(model):
                self._served.pop(model, None)
            case Questions(questions):
                return await self._score(questions)
        self._application.routes = Routes.of(list(self._served.values()))
        return Told()

    async def _score(self, questions: list[Question]) -> Told:
        statuses = [await self._status(question) for question in questions if question.model in self._served]
        scored = statuses.count(200)
        return Told(scored=scored, failed=len(statuses) - scored)

    async def _status(self, question: Question) -> int:
        sent: list[AsgiMessage] = []
        given = [{"type": "http.request", "body": question.body, "more_body": False}]

        async def receive() -> AsgiMessage:
            if given:
                return given.pop()
            return await asyncio.Future[AsgiMessage]()  # nobody hangs up

        async def send(message: AsgiMessage) -> None:
            sent.append(message)

        try:
            await self._application(_scope(question), receive, send)
        except Exception:  # noqa: BLE001  # MLflow's app raises what it has answered with 500
            return 500
        return int(sent[0]["status"])


def _scope(question: Question) -> dict[str, Any]:
    path = f"/models/{question.model}/invocations"
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": question.headers,
        "client": None, "server": None, "state": {},
    }  # fmt: skip


def main() -> None:
    """Obey until the worker has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's; this process ends after it
    options = read_options(os.environ[OPTIONS])
    if options.rollout.gives_way:
        _give_way()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    told_to, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a model prints must not come between the frames
    _obey(options, told_to, answers)


def _give_way() -> None:
    """Run only where a core has nothing else to do."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def _obey(options: ServerOptions, told_to: BinaryIO, answers: BinaryIO) -> None:
    application = make_application(options)
    shadow = Shadow(application)
    with logging_requests(application, options.log), asyncio.Runner() as runner:
        while (content := next_frame(told_to)) is not None:
            answers.write(frame_of(runner.run(shadow.obey(read_message(content)))))
            answers.flush()


if __name__ == "__main__":
    main()
