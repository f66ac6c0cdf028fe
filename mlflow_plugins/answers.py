"""No answer is not the answer no: an MLflow that cannot be reached becomes `UnreachableError`, here only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lifecycle.errors import UnreachableError

_SECRET = re.compile(r"(?<=://)[^@/]+(?=@)")
_BUSY = "TEMPORARILY_UNAVAILABLE"
_SERVER_FAILED = {"INTERNAL_ERROR", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}


def without_secret(address: str) -> str:
    """The address without user and password, as it may be shown.

    >>> without_secret("postgresql://ops:hunter2@db/ledger")
    'postgresql://***@db/ledger'
    """
    return _SECRET.sub("***", address)


@contextmanager
def answers(address: str) -> Iterator[None]:
    """Run calls to MLflow at this address; whatever it answers passes, also when it answers with an error.

    Raises:
        UnreachableError: the connection failed, timed out, or the server said it cannot answer (5xx).
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except RequestException as error:
        raise _unreachable(address, error) from error
    except MlflowException as error:
        remote = address.startswith("http")
        failed_there = remote and error.error_code in _SERVER_FAILED
        if not (failed_there or error.error_code == _BUSY or _never_arrived(error)):
            raise
        raise _unreachable(address, error) from error


def _never_arrived(error: BaseException) -> bool:
    """MLflow wraps what `requests` raised, sometimes only as the context."""
    from requests.exceptions import RequestException

    cause = error.__cause__ or error.__context__
    return isinstance(cause, RequestException)


def _unreachable(address: str, error: Exception) -> UnreachableError:
    first_line = (str(error).splitlines() or [""])[0]
    return UnreachableError("MLflow", without_secret(address), without_secret(first_line)[:300])
