"""What the questions of a version are: its manifest says which views it learned from, and of which types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from feature_store.definitions.feature_view import Combined, Feature, Request, feature_names, request_columns
from feature_store.definitions.spec_text import canonical
from feature_store.errors import FeatureStoreError, SpecNotReadableError
from feature_store.offline.labels import question_key
from feature_store.offline.spec_reading import read_spec
from feature_store.online.plan import OnlineViews
from feature_store.storage.stored_types import TYPES
from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.errors import NoQuestionsError

_TYPES: dict[str, pl.DataType] = {str(one): one() if isinstance(one, type) else one for one in TYPES}


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What a question of a version brings, and what is found for it.

    Attributes:
        key: the columns by which questions of one moment are told apart; they are logged.
        types: of all columns that a question brings, the key first.
        views: what is computed for it, and looked up.
    """

    key: tuple[str, ...]
    types: Mapping[str, pl.DataType]
    views: OnlineViews

    @classmethod
    def of(cls, manifest: Mapping[str, Any], signature: Sequence[Column]) -> Question:
        """Read it from a manifest; no user file is run.

        A feature made by a function that is not loaded here is brought by the question.

        Raises:
            NoQuestionsError: the manifest does not say enough, or a view works only offline.
        """
        try:
            data = manifest["data"]
            spine, label = read_spec(data["spine"]), read_spec(data["label"])
            views = _readable(data["views"])
            online = OnlineViews(_looked_up(views, data["types"]), spine)
            key = question_key(spine, label)
            lost = [column.name for column in signature if column.name not in feature_names(views)]
            needed = dict.fromkeys([*key, *request_columns(views, spine), *lost])
            types = {name: _TYPES[data["types"][name]] for name in needed if name != "as_of"}
        except KeyError as error:
            raise NoQuestionsError(f"its manifest does not tell {error}; register it anew") from error
        except FeatureStoreError as error:
            raise NoQuestionsError(str(error)) from error
        return cls(key, types, online)

    def columns(self, names: Sequence[str]) -> tuple[Column, ...]:
        """Some of its columns, as a request spells them."""
        return tuple(Column(name, kind_of(self.types[name])) for name in names)


def _readable(text: str) -> list[Feature]:
    found = []
    for plain in json.loads(text):
        try:
            found.append(read_spec(canonical(plain)))
        except SpecNotReadableError:
            continue
    return found


def _looked_up(views: Sequence[Feature], types: Mapping[str, str]) -> Sequence[Feature]:
    """The views without what a question brings as it is: the store would only hand it back.

    It stays where something is made of it, and where it comes as text and becomes a moment or a day.
    """
    asked = [view for view in views if isinstance(view, Request)]
    read = {name for view in asked for name in view.columns if kind_of(_TYPES[types[name]]) is Kind.DATETIME}
    rest = [view for view in views if not isinstance(view, Request)]
    return rest if rest and not read and not any(isinstance(view, Combined) for view in rest) else views


def kind_of(dtype: pl.DataType) -> Kind:
    """How a request spells values of a type; moments and days are text."""
    if dtype == pl.String:
        return Kind.STRING
    if dtype == pl.Boolean:
        return Kind.BOOLEAN
    if dtype.is_integer():
        return Kind.LONG
    return Kind.DOUBLE if dtype.is_float() else Kind.DATETIME
