"""The request log at its place in the server: each answer is logged before it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow_plugins.deployment.application import Answered, Application
from mlflow_plugins.deployment.asgi import BY_NAME, Headers, Scope, header
from mlflow_plugins.deployment.completion import AS_OF, asked_as_of
from mlflow_plugins.deployment.metrics import Gauge
from mlflow_plugins.request_log.asked import Asked
from mlflow_plugins.request_log.lines import Undecoded
from mlflow_plugins.request_log.options import LogOptions
from mlflow_plugins.request_log.writer import CHAMPION, RequestLog

BY_NUMBER = "version"  # the variant of a version that no epoch of the ledger chose
REQUEST_ID = b"x-incumbent-request-id"
UNKNOWN = frozenset({AS_OF})  # of a head that did not come before any header may be there


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
        # Each further call costs a microsecond here, where half a dozen are all that a record may cost.
        served, scope, asked = answered.served, answered.scope, answered.asked
        variant = served.variant or (CHAMPION if served.epoch else BY_NUMBER)
        if answered.values is None or answered.status != 200:
            number = log.undecoded(served, _undecoded(answered), variant)
        else:
            if asked is None and AS_OF in scope.get(BY_NAME, UNKNOWN):
                asked = _asked(scope)
            number = log.answered(served, answered.values, answered.answer, asked, variant)
        return ((REQUEST_ID, number),) if number else ()

    def gauges() -> list[Gauge]:
        told = [(("written",), float(log.written)), (("lost",), float(log.lost))]
        return [Gauge("incumbent_requests_logged", "Records of this worker, by what became of them", ("fate",), told)]

    application.before_answer = before_answer
    application.checks.append(lambda: _trouble(log))
    application.gauges.append(gauges)


def _undecoded(answered: Answered) -> Undecoded:
    content_type = (header(answered.scope, b"content-type") or b"").decode("latin-1")
    return Undecoded(content_type, answered.request, answered.status, answered.answer)


def _asked(scope: Scope) -> Asked | None:
    as_of = asked_as_of(scope)
    return None if as_of is None else Asked(as_of)


def _trouble(log: RequestLog) -> str | None:
    return None if log.trouble is None else f"the request log cannot be written: {log.trouble}"
