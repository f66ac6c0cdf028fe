"""A request that does not bring the model's columns alone: read, and completed while its client waits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from mlflow_plugins.deployment.asgi import Scope, header
from mlflow_plugins.deployment.questions import EPOCH, Completed, Questions, moment
from mlflow_plugins.errors import FeaturesUnavailableError, QuestionError
from mlflow_plugins.request_log.writer import now

AS_OF = b"x-incumbent-as-of"
_lookups = ThreadPoolExecutor(8, thread_name_prefix="lookup")


def completed_at_once(questions: Questions, scope: Scope, body: bytes) -> Completed | None:
    """The request as the model sees it; none where it is no question, or completing it may take long.

    Raises:
        QuestionError, FeaturesUnavailableError: it cannot be completed.
    """
    as_of = asked_as_of(scope)
    found = questions.whole(body, as_of)
    if found is not None or questions.waits:
        return found
    brought = questions.bare(body)
    return None if brought is None else questions.complete(brought, now() if as_of is None else as_of)


async def completed_in_time(questions: Questions, scope: Scope, body: bytes) -> Completed | None:
    """The same, however long it may take, and with gaps where the store cannot be asked and the operator allows it.

    Raises:
        QuestionError, FeaturesUnavailableError: he does not.
    """
    as_of = asked_as_of(scope)
    found = questions.whole(body, as_of)
    brought = None if found is not None else questions.bare(body)
    if brought is None:
        return found
    asked = now() if as_of is None else as_of
    try:
        if not questions.waits:
            return questions.complete(brought, asked)
        async with asyncio.timeout(questions.deadline):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_lookups, questions.complete, brought, asked)
    except TimeoutError:
        late = FeaturesUnavailableError("late", f"it took longer than {questions.deadline:g} s.")
        return questions.without(brought, asked, late)
    except FeaturesUnavailableError as error:
        return questions.without(brought, asked, error)


def asked_as_of(scope: Scope) -> int | None:
    """Microseconds since 1970 (UTC) of the moment that a request says it is asked about; none where it does not.

    Raises:
        QuestionError: it is no moment with a zone.
    """
    text = header(scope, AS_OF)
    if text is None:
        return None
    try:
        found = moment(text.decode())
    except ValueError as error:
        raise QuestionError(f"{AS_OF.decode()}: {error}") from error
    return (found - EPOCH) // timedelta(microseconds=1)
