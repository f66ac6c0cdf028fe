"""The question's own row: a row of the source that asks, which never feeds its own features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from feature_store.digest import row_digests
from feature_store.errors import ColumnTypeError, MissingColumnsError
from feature_store.online.catalog import Build, types_of
from feature_store.online.keys import Question
from feature_store.online.plan import OnlineViews


class OwnRows:
    """How the key of a question's own row is made of what the question brings."""

    def __init__(self, types: Mapping[str, pl.DataType]) -> None:
        self._types = dict(types)

    @classmethod
    def of(cls, online: OnlineViews, builds: Sequence[Build], types: Mapping[str, pl.DataType]) -> OwnRows | None:
        """None where no question can be a row of a source that its features read.

        Raises:
            MissingColumnsError, ColumnTypeError: the questions do not bring the key of their rows.
        """
        keys = [types_of(build.shape.own) for part, build in zip(online.parts, builds, strict=True) if part.own]
        if not keys:
            return None
        missing = set(keys[0]) - set(types)
        if missing:
            raise MissingColumnsError("questions (which may be rows of the source that asks)", missing, types)
        for name, dtype in keys[0].items():
            if types[name] != dtype:
                raise ColumnTypeError("questions", name, got=types[name], expected=dtype)
        return cls(keys[0])

    def asked(self, questions: Sequence[Question]) -> Digests:
        """The digests of the own rows of some questions, made when the first is asked for."""
        return Digests(self._types, questions)


class Digests:
    """The key digest of each question's own row."""

    __slots__ = ("_found", "_questions", "_types")

    def __init__(self, types: Mapping[str, pl.DataType], questions: Sequence[Question]) -> None:
        self._types, self._questions = types, questions
        self._found: list[int] | None = None

    def __getitem__(self, place: int) -> int:
        if self._found is None:
            columns = {name: [one[name] for one in self._questions] for name in self._types}
            frame = pl.DataFrame(columns, schema=dict(self._types))
            self._found = row_digests(frame).to_numpy().view(np.int64).tolist()
        return self._found[place]
