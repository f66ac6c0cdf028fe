"""How a model is fitted: an estimator, or a function whose defaults name their search ranges."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from modeling.errors import FitFunctionError, SearchRangeError
from modeling.pipeline import fitted
from modeling.tasks import Floats


@dataclass(frozen=True, slots=True)
class Tunable:
    """A default value and the range in which a search may look for a better one.

    Attributes:
        log: whether to search on a logarithmic scale.
    """

    default: float
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.default, self.low, self.high))):
            raise SearchRangeError(self.default, self.low, self.high, "a value is not finite")
        if not self.low <= self.default <= self.high or self.low == self.high:
            raise SearchRangeError(self.default, self.low, self.high, "the default does not lie between low and high")
        if self.log and self.low <= 0:
            raise SearchRangeError(self.default, self.low, self.high, "a logarithmic range starts above zero")

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant: all three are written as such."""
        return all(isinstance(value, int) for value in (self.default, self.low, self.high))


def tune(default: float, low: float, high: float, *, log: bool = False) -> Any:
    """Mark a default of a fit function as searchable between `low` and `high`.

    Raises:
        SearchRangeError: the default lies outside, or a logarithmic range touches zero.
    """
    return Tunable(default, low, high, log)


@dataclass(frozen=True, slots=True)
class FitFunction:
    """A way to fit, with the names of what may be searched.

    Attributes:
        function: `fit(X, y, ...)`; returns an estimator, fitted or not yet fitted.
        tunables: search range by parameter, in the order of the signature.
    """

    name: str
    function: Callable[..., Any]
    tunables: Mapping[str, Tunable] = field(default_factory=dict)
    takes_seed: bool = False

    def __call__(self, X: pd.DataFrame, y: Floats, *, seed: int, values: Mapping[str, float] | None = None) -> Any:
        """Fit on prepared rows; what is not named in `values` has its default.

        Raises:
            FitFunctionError: what came back is no estimator, or it could not take the text columns.
        """
        arguments = {name: tunable.default for name, tunable in self.tunables.items()} | dict(values or {})
        if self.takes_seed:
            arguments["seed"] = seed
        made = self._call(X, y, arguments)
        if not hasattr(made, "fit") or not hasattr(made, "predict"):
            raise FitFunctionError(self.name, f"it returned {type(made).__name__}, which has no fit and predict")
        return made if _is_fitted(made) else fitted(made, X, y, seed=seed)

    def _call(self, X: pd.DataFrame, y: Floats, arguments: Mapping[str, float]) -> Any:
        try:
            return self.function(X, y, **arguments)
        except ValueError as error:
            if "could not convert string to float" not in str(error):
                raise
            raise FitFunctionError(
                self.name,
                "its estimator takes no text columns; return it unfitted, and they are encoded",
            ) from error


def as_fit_function(fit: Any) -> FitFunction:
    """Read an estimator, a pipeline or a function as a way to fit.

    Raises:
        FitFunctionError: it is none of these, or the function has a parameter without a default.
    """
    if isinstance(fit, FitFunction):
        return fit
    if isinstance(fit, type):
        raise FitFunctionError(fit.__name__, "it is a class; call it first")
    if hasattr(fit, "fit") and hasattr(fit, "get_params"):
        return FitFunction(type(fit).__name__, _Unfitted(fit))
    if not callable(fit):
        raise FitFunctionError(repr(fit), "it is neither an estimator nor a function")
    return _read_function(fit)


@dataclass(frozen=True, slots=True)
class _Unfitted:
    """An estimator as a fit function: clones it, so that fitting never changes what the user wrote."""

    estimator: Any

    def __call__(self, X: pd.DataFrame, y: Floats) -> Any:
        from sklearn.base import clone

        return clone(self.estimator)


def _read_function(function: Callable[..., Any]) -> FitFunction:
    name = getattr(function, "__name__", type(function).__name__)
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < 2:
        raise FitFunctionError(name, "it does not take X and y")
    rest = [parameter for parameter in parameters[2:] if parameter.name != "seed"]
    bare = [p.name for p in rest if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if bare:
        raise FitFunctionError(name, f"its parameters {bare} have no default")
    tunables = {p.name: p.default for p in rest if isinstance(p.default, Tunable)}
    return FitFunction(name, function, tunables, any(p.name == "seed" for p in parameters[2:]))


def _is_fitted(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True
