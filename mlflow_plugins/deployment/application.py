"""The server as one ASGI application: the hot path, and who may ask for how much."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from time import perf_counter
from typing import Any, NamedTuple

from lifecycle.experiments import Variant
from mlflow_plugins.deployment.asgi import (
    CLOSE,
    JSON,
    Headers,
    Receive,
    Scope,
    Send,
    adding,
    has_gone,
    header,
    replaying,
    respond,
    respond_json,
)
from mlflow_plugins.deployment.completion import completed_at_once, completed_in_time
from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.deployment.encoding import encode
from mlflow_plugins.deployment.experiments import UNIT, Comparison
from mlflow_plugins.deployment.lane import Lane
from mlflow_plugins.deployment.metrics import Board, Counts, Gauge
from mlflow_plugins.deployment.mlflow_app import Kept, ask
from mlflow_plugins.deployment.options import Access, Limits
from mlflow_plugins.deployment.questions import Completed
from mlflow_plugins.deployment.routes import NOTHING, Routes
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import ClientGoneError, FeaturesUnavailableError, QuestionError, RequestNotLoggedError
from mlflow_plugins.request_log.asked import Asked

# What MLflow reads as JSON without a further look, as clients spell it; any other spelling is for MLflow to read.
JSON_TYPES = frozenset({
    b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8",
    b"application/json; charset=UTF-8", b"application/json;charset=UTF-8",
})  # fmt: skip
OPEN_PATHS = frozenset({"/ping", "/health", "/ready", "/v2/health/live", "/v2/health/ready"})
INLINE_ROWS = 512  # a compiled plan answers so many in well under a millisecond, less than a thread would cost
MLFLOW_TURNS = 4
ANSWERING = "incumbent.answering"
"""Key in the scope of a request under which lies who answers it, once an experiment has decided."""
UNLOGGED = "The answer is withheld, because the request log cannot be written. Try again later."
TIMED_OUT = b"Request processing time exceeded limit"  # MLflow's words


Pages = Callable[["Application", Scope, Receive, Send], Awaitable[bool]]
"""Answers an address that it knows; false for another."""


class Answered(NamedTuple):
    """A request with its answer, as the hooks see it.

    Attributes:
        values: decoded columns in the order of the signature; none where MLflow answered.
        predictions: of the fast path, none where MLflow answered.
        asked: what the request said of its question beside the model's columns.
    """

    served: Served
    scope: Scope
    request: bytes
    values: Sequence[Values] | None
    predictions: Any
    status: int
    answer: bytes
    asked: Asked | None = None


class Ready(NamedTuple):
    """An answer that needed no waiting.

    Attributes:
        headers: groups of headers to send beside the length and the content type.
        started: when the request was whole, on the performance counter.
    """

    answered: Answered
    headers: Sequence[Headers]
    started: float


class Application:
    """One worker's server.

    Attributes:
        routes: replaced as a whole; a request takes it once.
        draining: set when the process has been asked to end.
        in_flight: requests that were read and not answered yet.
        problems: what `/ready` should tell besides, by what has it, such as a version that could not be loaded.
        gauges: what `/metrics` tells besides.
        before_answer: called with each answer before it is sent, for the request log; where that cannot be written,
            the request is turned away, and anything else that it raises is a 500.
        checks: each tells why no request should be sent here, or nothing.
        after_answer: called after it was sent, for shadow scoring.
        pages: asked in turn about everything but scoring.
    """

    def __init__(self, limits: Limits, access: Access, lane: Lane, pages: Sequence[Pages] = ()) -> None:
        self.routes: Routes = NOTHING
        self.draining = False
        self.in_flight = 0
        self.counts = Counts()
        self.board = Board(self.counts)
        self.problems: dict[str, str] = {}
        self.gauges: list[Callable[[], list[Gauge]]] = []
        self.lane = lane
        # What a challenger takes its time for must not hold up the champion.
        self._challenger_lane = Lane(ThreadPoolExecutor(1, thread_name_prefix="challenge"))
        self.limits = limits
        self.before_answer: Callable[[Answered], Headers] | None = None
        self.checks: list[Callable[[], str | None]] = []
        self.after_answer: Callable[[Answered], None] | None = None
        self.pages = pages
        self.redacts = access.redact
        self._bearer = None if access.token is None else b"Bearer " + access.token.encode()
        self._turns = asyncio.Semaphore(MLFLOW_TURNS)
        self._challenger_turns = asyncio.Semaphore(MLFLOW_TURNS)
        self._timeout = _mlflow_timeout()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if self.draining:
            send = adding((CLOSE,), send)
        if self._bearer is not None and not self._allowed(scope):
            await self.refuse(send, "token", 401, "Send the token of this server: Authorization: Bearer TOKEN.")
            return
        routes = self.routes
        served = routes.invocations.get(scope["path"])
        if served is not None and scope["method"] == "POST":
            body = await self.read(scope, receive, send)
            if body is not None:
                await self._score(self._assigned(routes, served, scope, body), scope, body, receive, send)
        else:
            await self._elsewhere(scope, receive, send)

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but scoring: our own pages, then MLflow's."""
        for pages in self.pages:
            if await pages(self, scope, receive, send):
                return
        default = self.routes.default
        if default is not None:
            await default.mlflow(scope, receive, adding(default.headers, send))
        else:
            await self.refuse_work(send, "No model is loaded yet. Try again later.")

    async def read(self, scope: Scope, receive: Receive, send: Send) -> bytes | None:
        """The whole body; none when it was too large, which was answered, or when the client has gone."""
        length = header(scope, b"content-length")
        limit = self.limits.body
        if length is not None and length.isdigit() and int(length) > limit:
            await self._too_large(send)
            return None
        whole = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message["body"]
            if len(whole) + len(part) > limit:
                await self._too_large(send)
                return None
            if not message["more_body"]:
                return bytes(whole + part) if whole else part
            whole += part

    def _assigned(self, routes: Routes, champion: Served, scope: Scope, body: bytes) -> Served:
        """Who answers a request, decided once: in an experiment it may be the challenger."""
        comparison = routes.comparisons.get(scope["path"])
        if comparison is None:
            return champion
        if ANSWERING not in scope:
            scope[ANSWERING] = self.compared(comparison, champion, scope, body)
        answering: Served = scope[ANSWERING]
        return answering

    def compared(self, comparison: Comparison, champion: Served, scope: Scope, body: bytes) -> Served:
        """Who answers a request of an experiment; the request keeps its unit for the log."""
        unit = comparison.unit(scope, body)
        if unit is None:
            self.counts.unassigned[(champion.model,)] += 1
            return champion
        scope[UNIT] = unit
        return comparison.answering(champion, unit)

    def full(self) -> bool:
        """Whether this worker has as much work as it takes on."""
        return self.in_flight >= self.limits.queue

    async def refuse_work(self, send: Send, told: str | None = None) -> None:
        """Ask the client to come again."""
        retry = (b"retry-after", b"%d" % self.limits.retry_after)
        full = f"This server has {self.in_flight} requests to answer and takes no more. Try again later."
        await self.refuse(send, "queue", 503, told or full, (retry,))

    async def refuse_unlogged(self, send: Send, error: RequestNotLoggedError) -> None:
        """Withhold an answer whose record could not be written: what was acknowledged is in the log."""
        told = UNLOGGED if self.redacts else str(error)
        await self.refuse(send, "log", 503, told, ((b"retry-after", b"%d" % self.limits.retry_after),))

    async def refuse(self, send: Send, reason: str, status: int, told: str, headers: Headers = ()) -> None:
        """Turn a request away, in MLflow's form of an error."""
        self.counts.refused[(reason,)] += 1
        if status == 401:
            headers = ((b"www-authenticate", b"Bearer"),)
        await respond_json(send, {"error_code": _CODES[status], "message": told}, status, headers)

    async def predict(self, served: Served, values: Sequence[Values], receive: Receive) -> Any:
        """What the model answers to decoded columns: here and now where that is cheap, else in its turn.

        Raises:
            ClientGoneError: the client closed the connection while it waited.
            TimeoutError: it took longer than MLflow would wait.
            Exception: whatever the model raised.
        """
        if served.tier is Tier.COMPILED and len(values[0]) <= INLINE_ROWS:
            assert served.predict is not None  # a tier beyond MLflow's own has one
            return served.predict(values)
        async with asyncio.timeout(self._timeout):
            lane = self._challenger_lane if served.variant == Variant.CHALLENGER else self.lane
            return await lane.predict(served, values, receive)

    def is_quick(self, path: str) -> bool:
        """Whether requests to this address may be offered to `at_once`."""
        served = self.routes.invocations.get(path)
        return served is not None and served.tier is Tier.COMPILED and not self.draining

    def at_once(self, scope: Scope, body: bytes) -> Ready | None:
        """The answer to a POST by a compiled plan, before any task is made for it; none leaves it to `__call__`."""
        routes = self.routes
        served = routes.invocations.get(scope["path"])
        if served is None or self.draining or (self._bearer is not None and not self._allowed(scope)):
            return None
        return self._ready(self._assigned(routes, served, scope, body), scope, body)

    def sent(self, ready: Ready) -> None:
        """Count an answer that was given at once, and let the hook see it."""
        answered = ready.answered
        served, values = answered.served, answered.values
        assert values is not None  # the plan answered them
        labels = (served.model, str(served.version), "fast", "200")
        self.counts.answered(labels, len(values[0]), perf_counter() - ready.started, answered.answer)
        if self.after_answer is not None:
            self.after_answer(answered)

    def _ready(self, served: Served, scope: Scope, body: bytes) -> Ready | None:
        if served.tier is not Tier.COMPILED or self.full() or header(scope, b"content-type") not in JSON_TYPES:
            return None
        started = perf_counter()
        assert served.predict is not None
        values, found, asked = served.decoded(body), None, None
        try:
            if values is None and served.questions is not None:
                found = completed_at_once(served.questions, scope, body)
                values, asked = (None, None) if found is None else (found.values, found.asked)
            if values is None or len(values[0]) > INLINE_ROWS:
                return None
            predictions = served.predict(values)
            answered = Answered(served, scope, body, values, predictions, 200, encode(predictions), asked)
            more = () if self.before_answer is None else self.before_answer(answered)
        except Exception:  # noqa: BLE001  # whatever it was, the usual way meets it again, and words the answer
            return None
        self._looked_up(served, found)
        return Ready(answered, (served.headers, more), started)

    async def _score(self, served: Served, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        if self.full():
            await self.refuse_work(send)
            return
        ready = self._ready(served, scope, body)
        if ready is not None:
            await respond(send, 200, ready.answered.answer, (JSON, *chain.from_iterable(ready.headers)))
            self.sent(ready)
            return
        started = perf_counter()
        self.in_flight += 1
        try:
            read = await self._read(served, scope, body)
            if read is not None and await self._fast(served, scope, (body, *read, started), receive, send):
                return
            await self._by_mlflow(served, scope, (body, started), receive, send)
        except RequestNotLoggedError as error:
            await self.refuse_unlogged(send, error)
        except QuestionError as error:
            await self.refuse(send, "question", 422, str(error))
        except FeaturesUnavailableError as error:
            retry = (b"retry-after", b"%d" % self.limits.retry_after)
            await self.refuse(send, "features", 503, str(error), (retry,))
        finally:
            self.in_flight -= 1

    async def _read(self, served: Served, scope: Scope, body: bytes) -> tuple[list[Values], Asked | None] | None:
        """The model's columns, completed where the request brings its key alone; none where MLflow has to answer."""
        if served.decoder is None or header(scope, b"content-type") not in JSON_TYPES:
            return None
        values = served.decoded(body)
        if values is not None or served.questions is None:
            return None if values is None else (values, None)
        found = await completed_in_time(served.questions, scope, body)
        self._looked_up(served, found)
        return None if found is None else (found.values, found.asked)

    def _looked_up(self, served: Served, found: Completed | None) -> None:
        if found is not None:
            for outcome, count in found.outcomes.items():
                self.counts.lookups[served.model, outcome] += count

    async def _fast(
        self,
        served: Served,
        scope: Scope,
        read: tuple[bytes, list[Values], Asked | None, float],
        receive: Receive,
        send: Send,
    ) -> bool:
        """Answer on the fast path; false where MLflow has to."""
        body, values, asked, started = read
        try:
            predictions = await self.predict(served, values, receive)
            status, answer = 200, encode(predictions)
        except ClientGoneError:
            return True
        except TimeoutError:
            predictions, status, answer = None, 504, TIMED_OUT
        except Exception:  # noqa: BLE001  # whatever it was, MLflow's code meets it too, and words the answer
            return False
        answered = Answered(served, scope, body, values, predictions, status, answer, asked)
        more = served.headers
        if self.before_answer is not None:
            more += self.before_answer(answered)
        await respond(send, status, answer, (JSON, *more))
        labels = (served.model, str(served.version), "fast", str(status))
        self.counts.answered(labels, len(values[0]), perf_counter() - started, answer)
        if self.after_answer is not None:
            self.after_answer(answered)
        return True

    async def _by_mlflow(
        self, served: Served, scope: Scope, asked: tuple[bytes, float], receive: Receive, send: Send
    ) -> None:
        body, started = asked
        kept = Kept()
        async with self._challenger_turns if served.variant == Variant.CHALLENGER else self._turns:
            if has_gone(receive):
                self.lane.dropped += 1
                return
            try:
                await ask(served.mlflow, scope, replaying(body, receive), kept)
            finally:
                # Where MLflow's app fails altogether it answers 500 first and raises then; the server logs that.
                if kept.status:
                    await self._pass_on(served, scope, (body, started), kept, send)

    async def _pass_on(self, served: Served, scope: Scope, asked: tuple[bytes, float], kept: Kept, send: Send) -> None:
        body, started = asked
        if self.redacts:
            kept.redact()
        more = served.headers
        answered = Answered(served, scope, body, None, None, kept.status, kept.body)
        if self.before_answer is not None:
            more += self.before_answer(answered)
        await send({"type": "http.response.start", "status": kept.status, "headers": [*kept.headers, *more]})
        await send({"type": "http.response.body", "body": kept.body})
        labels = (served.model, str(served.version), "mlflow", str(kept.status))
        self.counts.answered(labels, 0, perf_counter() - started, kept.body)
        if self.after_answer is not None:
            self.after_answer(answered)

    async def _too_large(self, send: Send) -> None:
        told = f"The body is larger than the {self.limits.body} bytes that this server takes. Send fewer rows at once."
        await self.refuse(send, "body", 413, told, (CLOSE,))

    def _allowed(self, scope: Scope) -> bool:
        if scope["path"] in OPEN_PATHS:
            return True
        given = header(scope, b"authorization") or b""
        return hmac.compare_digest(given, self._bearer or b"")


_INVALID = "INVALID_PARAMETER_VALUE"
_CODES = {401: "UNAUTHENTICATED", 413: _INVALID, 422: _INVALID, 503: "TEMPORARILY_UNAVAILABLE"}


def _mlflow_timeout() -> float:
    from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT

    return float(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get())
