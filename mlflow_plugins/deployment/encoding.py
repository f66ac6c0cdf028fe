"""Predictions as the bytes that MLflow's scoring server would send."""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np


class Numbers(list[Any]):
    """Predictions as plain Python numbers, or lists of them; a compiled plan answers one row so, without an array."""


def encode(predictions: Any) -> bytes:
    r"""The body of an answer: what `json.dumps` writes, spaces, 1e-05 and NaN as there.

    >>> encode(np.array([[0.25, 1e-05]]))
    b'{"predictions": [[0.25, 1e-05]]}'
    >>> encode(np.array([float("nan")]))
    b'{"predictions": [NaN]}'
    """
    if type(predictions) is Numbers:
        text = list.__repr__(predictions)
    elif isinstance(predictions, np.ndarray) and predictions.dtype.kind in "fiu":
        text = repr(predictions.tolist())
    else:
        return as_mlflow(predictions)
    # A list of numbers reads the same in Python and in JSON, but for `nan` and `inf`.
    return as_mlflow(predictions) if "n" in text else b'{"predictions": %b}' % text.encode()


def as_mlflow(predictions: Any) -> bytes:
    """The same by MLflow's own code, for every kind of prediction."""
    from mlflow.pyfunc.scoring_server import predictions_to_json

    written = StringIO()
    predictions_to_json(predictions, written)
    return written.getvalue().encode()
