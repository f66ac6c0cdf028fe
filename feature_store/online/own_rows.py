"""The question's own row: a row of the source that asks, which never feeds its own features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from feature_store.definitions.source import Source
from feature_store.errors import ColumnTypeError, MissingColumnsError
from feature_store.online.catalog import Build, types_of
from feature_store.online.keys import Question
from feature_store.online.plan import OnlineViews
from feature_store.storage.tables import own_digests


class OwnRows:
    """How the key of a question's own row is made of what the question brings."""

    def __init__(self, source: Source, types: Mapping[str, pl.DataType]) -> None:
        self._source, self._types = source, dict(types)

    @classmethod
    def of(cls, online: OnlineViews, builds: Sequence[Build], types: Mapping[str, pl.DataType]) -> OwnRows | None:
        """None where no question can be a row of a source that its features read.

        Raises:
            MissingColumnsError, ColumnTypeError: the questions do not bring the key of their rows.
        """
        parts = [(part, build) for part, build in zip(online.parts, builds, strict=True) if part.own]
        if not parts:
            return None
        source, key = parts[0][0].source, types_of(parts[0][1].shape.own)
        missing = set(key) - set(types)
        if missing:
            raise MissingColumnsError("questions (which may be rows of the source that asks)", missing, types)
        for name, dtype in key.items():
            if types[name] != dtype:
                raise ColumnTypeError("questions", name, got=types[name], expected=dtype)
        return cls(source, key)

    def asked(self, questions: Sequence[Question]) -> Digests:
        """The digests of the own rows of some questions, made when the first is asked for."""
        return Digests(self._source, self._types, questions)


class Digests:
    """The key digest of each question's own row."""

    __slots__ = ("_found", "_questions", "_source", "_types")

    def __init__(self, source: Source, types: Mapping[str, pl.DataType], questions: Sequence[Question]) -> None:
        self._source, self._types, self._questions = source, types, questions
        self._found: list[int] | None = None

    def __getitem__(self, place: int) -> int:
        if self._found is None:
            columns = {name: [one[name] for one in self._questions] for name in self._types}
            frame = pl.DataFrame(columns, schema=dict(self._types))
            self._found = own_digests(self._source, frame).tolist()
        return self._found[place]
