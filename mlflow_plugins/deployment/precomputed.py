"""Answers that were computed before anybody asked: looked up by key, without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from feature_store.errors import FeatureStoreError
from feature_store.online.catalog import types_of
from feature_store.online.errors import NoKeyedTableError, OnlineStoreError
from feature_store.online.keyed_table import Head, KeyedTable
from feature_store.online.opening import open_store
from feature_store.online.store import OnlineStore
from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.asgi import JSON, Headers, Receive, Scope, Send, respond, respond_json
from mlflow_plugins.deployment.columns import Column
from mlflow_plugins.deployment.decoding import Decoder
from mlflow_plugins.deployment.feature_lookup import is_far
from mlflow_plugins.deployment.options import LookupOptions
from mlflow_plugins.deployment.question import kind_of
from mlflow_plugins.deployment.questions import parse, parsers_of
from mlflow_plugins.deployment.served import headers_of
from mlflow_plugins.errors import QuestionError
from mlflow_plugins.precomputed_names import GRID, SCORES, TOP, table_name

_KINDS = {"/precomputed": SCORES, "/precomputed/top": TOP, "/precomputed/grid": GRID}
MISSING = b"null"


class PrecomputedPages:
    """Answers `/models/NAME/precomputed`, `.../top` and `.../grid`; false for another address.

    Args:
        models: whose answers may be asked for.
    """

    def __init__(self, models: Sequence[str], options: LookupOptions) -> None:
        self._models, self._options = frozenset(models), options
        self._far = is_far(options.store)
        self._store: OnlineStore | None = None
        self._tables: dict[str, Table] = {}

    async def __call__(self, application: Application, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request, or leave it to others."""
        named = self._named(scope["path"])
        if named is None or scope["method"] not in {"GET", "POST"}:
            return False
        body = b""
        if scope["method"] == "POST":
            whole = await application.read(scope, receive, send)
            if whole is None:
                return True
            body = whole
        try:
            await self._answer(application, named, body, send)
        except NoKeyedTableError as error:
            await _refuse(send, 404, "RESOURCE_DOES_NOT_EXIST", error)
        except (OnlineStoreError, TimeoutError) as error:
            retry = (b"retry-after", b"%d" % application.limits.retry_after)
            await _refuse(send, 503, "TEMPORARILY_UNAVAILABLE", error, (retry,))
        except (QuestionError, FeatureStoreError) as error:
            await _refuse(send, 400, "INVALID_PARAMETER_VALUE", error)
        return True

    def _named(self, path: str) -> tuple[str, str] | None:
        for ending, kind in _KINDS.items():
            if path.startswith("/models/") and path.endswith(ending):
                model = path.removeprefix("/models/").removesuffix(ending)
                return (model, kind) if model in self._models else None
        return None

    async def _answer(self, application: Application, named: tuple[str, str], body: bytes, send: Send) -> None:
        table = self._table(*named)
        if not body:
            head = table.keyed.head()
            told = {"model": named[0], "keys": dict(head.types), "rows": head.rows, **head.facts}
            await respond_json(send, told)
            return
        head, answers = await self._asked(table, body)
        found = len(answers) - answers.count(MISSING)
        application.counts.lookups[named[0], "precomputed"] += found
        application.counts.lookups[named[0], "not precomputed"] += len(answers) - found
        await respond(send, 200, b'{"predictions": [%b]}' % b", ".join(answers), (JSON, *_headers(named[0], head)))

    async def _asked(self, table: Table, body: bytes) -> tuple[Head, list[bytes]]:
        if not self._far:
            return table.ask(body)
        async with asyncio.timeout(self._options.deadline):
            return await asyncio.to_thread(table.ask, body)

    def _table(self, model: str, kind: str) -> Table:
        name = table_name(model, kind)
        if name not in self._tables:
            if self._store is None:
                self._store = open_store(self._options.store, readonly=True, name=self._options.name)
            self._tables[name] = Table(KeyedTable(self._store, name))
        return self._tables[name]


class Table:
    """One table, and how its keys are read from requests; several threads may ask at once."""

    def __init__(self, keyed: KeyedTable) -> None:
        self.keyed = keyed
        self._reader = _KeyReader({})

    def ask(self, body: bytes) -> tuple[Head, list[bytes]]:
        """The answers to the keys in a body.

        Raises:
            QuestionError: it does not hold the keys.
            NoKeyedTableError, StoreUnreachableError: nothing can be answered.
        """
        head, found = self.keyed.answer(lambda head: self._read_by(head).questions(body))
        return head, [MISSING if one is None else one for one in found]

    def _read_by(self, head: Head) -> _KeyReader:
        reader = self._reader
        if list(reader.types.items()) != list(head.types.items()):  # the first table, or one of another key
            self._reader = reader = _KeyReader(head.types)
        return reader


class _KeyReader:
    """Reads the keys of a table from requests.

    Attributes:
        types: of the columns of the key.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self.types = types
        read = types_of(types)
        self._decoder = Decoder([Column(name, kind_of(dtype)) for name, dtype in read.items()])
        self._parsers = parsers_of(read)

    def questions(self, body: bytes) -> list[Mapping[str, Any]]:
        """The keys in a body.

        Raises:
            QuestionError: it does not hold them.
        """
        names, values = list(self.types), self._decoder.decode(body)
        if values is None:
            raise QuestionError(f"it has to bring {names} as dataframe_records or dataframe_split, in this order")
        questions = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        parse(questions, self._parsers)
        return list(questions)


def _headers(model: str, head: Head) -> Headers:
    freshness = (b"x-incumbent-as-of", str(head.facts["as_of"]).encode())
    return (*headers_of(model, int(head.facts["version"]), int(head.facts["epoch"])), freshness)


async def _refuse(send: Send, status: int, code: str, error: Exception, headers: Headers = ()) -> None:
    await respond_json(send, {"error_code": code, "message": str(error)}, status, headers)
