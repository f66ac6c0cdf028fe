"""Features while somebody waits: resolved once, then one look into the store for all questions of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import polars as pl

from feature_store.as_of import timed
from feature_store.definitions.feature_view import Combined, Derived, Request, Transform, transform_name
from feature_store.definitions.transforms import transformed
from feature_store.errors import ColumnTypeError, MissingColumnsError, NaiveMomentError
from feature_store.online.answers import OnlineFeatures, Status, Statuses
from feature_store.online.catalog import Build, entries, types_of
from feature_store.online.cells import as_microseconds
from feature_store.online.errors import ViewNotMaterializedError
from feature_store.online.keys import RECORDS, NoEntity, Question, encoder
from feature_store.online.newest_answers import NewestAnswers
from feature_store.online.one_question import Answer, nothing_at_once, one_question
from feature_store.online.own_rows import OwnRows
from feature_store.online.plain_records import PlainLayout, PlainRows, plain_row, plain_rows
from feature_store.online.plan import NewestRow, OnlineViews, Part
from feature_store.online.presence import Presence
from feature_store.online.store import OnlineStore
from feature_store.online.window_answers import WindowAnswers

_NOWHERE = b"\x02"  # no record begins so
_UTC = pl.Datetime("us", "UTC")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Looked:
    """How one part is looked up and answered.

    Attributes:
        ending: what its keys end with.
        encode: the start of a question's key; one and the same function for parts about the same entity.
    """

    part: Part
    ending: bytes
    encode: Callable[[Question], bytes]
    answers: NewestAnswers | WindowAnswers
    types: Mapping[str, pl.DataType]


class OnlineReader:
    """Answers questions from an online store, as `features(...)` would from the lake at the same moment.

    Views are resolved once, here; a call costs one look into the store. What was materialized or pushed
    meanwhile is seen by the next call.

    Args:
        types: of the columns that questions bring.
        new_questions: questions are about rows that no source has told about yet. Otherwise a question that may
            be a row of a source brings the columns of its key, so that its own row can be left out.

    Raises:
        ViewNotMaterializedError: the store does not hold a view as it is defined now.
        MissingColumnsError, ColumnTypeError: questions lack a column by which rows are found, or have another type.
    """

    def __init__(
        self, online: OnlineViews, store: OnlineStore, *, types: Mapping[str, pl.DataType], new_questions: bool = False
    ) -> None:
        self.names = online.names
        self._online, self._store, self._types = online, store, dict(types)
        builds = _builds(online, store)
        encoders: dict[object, Callable[[Question], bytes]] = {}
        self._looked = [self._resolved(part, build, encoders) for part, build in zip(online.parts, builds, strict=True)]
        self._presence = Presence(online, builds, store)
        self._own = None if new_questions else OwnRows.of(online, builds, types)
        self._request = tuple(name for view in online.views if isinstance(view, Request) for name in view.columns)
        self._transforms = [one for view in online.views if isinstance(view, Derived) for one in view.transforms]
        _require(types, [*self._request, *_roots(self._transforms)])
        made = [*self._request, *map(transform_name, self._transforms), *(n for one in online.parts for n in one.names)]
        self._combined = [view for view in online.views if isinstance(view, Combined)]
        made += [one.name for one in self._combined]
        self._operands = [(one.value, made.index(one.of), made.index(one.to)) for one in self._combined]
        places = [made.index(name) for name in self.names]
        self._plain = bool(self._looked) and made == list(self.names) == [n for one in online.parts for n in one.names]
        self._arranged = _arrangement(places)
        plain = self._plain_layouts(builds)
        self._at_once = None if plain is None else plain_rows(plain)
        self._one = self._short_way(builds, None if plain is None else plain_row(plain))

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The types of the features that come from the store."""
        return {name: dtype for one in self._looked for name, dtype in one.types.items()}

    def read(self, questions: Sequence[Question], as_of: datetime) -> OnlineFeatures:
        """The features of n questions asked at one moment.

        Args:
            questions: the columns of each, as Python values of their types.
            as_of: with a time zone; not before the store was last written.

        Raises:
            StoreUnreachableError: the store cannot be asked; nothing is told to be missing.
            ViewNotMaterializedError: a view was removed since this reader was made.
            AskedOfThePastError: the store no longer knows what was the answer then.
            MissingColumnsError, ColumnTypeError: a question lacks a column, or has a value of another type.
        """
        try:
            at = as_microseconds(as_of)
        except TypeError as error:
            raise NaiveMomentError("as_of", as_of) from error
        if len(questions) == 1:
            found = self._one(questions[0], at)
            if found is not None:
                return OnlineFeatures(self.names, found, {})
        rows, odd = self._from_store(questions, at)
        if self._plain:
            return OnlineFeatures(self.names, rows, odd)
        brought = self._brought(questions, as_of)
        rows = [first + row for first, row in zip(brought, rows, strict=True)]
        for feature, (value, of, to) in zip(self._combined, self._operands, strict=True):
            rows = [(*row, value(row[of], row[to])) for row in rows]
            for told in odd.values():
                told[feature.name] = max(told.get(one, Status.FOUND) for one in (feature.of, feature.to))
        return OnlineFeatures(self.names, list(map(self._arranged, rows)), odd)

    def frame(self, questions: pl.DataFrame) -> pl.DataFrame:
        """The features of questions that bring their own `as_of`: the columns and types of `features(...)`.

        Raises:
            As `read` does.
        """
        questions = timed(questions)
        _require(questions.schema, self._types)
        for name, dtype in self._types.items():
            if questions.schema[name] != dtype:
                raise ColumnTypeError("questions", name, got=questions.schema[name], expected=dtype)
        stored = [name for one in self._looked for name in one.part.names]
        found: list[Row | None] = [None] * questions.height
        brought = questions.select(list(self._types)).rows(named=True)
        places = questions.select("as_of").with_row_index("place").group_by("as_of").agg("place")
        for as_of, group in places.iter_rows():
            rows, _ = self._from_store([brought[place] for place in group], as_microseconds(as_of))
            for place, row in zip(group, rows, strict=True):
                found[place] = row
        types = self.types
        columns = {
            name: pl.Series(name, [row[place] for row in found if row is not None], dtype=types[name])
            for place, name in enumerate(stored)
        }
        columns |= {name: questions[name] for name in self._request}
        columns |= {transform_name(one): transformed(one, questions) for one in self._transforms}
        for one in self._combined:
            columns[one.name] = one.values(columns[one.of], columns[one.to])
        kept = [name for name in questions.columns if name not in self.names]
        return questions.select(kept).with_columns(columns[name] for name in self.names)

    def _resolved(self, part: Part, build: Build, encoders: dict[object, Callable[[Question], bytes]]) -> _Looked:
        key = types_of(build.shape.key)
        _require(self._types, key)
        for name, dtype in key.items():
            if self._types[name] != dtype:
                raise ColumnTypeError("questions", name, got=self._types[name], expected=dtype)
        inputs = types_of(build.shape.inputs)
        # Who made the records may call their features otherwise: names are no part of a view's content.
        types = dict(zip(part.names, types_of(build.shape.features).values(), strict=True))
        answers = NewestAnswers(part, inputs) if isinstance(part, NewestRow) else WindowAnswers(part, inputs, types)
        encode = encoders.setdefault(tuple(key.items()), encoder(RECORDS, key))
        return _Looked(part, bytes.fromhex(build.ending), encode, answers, types)

    def _plain_layouts(self, builds: Sequence[Build]) -> list[PlainLayout] | None:
        """The layouts of all parts' records, where they are all about one entity and all plain."""
        layouts = [one.answers.plain for one in self._looked if one.answers.plain is not None]
        keys = [types_of(build.shape.key) for build in builds]
        if (
            not layouts
            or len(layouts) < len(self._looked)
            or self._own is not None
            or any(key != keys[0] for key in keys)
        ):
            return None
        return layouts

    def _short_way(self, builds: Sequence[Build], plain: PlainRows | None) -> Answer:
        keys = [types_of(build.shape.key) for build in builds]
        if not self._plain or self._own is not None or any(key != keys[0] for key in keys):
            return nothing_at_once
        endings = [bytes.fromhex(build.ending) for build in builds]
        quick = [one.answers.quick for one in self._looked]
        return one_question(keys[0], list(zip(endings, quick, strict=True)), self._store, plain)

    def _brought(self, questions: Sequence[Question], as_of: datetime) -> list[Row]:
        """What questions bring, and what is made of that alone."""
        asked = [tuple([one[name] for name in self._request]) for one in questions]
        if not self._transforms:
            return asked
        frame = pl.DataFrame([dict(one) for one in questions], schema=self._types)
        frame = frame.with_columns(pl.lit(as_of).cast(_UTC).alias("as_of"))
        made = pl.DataFrame([transformed(one, frame) for one in self._transforms]).rows()
        return [first + row for first, row in zip(asked, made, strict=True)]

    def _from_store(self, questions: Sequence[Question], at: int) -> tuple[list[Row], dict[int, dict[str, Status]]]:
        """The values of all parts one after the other."""
        keys, places = self._keys(questions)
        raws = self._store.get_many(keys)
        at_once = None if self._at_once is None else self._at_once(raws, at)
        if at_once is not None:
            return at_once, {}
        if None in raws:
            self._presence.check()
        own = None if self._own is None else self._own.asked(questions)
        rows: list[Row] | None = None if self._looked else [()] * len(questions)
        odd: dict[int, dict[str, Status]] = {}
        for one, place in zip(self._looked, places, strict=True):
            found, statuses = one.answers.answers(raws[place], at, own)
            rows = found if rows is None else [left + right for left, right in zip(rows, found, strict=True)]
            if statuses:
                _note(odd, one.part, statuses)
        return rows or [], odd

    def _keys(self, questions: Sequence[Question]) -> tuple[list[bytes], list[slice]]:
        """The keys of all parts, and where those of each part are.

        What neighbouring parts know of an entity stands together in the store, and is asked for together.
        """
        keys: list[bytes] = []
        places: list[slice] = []
        for _, group in groupby(self._looked, key=attrgetter("encode")):
            parts = list(group)
            endings, begin = [one.ending for one in parts], len(keys)
            keys += [entity + ending for entity in _entities(parts[0], questions) for ending in endings]
            places += [slice(begin + number, len(keys), len(parts)) for number in range(len(parts))]
        return keys, places


