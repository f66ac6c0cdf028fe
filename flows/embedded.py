"""Predictions in the caller's own process: from the artifact that the server answers from, checked like there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import Any

import msgspec
import numpy as np
import polars as pl

from flows.servers import addressed
from flows.serving import stored_models
from flows.settings import read_settings, set_environment
from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Values
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import StoredModel
from mlflow_plugins.deployment.served import Predict, Served
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import ColumnsNotGivenError, NotEmbeddableError, UnusualValueError
from mlflow_plugins.ledger import SqlLedger

FRESH_SECONDS = 5.0
_embedded: dict[str, _Embedded] = {}


def predict(model: str, rows: Any) -> np.ndarray:
    """What the scoring server would answer to these rows, computed here.

    The version is found, checked and loaded at the first call; a champion is followed: a few seconds after another
    promotion the next call loads its version.

    Args:
        model: as `incumbent serve` takes it: a registered name (its champion), NAME/VERSION, NAME@ALIAS, a model file.
        rows: a Polars or pandas frame, or mappings, with the columns of the model; further ones are left out.

    Returns:
        n predictions, bit for bit those of `/invocations`: for a yes or no n rows of two probabilities.

    Raises:
        NoChampionError, VersionNotFoundError, AliasNotSetError, NotServableError: there is no such version to serve.
        IntegrityError, UntrustedTypeError: it is not what was registered.
        NotEmbeddableError: its columns are no named scalars.
        ColumnsNotGivenError: the rows lack a column, or hold values that do not fit it.
    """
    found = _embedded.get(model)
    if found is None or found.is_past():
        found = _embedded[model] = _Embedded.loaded(model)
    return found.predict(rows)


@dataclass(slots=True)
class _Embedded:
    """A version in this process.

    Attributes:
        looked_at: when the ledger last told that it is the one to use, on the monotonic clock.
    """

    stored: StoredModel
    served: Served
    answer: Predict
    ledger_url: str
    looked_at: float
    plain: Predict | None = None

    @classmethod
    def loaded(cls, model: str) -> _Embedded:
        settings = addressed(read_settings())
        set_environment(settings)
        (stored,) = stored_models(settings, [model], None)
        served = load_served(stored)
        if served.predict is None:
            raise NotEmbeddableError(stored.model, stored.version)
        return cls(stored, served, served.predict, settings.ledger_url, monotonic())

    def is_past(self) -> bool:
        """Whether another version is champion by now; the ledger is asked every few seconds."""
        if not self.stored.follows or monotonic() - self.looked_at < FRESH_SECONDS:
            return False
        self.looked_at = monotonic()
        return SqlLedger(self.ledger_url).head(self.stored.model).epoch != self.stored.epoch

    def predict(self, rows: Any) -> np.ndarray:
        values = columns_of(rows, self.served.columns)
        if not values[0]:
            return np.empty((0, *(self.served.output.row_shape if self.served.output else ())))
        try:
            return np.asarray(self.answer(values))
        except UnusualValueError:
            # The plan leaves such a value to the model itself, which the server asks as well.
            if self.plain is None:
                self.plain = load_served(msgspec.structs.replace(self.stored, tier=Tier.TYPED)).predict
            assert self.plain is not None  # a version with a plan proves the tier below it
            return np.asarray(self.plain(values))


def columns_of(rows: Any, columns: Sequence[Column]) -> list[Values]:
    """The values of rows as a request brings them, in the order of the signature.

    Raises:
        ColumnsNotGivenError: see `predict`.
    """
    frame = _frame(rows)
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing and frame.height:
        raise ColumnsNotGivenError(f"they lack {missing}", [column.name for column in columns])
    if missing:
        return [[] for _ in columns]
    return [_values(frame[column.name], column, columns) for column in columns]


def _frame(rows: Any) -> pl.DataFrame:
    if isinstance(rows, pl.DataFrame):
        return rows
    if hasattr(rows, "iloc"):
        found: pl.DataFrame = pl.from_pandas(rows, nan_to_null=True)
        return found
    return pl.DataFrame(list(rows), infer_schema_length=None)


def _values(series: pl.Series, column: Column, columns: Sequence[Column]) -> Values:
    convert = _CONVERT[column.kind]
    try:
        values = [None if value is None else convert(value) for value in series.to_list()]
    except (TypeError, ValueError, OverflowError) as error:
        told = f"column {column.name!r} takes {column.kind}, and {series.dtype} does not fit: {error}"
        raise ColumnsNotGivenError(told, [one.name for one in columns]) from error
    if None in values and column.kind not in {Kind.DOUBLE, Kind.FLOAT, Kind.STRING, Kind.DATETIME}:
        raise ColumnsNotGivenError(f"column {column.name!r} takes no gaps", [one.name for one in columns])
    return values


def _number(value: Any) -> float:
    if isinstance(value, str):
        raise TypeError(f"{value!r} is text")
    if isinstance(value, datetime | date):
        raise TypeError(f"{value!r} is a moment")
    return float(value)


def _whole(value: Any) -> int:
    if value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


_CONVERT: dict[Kind, Callable[[Any], Any]] = {
    Kind.DOUBLE: _number,
    Kind.FLOAT: _number,
    Kind.LONG: _whole,
    Kind.INTEGER: _whole,
    Kind.BOOLEAN: bool,
    Kind.STRING: _text,
    Kind.DATETIME: lambda value: value if isinstance(value, str) else value.isoformat(),
}
