"""Features of a version, read from the online store while somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any

import polars as pl

from feature_store.errors import FeatureStoreError
from feature_store.online.answers import OnlineFeatures
from feature_store.online.errors import AskedOfThePastError, OnlineStoreError, ViewNotMaterializedError
from feature_store.online.opening import open_store
from feature_store.online.reader import OnlineReader
from mlflow_plugins.deployment.options import LookupOptions
from mlflow_plugins.deployment.question import Question
from mlflow_plugins.errors import FeaturesUnavailableError, QuestionError

_PAUSE = 1.0  # seconds after which a store that could not be opened is tried again


def is_far(store: str) -> bool:
    """Whether a read goes over the network, and must not keep others waiting."""
    return store.startswith(("redis://", "rediss://", "unix://"))


class FeatureLookup:
    """Opens the store at the first question, and again after it could not be opened.

    Attributes:
        waits: whether a read goes over the network, and must not keep others waiting.
        types: of the features in the store; none before it was opened.
    """

    def __init__(self, question: Question, options: LookupOptions) -> None:
        self.waits = is_far(options.store)
        self.types: Mapping[str, pl.DataType] | None = None
        self._question, self._options = question, options
        self._read: Callable[[Sequence[Mapping[str, Any]], datetime], OnlineFeatures] | None = None
        self._failed: tuple[float, FeatureStoreError] | None = None

    def read(self, questions: Sequence[Mapping[str, Any]], as_of: datetime) -> OnlineFeatures:
        """The features of questions asked at one moment.

        Raises:
            FeaturesUnavailableError: the store cannot be asked, does not hold the views, or not of this moment.
            QuestionError: a key is of another type.
        """
        try:
            read = self._read
            return self._opened()(questions, as_of) if read is None else read(questions, as_of)
        except AskedOfThePastError as error:
            raise FeaturesUnavailableError("past", error) from error
        except (OnlineStoreError, ViewNotMaterializedError) as error:
            raise FeaturesUnavailableError("unreachable", error) from error
        except FeatureStoreError as error:
            raise QuestionError(str(error)) from error

    def _opened(self) -> Callable[[Sequence[Mapping[str, Any]], datetime], OnlineFeatures]:
        if self._failed is not None and monotonic() - self._failed[0] < _PAUSE:
            raise self._failed[1]
        try:
            store = open_store(self._options.store, readonly=True, name=self._options.name)
            reader = OnlineReader(self._question.views, store, types=self._question.types)
        except FeatureStoreError as error:
            self._failed = (monotonic(), error)
            raise
        self.types, self._read = reader.types, reader.read
        return self._read
