"""The request log at its place in the server: each answer is logged before it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow_plugins.deployment.application import Answered, Application
from mlflow_plugins.deployment.asgi import Headers, header
from mlflow_plugins.deployment.completion import asked_as_of
from mlflow_plugins.deployment.metrics import Gauge
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.request_log.lines import Asked, Undecoded
from mlflow_plugins.request_log.options import LogOptions
from mlflow_plugins.request_log.writer import CHAMPION, RequestLog

BY_NUMBER = "version"  # the variant of a version that no epoch of the ledger chose
REQUEST_ID = b"x-incumbent-request-id"


@contextmanager
def logging_requests(application: Application, options: LogOptions | None) -> Iterator[None]:
    """Log while the block runs, and bring everything to disk at its end; nothing where no log is kept."""
    if options is None:
        yield
        return
    log = RequestLog(options)
    log_requests(application, log)
    log.start()
    try:
        yield
    finally:
        log.close()


def log_requests(application: Application, log: RequestLog) -> None:
    """Let an application log what it answers, and say in `/ready` when it cannot."""

    def before_answer(answered: Answered) -> Headers:
        asked = answered.asked
        if answered.values is None or answered.status != 200:
            number = _undecoded(log, answered)
        else:
            if asked is None and (as_of := asked_as_of(answered.scope)) is not None:
                asked = Asked(as_of)
            served = answered.served
            number = log.answered(served, answered.values, answered.answer, asked, _variant(served))
        return ((REQUEST_ID, number),) if number else ()

    def gauges() -> list[Gauge]:
        told = [(("written",), float(log.written)), (("lost",), float(log.lost))]
        return [Gauge("incumbent_requests_logged", "Records of this worker, by what became of them", ("fate",), told)]

    application.before_answer = before_answer
    application.checks.append(lambda: _trouble(log))
    application.gauges.append(gauges)


def _undecoded(log: RequestLog, answered: Answered) -> bytes:
    content_type = (header(answered.scope, b"content-type") or b"").decode("latin-1")
    undecoded = Undecoded(content_type, answered.request, answered.status, answered.answer)
    return log.undecoded(answered.served, undecoded, _variant(answered.served))


def _variant(served: Served) -> str:
    return served.variant or (CHAMPION if served.epoch else BY_NUMBER)


def _trouble(log: RequestLog) -> str | None:
    return None if log.trouble is None else f"the request log cannot be written: {log.trouble}"
