"""Requests that bring the key of their question: with every column of the model, or completed from the online store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from feature_store.online.answers import OnlineFeatures, Status
from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Decoder, Values
from mlflow_plugins.deployment.feature_lookup import FeatureLookup
from mlflow_plugins.deployment.options import Gap, LookupOptions
from mlflow_plugins.deployment.question import Question
from mlflow_plugins.errors import FeaturesUnavailableError, QuestionError
from mlflow_plugins.request_log.lines import Asked

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOUND = "found"
Parsers = Sequence[tuple[str, Callable[[str], Any]]]


class Completed(NamedTuple):
    """A request as the model sees it.

    Attributes:
        values: columns in the order of the signature.
        outcomes: for the counts: how many questions were found whole, had something missing, and so on.
    """

    values: list[Values]
    asked: Asked
    outcomes: Mapping[str, int]


class Questions:
    """Reads the questions of one version.

    Attributes:
        keys: columns by which they are known, with the types of their values.
        waits: whether completing them may take long.
        deadline: seconds that it may take then.
    """

    def __init__(self, question: Question, signature: Sequence[Column], options: LookupOptions) -> None:
        self.keys = {name: str(question.types[name]) for name in question.key}
        self._question, self._options, self._names = question, options, list(question.types)
        self._gaps = {Status.MISSING: options.missing, Status.STALE: options.stale}
        self._signature = tuple(signature)
        further = [name for name in question.types if name not in {column.name for column in signature}]
        whole = (*question.columns(further), *signature)
        self._whole = Decoder(whole) if further else None
        self._whole_key = [[column.name for column in whole].index(name) for name in question.key] if further else []
        self._further = len(further)
        self._bare = Decoder(question.columns(list(question.types)))
        self._lookup = FeatureLookup(question, options)
        self.waits, self.deadline = self._lookup.waits, options.deadline
        self._parsers = parsers_of(question.types)
        self._sources = self._arranged()

    def whole(self, body: bytes, as_of: int | None) -> Completed | None:
        """A request with every column of the model and its key; none for another."""
        if self._whole is None:
            return None
        values = self._whole.decode(body)
        if values is None:
            return None
        return Completed(values[self._further :], Asked(as_of, [values[place] for place in self._whole_key]), {})

    def bare(self, body: bytes) -> list[Values] | None:
        """A request with nothing but what a question brings; none for another."""
        return self._bare.decode(body)

    def complete(self, brought: Sequence[Values], as_of: int) -> Completed:
        """Find the features of questions.

        Raises:
            QuestionError: something is missing or stale, and the operator refuses that; or a moment is none.
            FeaturesUnavailableError: the store cannot be asked.
        """
        names = self._names
        questions = [dict(zip(names, row, strict=True)) for row in zip(*brought, strict=True)]
        if self._parsers:
            parse(questions, self._parsers)
        found = self._lookup.read(questions, EPOCH + timedelta(microseconds=as_of))
        outcomes = self._judged(found, questions) if found.odd else {FOUND: len(questions)}
        return Completed(self._columns(found.rows, brought), self._asked(as_of, brought), outcomes)

    def without(self, brought: Sequence[Values], as_of: int, error: FeaturesUnavailableError) -> Completed:
        """Questions for which the store could not be asked: with gaps, where the operator allows that.

        Raises:
            FeaturesUnavailableError: he does not.
        """
        if self._options.unreachable is Gap.REFUSE:
            raise error
        rows = [(None,) * len(self._question.views.names)] * len(brought[0])
        return Completed(self._columns(rows, brought), self._asked(as_of, brought), {error.outcome: len(rows)})

    def _asked(self, as_of: int, brought: Sequence[Values]) -> Asked:
        return Asked(as_of, brought[: len(self.keys)])

    def _columns(self, rows: Sequence[tuple[Any, ...]], brought: Sequence[Values]) -> list[Values]:
        """The model's columns, of what was found and of what was brought."""
        found: list[Values] = list(zip(*rows, strict=True))
        columns: list[Values] = []
        for from_store, place, convert in self._sources:
            values = found[place] if from_store else brought[place]
            if convert is None or (len(values) == 1 and type(values[0]) is float):
                columns.append(values)
            else:
                columns.append([None if one is None else convert(one) for one in values])
        return columns

    def _arranged(self) -> list[tuple[bool, int, Callable[[Any], Any] | None]]:
        """For each column of the model whether it is found, at which place, and how it becomes what the model takes."""
        made, brought = list(self._question.views.names), list(self._question.types)
        arranged: list[tuple[bool, int, Callable[[Any], Any] | None]] = []
        for column in self._signature:
            from_store = column.name in made
            place = made.index(column.name) if from_store else brought.index(column.name)
            arranged.append((from_store, place, _as_double if column.kind is Kind.DOUBLE else None))
        return arranged

    def _judged(self, found: OnlineFeatures, questions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        whole = len(questions) - len(found.odd)
        outcomes = {FOUND: whole} if whole else {}
        for place, odd in found.odd.items():
            told = [status for status in (Status.MISSING, Status.STALE) if status in odd.values()]
            for status in told:
                if self._gaps[status] is Gap.REFUSE:
                    names = sorted(name for name, one in odd.items() if one is status)
                    of = ", ".join(f"{name} {questions[place][name]!r}" for name in self._question.key)
                    raise QuestionError(f"{names} of {of} are {status.name.lower()}")
            outcome = told[0].name.lower()
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return outcomes


def _as_double(value: Any) -> float:
    """As a cast to double makes it: moments are microseconds, and days days, since 1970."""
    if isinstance(value, datetime):
        return float((value - EPOCH) // timedelta(microseconds=1))
    if isinstance(value, date):
        return float((value - EPOCH.date()).days)
    return float(value)


def moment(text: str) -> datetime:
    """A moment with a zone.

    Raises:
        ValueError: it is none, or has no zone.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found.astimezone(UTC)


def parse(questions: Sequence[dict[str, Any]], parsers: Parsers) -> None:
    """Make moments and days of the texts that came.

    Raises:
        QuestionError: one is none.
    """
    try:
        for name, read in parsers:
            for question in questions:
                question[name] = read(question[name])
    except (ValueError, TypeError) as error:
        raise QuestionError(f"column {name!r}: {error}") from error


def parsers_of(types: Mapping[str, pl.DataType]) -> Parsers:
    """How the columns are read that come as text and are none."""
    return [(name, _PARSERS[type(dtype)]) for name, dtype in types.items() if type(dtype) in _PARSERS]


_PARSERS: dict[type[pl.DataType], Callable[[str], Any]] = {pl.Datetime: moment, pl.Date: date.fromisoformat}
