"""Clients whose requests look like attempts to find out how the model answers.

Two signs: a request that nearly repeats another of the same client, and one that differs from the client's request
before in one column only, which is how a boundary is felt for. Honest clients do both now and then, so each client is
compared with all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.worth import ClientFinding
from monitoring.block_ratios import Floats, discoveries
from monitoring.columns import numbers_of

MIN_REQUESTS = 30
"""A client with fewer requests in the window is not judged."""

FLOOR = 0.2
"""A client below this share of odd requests is not reported, however significant."""

RATE = 0.01
_STEPS = 100


def odd_clients(requests: pd.DataFrame, features: Sequence[str], *, client: str) -> tuple[ClientFinding, ...]:
    """Clients with far more near-repeats or probing steps than all others together, oddest first.

    Args:
        requests: one row a request, in the order in which they came: features and the client's column.
        features: columns that the model reads.
        client: column that says who asked; rows without one are left out.
    """
    known = requests[requests[client].notna()]
    if not len(known):
        return ()
    who, names = pd.factorize(known[client].astype(str), sort=True)
    cells = _cells(known[list(features)])
    signs = np.stack([_repeated(who, cells), _probing(who, cells)])
    asked = np.bincount(who).astype(np.float64)
    odd = np.stack([np.bincount(who, sign) for sign in signs]).astype(np.float64)
    usual = (odd.sum(axis=1, keepdims=True) - odd) / np.maximum(asked.sum() - asked, 1)
    p = np.where(asked >= MIN_REQUESTS, _chance(odd, asked, usual).min(axis=0), np.nan)
    counts = discoveries(np.minimum(2 * p, 1.0), RATE) & ((odd / asked).max(axis=0) >= FLOOR)
    found = [_finding(str(names[int(k)]), asked[k], odd[:, k], usual[:, k], p[k]) for k in np.flatnonzero(counts)]
    return tuple(sorted(found, key=lambda one: (-max(one.repeated, one.probing), one.client)))


def _finding(client: str, asked: float, odd: Floats, usual: Floats, p: float) -> ClientFinding:
    repeated, probing = (float(share) for share in odd / asked)
    return ClientFinding(client, int(asked), repeated, probing, float(usual.max()), float(p))


def _cells(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Each value as the number of a cell: a hundredth of the middle half's width for numbers, itself for texts."""
    return np.column_stack([_cell(frame[name]) for name in frame.columns]).astype(np.int64)


def _cell(column: pd.Series[Any]) -> NDArray[np.int64]:
    finite = numbers_of(column)
    if finite is None:
        return np.asarray(pd.factorize(column.astype(object).where(column.isna(), column.astype(str)))[0], np.int64)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    low, high = np.quantile(finite, [0.25, 0.75]) if finite.size else (0.0, 0.0)
    width = float(high - low) / _STEPS or 1.0
    rounded = np.round(np.clip(values / width, -1e15, 1e15))
    return np.where(np.isnan(rounded), np.iinfo(np.int64).min, np.nan_to_num(rounded)).astype(np.int64)


def _repeated(who: NDArray[np.int64], cells: NDArray[np.int64]) -> Floats:
    """1 for a request whose every cell is that of an earlier request of the same client."""
    keyed = pd.DataFrame(np.column_stack([who, cells]))
    return keyed.duplicated(keep="first").to_numpy().astype(np.float64)


def _probing(who: NDArray[np.int64], cells: NDArray[np.int64]) -> Floats:
    """1 for a request that differs from the same client's one before in exactly one of several columns."""
    signs = np.zeros(len(who))
    if cells.shape[1] < 2:
        return signs
    order = np.argsort(who, kind="stable")
    same = who[order][1:] == who[order][:-1]
    changed = (cells[order][1:] != cells[order][:-1]).sum(axis=1)
    signs[order[1:]] = same & (changed == 1)
    return signs


def _chance(odd: Floats, asked: Floats, usual: Floats) -> Floats:
    """Of so many odd requests or more, were the client like all others; a rate of none is taken as one in all."""
    from scipy.special import bdtrc

    rate = np.clip(usual, 1 / max(asked.sum(), 1), 1)
    return np.where(odd > 0, bdtrc(np.maximum(odd - 1, 0), asked.astype(np.int64), rate), 1.0)
