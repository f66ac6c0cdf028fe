"""From scores to an answer: the functions that scikit-learn itself calls, in its order.

Most are elementwise, so a row's answer does not depend on its neighbours. `softmax` calls NumPy's exponential, whose
bits are those of the pipeline because it is the same call on the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from modeling.tasks import Floats


@dataclass(frozen=True, slots=True)
class Link:
    """One function of scores, with its constants."""

    name: str
    constants: tuple[float, ...] = ()


def _softmax(x: Floats, by_column: float) -> Floats:
    """In the memory layout of the estimator's own scores, because sums over other layouts have other last bits."""
    from sklearn.utils.extmath import softmax

    found: Floats = softmax(np.array(x, order="F" if by_column else "C"), copy=False)
    return found


def _pair(x: Floats) -> Floats:
    out = np.empty((len(x), 2))
    out[:, 1] = x.ravel()
    out[:, 0] = 1 - out[:, 1]
    return out


_FUNCTIONS: dict[str, Callable[..., Floats]] = {
    "mean": lambda x, n: x / n,
    "expit": lambda x: expit(x),
    "half expit": lambda x: expit(2 * x),
    "exp": lambda x: np.exp(x),
    "softmax": _softmax,
    "column": lambda x, k: x[:, int(k) : int(k) + 1],
    "platt": lambda x, a, b: expit(-(a * x + b)),
    "pair": _pair,
    "flat": lambda x: x.ravel(),
}
NAMES = frozenset(_FUNCTIONS)


def linked(links: Sequence[Link], scores: Floats) -> Floats:
    """The answer to n rows, (n,) or (n, k), from their scores, (n, k)."""
    with np.errstate(all="ignore"):  # overflow is an answer too: the pipeline's
        for link in links:
            scores = _FUNCTIONS[link.name](scores, *link.constants)
    return np.ascontiguousarray(scores)


def row_link(links: Sequence[Link]) -> Callable[[Any], tuple[float, ...]]:
    """The answer to one row from its scores, (k,): without arrays where there is one score."""
    if links == (Link("expit"), Link("pair")):
        return _yes_or_no
    if links == (Link("flat"),):
        return lambda scores: (float(scores[0]),)
    return lambda scores: tuple(linked(links, np.asarray(scores)[None, :]).ravel().tolist())


def _yes_or_no(scores: Any) -> tuple[float, ...]:
    p = float(expit(scores[0]))
    return (1 - p, p)
