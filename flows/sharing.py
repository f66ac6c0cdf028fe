"""Work that policies share in replay: the same rows and the same candidate are fitted once."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pandas as pd

from modeling.fit_function import FitFunction, as_fit_function
from modeling.tasks import Floats

Fits = MutableMapping[tuple[Any, ...], Any]
"""Fitted pipelines by content of the training set, number of rows and parameter values."""


def sharing(fit: Any, content: str, seed: int, fits: Fits) -> FitFunction:
    """The same way to fit, that looks first whether another policy has fitted these rows.

    Args:
        content: content digest of the whole training set; a candidate is told from others by its number of rows.
    """
    known = as_fit_function(fit)

    def once(X: pd.DataFrame, y: Floats, **arguments: Any) -> Any:
        values = {name: value for name, value in arguments.items() if name in known.tunables}
        key = (content, seed, len(X), tuple(sorted(values.items())))
        if key not in fits:
            fits[key] = known(X, y, seed=seed, values=values)
        return fits[key]

    return replace(known, function=once)
