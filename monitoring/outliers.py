"""How far from the usual a row is: one score a row, made of one surprise a column.

The surprise of a value is the negative logarithm of the share of reference values at least as far out on its side
(ECOD; Li, Zhao, Hu and others 2022), and beyond the reference's own range it goes on growing with the distance. Of a
category it is that of its share. The score is the sum, so that several odd values together count, and the columns
that contribute most are the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lifecycle.worth import OutlierFacts
from monitoring.encoding import Encoding

Floats = NDArray[np.float64]

SCORE = "outlier_score"
"""Name of the monitored column that holds the score."""

USUAL = 0.99
"""A row is extreme when its score exceeds this share of the reference's scores."""

_GRID = 512
_LIMITS = 1001
_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """What the reference window holds, as far as a score needs it.

    Attributes:
        encoding: of the features.
        grid: quantiles of each column of numbers, columns x 512; of categories the shares, by their code.
        nulls: share of rows without a value, of each column.
        rows: reference rows.
        scores: quantiles of the reference's own scores, 1001 from lowest to highest.
    """

    encoding: Encoding
    grid: Floats
    nulls: Floats
    rows: int
    scores: Floats

    @classmethod
    def of(cls, features: pd.DataFrame) -> Extremes:
        """Learn the reference window."""
        encoding = Encoding.of(features)
        X = encoding.matrix(features)
        kinds = list(encoding.columns.values())
        grid = [_quantiles(X[:, k]) if kinds[k] is None else _shares(X[:, k]) for k in range(X.shape[1])]
        nulls = np.isnan(X).mean(axis=0) if len(X) else np.zeros(X.shape[1])
        learned = cls(encoding, np.array(grid).reshape(X.shape[1], _GRID), nulls, len(X), np.zeros(_LIMITS))
        scores = learned.score(features)
        limits = np.quantile(scores, np.linspace(0, 1, _LIMITS)) if len(X) else np.full(_LIMITS, np.inf)
        return cls(encoding, learned.grid, nulls, len(X), limits)

    def surprises(self, features: pd.DataFrame) -> Floats:
        """Surprise of each value, rows x columns: a null's is that of their share in the reference, as an infinity's.

        A category that the reference has not is as surprising as any value can be inside of its range.
        """
        X = self.encoding.matrix(features)
        floor = 1 / (self.rows + 1)
        columns = []
        for k, (name, kind) in enumerate(self.encoding.columns.items()):
            known = np.isfinite(X[:, k])
            surprise = np.full(len(X), -np.log(max(self.nulls[k], floor)))
            if kind is not None and name in features:
                surprise[~known & features[name].notna().to_numpy()] = -np.log(floor)
            of = _of_numbers if kind is None else _of_categories
            surprise[known] = of(X[known, k], self.grid[k], floor)
            columns.append(surprise)
        return np.column_stack(columns) if columns else np.zeros((len(X), 0))

    def score(self, features: pd.DataFrame) -> Floats:
        """Sum of the surprises of each row."""
        scores: Floats = self.surprises(features).sum(axis=1)
        return scores

    def limit(self, share: float = USUAL) -> float:
        """The score that this share of the reference does not exceed."""
        return float(np.interp(share, np.linspace(0, 1, _LIMITS), self.scores))

    def reasons(self, features: pd.DataFrame, most: int = 2) -> list[str]:
        """For each row the columns that surprise most, each with its value."""
        surprises = self.surprises(features)
        names = list(self.encoding.columns)
        worst = np.argsort(-surprises, axis=1, kind="stable")[:, :most]
        values = features.reindex(columns=names)
        return [
            ", ".join(f"{names[k]}={values.iat[row, int(k)]}" for k in columns) for row, columns in enumerate(worst)
        ]

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """By name, to be stored."""
        return {f"{prefix}{name}": getattr(self, name) for name in ("grid", "nulls", "scores")}

    def plain(self) -> dict[str, Any]:
        """What JSON can hold of the rest."""
        return {"encoding": self.encoding.plain(), "rows": self.rows}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], prefix: str) -> Extremes:
        """The way back; raises KeyError where something is missing."""
        grid, nulls, scores = (arrays[f"{prefix}{name}"] for name in ("grid", "nulls", "scores"))
        return cls(Encoding.from_plain(plain["encoding"]), grid, nulls, int(plain["rows"]), scores)


def _quantiles(column: Floats) -> Floats:
    known = column[np.isfinite(column)]
    return np.quantile(known, np.linspace(0, 1, _GRID)) if known.size else np.full(_GRID, np.nan)


def _shares(codes: Floats) -> Floats:
    known = codes[np.isfinite(codes)].astype(np.int64)
    counts = np.bincount(np.minimum(known, _GRID - 1), minlength=_GRID).astype(np.float64)
    return counts / max(len(codes), 1)


def _of_numbers(values: Floats, grid: Floats, floor: float) -> Floats:
    if not np.isfinite(grid[0]):
        return np.full(values.size, -np.log(floor))
    below = np.searchsorted(grid, values, side="right") / _GRID
    above = 1 - np.searchsorted(grid, values, side="left") / _GRID
    tail = np.maximum(2 * np.minimum(below, above), floor)
    reach = float(grid[3 * _GRID // 4] - grid[_GRID // 4]) or float(grid[-1] - grid[0]) or abs(float(grid[0])) or 1.0
    beyond = np.maximum(np.maximum(values - grid[-1], grid[0] - values), 0.0) / reach
    surprise: Floats = -np.log(np.minimum(tail, 1.0)) + np.log1p(beyond) * -np.log(floor)
    return surprise


def _of_categories(codes: Floats, grid: Floats, floor: float) -> Floats:
    surprise: Floats = -np.log(np.maximum(grid[np.minimum(codes.astype(np.int64), _GRID - 1)], floor))
    return surprise


def outlier_facts(extremes: Extremes, features: pd.DataFrame, *, quarantined: int = 0) -> OutlierFacts:
    """How many rows lie past the reference's limit, and which columns make them do so."""
    if not len(features):
        return OutlierFacts(0, 0, 1 - USUAL, note="no rows")
    surprises = extremes.surprises(features)
    extreme = surprises.sum(axis=1) > extremes.limit()
    names = list(extremes.encoding.columns)
    led = np.bincount(surprises[extreme].argmax(axis=1), minlength=len(names)) if names else np.zeros(0, np.int64)
    leading = tuple(names[k] for k in np.argsort(-led, kind="stable")[:_SHOWN] if led[k])
    return OutlierFacts(len(features), int(extreme.sum()), 1 - USUAL, leading, quarantined)
