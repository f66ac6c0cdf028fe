"""From the lake's frames to what a model takes: one place, used by training, scoring and monitoring alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pandas as pd
import polars as pl

from feature_store.definitions.feature_view import feature_names
from feature_store.definitions.spine import Each, asked_source
from feature_store.offline.labels import question_key
from flows.model import Model


def key_names(model: Model) -> list[str]:
    """Columns that identify a question, beside `as_of`."""
    source = asked_source(model.spine)
    return list(source.key_columns or ()) if isinstance(model.spine, Each) else list(source.entity_columns)


def question_columns(model: Model) -> list[str]:
    """What a stored prediction keeps of its question: the key, and the entity that a label ahead is about."""
    return list(question_key(model.spine, model.label))


def model_input(frame: pl.DataFrame, model: Model) -> pd.DataFrame:
    """The features of a frame with declared types: text stays text, everything else is a double."""
    names = feature_names(model.features)
    typed = [pl.col(name) if frame.schema[name] == pl.String else pl.col(name).cast(pl.Float64) for name in names]
    return frame.select(typed).to_pandas()


def gone_features(columns: Iterable[str], model: Model) -> list[str]:
    """Columns that a version takes and the model file has no more."""
    return [name for name in columns if name not in feature_names(model.features)]


def predictions_table(model: str) -> str:
    """Name of the lake table that holds a model's predictions."""
    return f"predictions/{model}"


def requests_table(model: str) -> str:
    """Name of the lake table with requests that are no plain predictions: errors, and formats of MLflow's own."""
    return f"requests/{model}"


def stored_name(feature: str) -> str:
    """Name of a feature's column beside predictions, whose own columns (`origin`, `version`) a feature may share."""
    return f"feature.{feature}"


def stored_input(rows: pl.DataFrame, model: Model) -> pd.DataFrame:
    """What a model saw when it made stored predictions."""
    given = [pl.col(stored_name(name)).alias(name) for name in feature_names(model.features)]
    return model_input(rows.select(given), model)


def block_numbers(moments: pl.Series, block: timedelta) -> pl.Series:
    """The independent block each moment lies in, counted from 1970 (UTC): open at its start as windows are.

    >>> from datetime import datetime
    >>> days = pl.Series([datetime(2013, 1, 1, 23), datetime(2013, 1, 2), datetime(2013, 1, 2, 1)])
    >>> block_numbers(days, timedelta(days=1)).diff().to_list()
    [None, 0, 1]
    """
    return -(-moments.dt.epoch("us") // (block // timedelta(microseconds=1))) - 1
