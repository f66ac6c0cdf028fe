"""Requests that bring the key of their question: with every column of the model, or completed from the online store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

from feature_store.online.answers import OnlineFeatures, Status
from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Decoder, Values
from mlflow_plugins.deployment.feature_lookup import FeatureLookup
from mlflow_plugins.deployment.options import Gap, LookupOptions
from mlflow_plugins.deployment.question import Question
from mlflow_plugins.errors import FeaturesUnavailableError, QuestionError
from mlflow_plugins.request_log.asked import Asked

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOUND = "found"
Row = tuple[Any, ...]
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
        self._picked = self._arranged()
        self._conversions: list[tuple[int, Callable[[Any], Any]]] | None = None
        self._tell_tale = _tell_tale(column.name for column in signature if column.name not in question.types)

    def lacks_features(self, body: bytes) -> bool:
        """Whether a body cannot bring every column of the model; without parsing it, so not all such are found."""
        return self._tell_tale is not None and self._tell_tale not in body and b"\\" not in body

    def whole(self, body: bytes, as_of: int | None) -> Completed | None:
        """A request with every column of the model and its key; none for another."""
        if self._whole is None or self.lacks_features(body):
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
        names, rows = self._names, list(zip(*brought, strict=True))
        questions = [dict(zip(names, row, strict=True)) for row in rows]
        if self._parsers:
            parse(questions, self._parsers)
        found = self._lookup.read(questions, EPOCH + timedelta(microseconds=as_of))
        outcomes = self._judged(found, questions) if found.odd else {FOUND: len(rows)}
        return Completed(self._columns(found.rows, rows), self._asked(as_of, brought), outcomes)

    def without(self, brought: Sequence[Values], as_of: int, error: FeaturesUnavailableError) -> Completed:
        """Questions for which the store could not be asked: with gaps, where the operator allows that.

        Raises:
            FeaturesUnavailableError: he does not.
        """
        if self._options.unreachable is Gap.REFUSE:
            raise error
        rows = [(None,) * len(self._question.views.names)] * len(brought[0])
        columns = self._columns(rows, list(zip(*brought, strict=True)))
        return Completed(columns, self._asked(as_of, brought), {error.outcome: len(rows)})

    def _asked(self, as_of: int, brought: Sequence[Values]) -> Asked:
        return Asked(as_of, brought[: len(self.keys)])

    def _columns(self, found: Sequence[Row], brought: Sequence[Row]) -> list[Values]:
        """The model's columns, of n rows of what was found and of what was brought."""
        rows = [self._picked(left + right) for left, right in zip(found, brought, strict=True)]
        columns: list[Values] = list(zip(*rows, strict=True))
        conversions = self._conversions
        if conversions is None:
            conversions = self._to_convert()
        for place, convert in conversions:
            columns[place] = [None if one is None else convert(one) for one in columns[place]]
        return columns

    def _arranged(self) -> Callable[[Row], Row]:
        """What takes the model's columns out of a row that was found and what was brought beside it."""
        names = [*self._question.views.names, *self._question.types]
        places = [names.index(column.name) for column in self._signature]
        return itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)

    def _to_convert(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """The columns that become doubles, by their places; known once the store was read, which names its types."""
        known = self._lookup.types
        doubles = [place for place, column in enumerate(self._signature) if column.kind is Kind.DOUBLE]
        if known is None:
            return [(place, _as_double) for place in doubles]
        types = {**self._question.types, **known}
        floats = {name for name, dtype in types.items() if dtype == pl.Float64}
        self._conversions = [(place, _as_double) for place in doubles if self._signature[place].name not in floats]
        return self._conversions

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


def _tell_tale(names: Iterable[str]) -> bytes | None:
    """How a body that brings one of these names spells it, unless it has a backslash; none where that is not sure."""
    plain = [name for name in names if re.fullmatch(r"[ \w.-]+", name, re.ASCII)]
    return f'"{plain[0]}"'.encode() if plain else None


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
        ValueError: it is none, has no zone, or lies outside of the years 1 to 9999 of UTC.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is not in the years 1 to 9999 of UTC") from error


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