def _builds(online: OnlineViews, store: OnlineStore) -> list[Build]:
    found = [None if entry is None else entry.serving for entry in entries(online.parts, store)]
    lacking = {part.told for part, build in zip(online.parts, found, strict=True) if build is None}
    if lacking:
        raise ViewNotMaterializedError(lacking, repr(store))
    return [build for build in found if build is not None]


def _require(present: Mapping[str, pl.DataType], needed: Sequence[str] | Mapping[str, pl.DataType]) -> None:
    missing = [name for name in needed if name not in present]
    if missing:
        raise MissingColumnsError("questions", missing, present)


def _roots(transforms: Sequence[Transform]) -> list[str]:
    return [root for one in transforms if isinstance(one, pl.Expr) for root in one.meta.root_names() if root != "as_of"]


def _arrangement(places: Sequence[int]) -> Callable[[Row], Row]:
    if len(places) == 1:
        return lambda row: (row[places[0]],)
    return itemgetter(*places)


def _entities(one: _Looked, questions: Sequence[Question]) -> list[bytes]:
    encode = one.encode
    try:
        return [encode(question) for question in questions]
    except (NoEntity, KeyError):
        return [_entity(one, question) for question in questions]


def _entity(one: _Looked, question: Question) -> bytes:
    try:
        return one.encode(question)
    except NoEntity:
        return _NOWHERE
    except KeyError as error:
        raise MissingColumnsError(f"questions for {one.part.told}", [error.args[0]], question) from error


def _note(odd: dict[int, dict[str, Status]], part: Part, statuses: Statuses) -> None:
    for place, status in statuses.items():
        each = [status] * len(part.names) if isinstance(status, Status) else status
        told = {name: one for name, one in zip(part.names, each, strict=True) if one is not Status.FOUND}
        odd.setdefault(place, {}).update(told)
