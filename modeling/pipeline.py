"""Declared types in, one pipeline out: categories are ordinal-encoded, and nothing else is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from modeling.errors import ColumnTypeError
from modeling.tasks import Floats

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Kind = Literal["text", "number"]

_KINDS_OF_OBJECTS: Mapping[str, Kind] = {
    "string": "text",
    "empty": "text",
    "boolean": "number",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
}


def column_kinds(X: pd.DataFrame) -> dict[str, Kind]:
    """What each column is, in column order; an object column without any value counts as text.

    Raises:
        ColumnTypeError: a column of dates, lists or mixed values.
    """
    return {str(name): _kind(X[name]) for name in X.columns}


def _kind(column: pd.Series[Any]) -> Kind:
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return "number"
    values = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found not in _KINDS_OF_OBJECTS:
        raise ColumnTypeError(str(column.name), found)
    return _KINDS_OF_OBJECTS[found]


def prepare(X: pd.DataFrame, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """The same rows in the two types a model sees: text as object (str or None), anything else as float64.

    Args:
        X: n rows; the index and the order of columns are kept.
        kinds: what the columns were at training; none means to look.

    Raises:
        ColumnTypeError: a column of dates, lists or mixed values, or text where a number was declared.
    """
    declared = kinds or column_kinds(X)
    return pd.DataFrame({name: _converted(X[name], declared[str(name)]) for name in X.columns}, index=X.index)


def _converted(column: pd.Series[Any], kind: Kind) -> pd.Series[Any]:
    if kind == "text":
        values = column.to_numpy(dtype=object, copy=True)
        values[column.isna().to_numpy()] = None
        return pd.Series(values, index=column.index, name=column.name, dtype=object)
    try:
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ColumnTypeError(str(column.name), pd.api.types.infer_dtype(column, skipna=True)) from error
    return pd.Series(numbers, index=column.index, name=column.name)


def build(estimator: Any, X: pd.DataFrame, *, seed: int) -> Pipeline:
    """An unfitted pipeline around a clone of the estimator; a pipeline of the user's own stays as it is.

    Unknown and missing categories become NaN. Columns are named, so a reordered frame predicts the same.

    Args:
        X: a prepared frame; only its columns and types are looked at.
        seed: set as `random_state` where the estimator has one that is still none.
    """
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    if isinstance(estimator, Pipeline):
        return _seeded(clone(estimator), seed)
    kinds = column_kinds(X)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns = ColumnTransformer(
        [
            ("text", encoder, [name for name, kind in kinds.items() if kind == "text"]),
            ("number", "passthrough", [name for name, kind in kinds.items() if kind == "number"]),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("columns", columns), ("model", _seeded(clone(estimator), seed))])


def _seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` that is none, nested ones too; a seed the user chose is theirs."""
    parameters = estimator.get_params(deep=True)
    unset = [name for name in parameters if name.split("__")[-1] == "random_state" and parameters[name] is None]
    return estimator.set_params(**dict.fromkeys(unset, seed))


def fitted(estimator: Any, X: pd.DataFrame, y: Floats, *, seed: int) -> Pipeline:
    """Build the pipeline and fit it on prepared rows."""
    from sklearn.pipeline import Pipeline

    rows = X if isinstance(estimator, Pipeline) else _missing_as_nan(X)
    return build(estimator, X, seed=seed).fit(rows, y)


def _missing_as_nan(X: pd.DataFrame) -> pd.DataFrame:
    """The frame to fit our encoder on: OrdinalEncoder takes None for one more category, and only NaN for missing.

    At prediction both work, because a None that was not seen in training is an unknown category. A pipeline of
    the user's own is fitted on what it will be asked with.
    """
    return X.assign(**{name: X[name].where(X[name].notna(), np.nan) for name in X.columns if X[name].dtype == object})
