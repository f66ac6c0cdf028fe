"""A compiled pipeline: columns in, the pipeline's own answer out."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

from modeling.pipeline import Kind
from modeling.plan.engines import Engine, Scores, engine
from modeling.plan.features import Program
from modeling.plan.links import Link, linked, row_link
from modeling.plan.trees import Trees
from modeling.tasks import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A weighted sum of features: the same call of NumPy as the estimator's, on the same memory layout.

    Attributes:
        weights: (features,) or (features, k).
        intercept: (), (1,) or (k,).
        by_column: whether the features of several rows lie column by column in memory; another layout gives other
            last bits.
    """

    weights: Floats
    intercept: Floats
    by_column: bool = False

    def scores(self, X: Floats) -> Floats:
        """Scores of n rows, (n, k)."""
        with np.errstate(all="ignore"):  # overflow is an answer too: the pipeline's
            found: Floats = np.asarray(X, order="F" if self.by_column else "C") @ self.weights + self.intercept
        return found.reshape(len(X), -1)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A pipeline as data. It holds no code, and whether its answers are the pipeline's is for `verify` to say.

    Attributes:
        columns: names of the columns, in the order of the signature.
        kinds: of each column.
        program: from columns to features.
        model: from features to scores.
        links: from scores to the answer.
    """

    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    program: Program
    model: Trees | Linear
    links: tuple[Link, ...]
    _row: list[Callable[[Sequence[Any]], tuple[float, ...] | None]] = field(default_factory=list, repr=False)
    _batch: list[Callable[[Floats], Floats]] = field(default_factory=list, repr=False)

    def predict(self, columns: Sequence[Any], by: Engine | None = None) -> Floats | None:
        """Answer n rows, n >= 1.

        Args:
            columns: an array or list for each column, in the order of `self.columns`: numbers as float64 with NaN
                for missing, text as str or None.
            by: who computes it; none means the fastest.

        Returns:
            What `predict_proba`, (n, k), or `predict`, (n,), of the pipeline gives, as float64. None where the
            pipeline would raise on one of the rows: let it say so itself.
        """
        inputs = self.program.matrix(columns)
        X = None if inputs is None else (by or engine()).features(self.program, inputs)
        if X is None:
            return None
        if isinstance(self.model, Linear):
            return linked(self.links, self.model.scores(X))
        return linked(self.links, by.scores(self.model, X) if by is not None else self._scores(self.model, X))

    def predict_row(self, values: Sequence[Any]) -> tuple[float, ...] | None:
        """Answer one row, given as one value a column; the same bits as `predict` on that row alone.

        Returns:
            One number for each column of the answer; none where the pipeline would raise.
        """
        if not self._row:
            self._row.append(row_function(self, engine()))
        return self._row[0](values)

    def _scores(self, trees: Trees, X: Floats) -> Floats:
        if not self._batch:
            self._batch.append(engine().batch(trees))
        return self._batch[0](X)


def row_function(plan: Plan, by: Engine) -> Callable[[Sequence[Any]], tuple[float, ...] | None]:
    """A function that answers one row, with everything that does not depend on the row done beforehand."""
    program, link = plan.program, row_link(plan.links)
    scores = _row_scores(plan, by)
    read = _row_inputs(program.inputs, len(plan.columns))
    pack = struct.Struct(f"{len(program.inputs)}d").pack
    coded = tuple((place, codes.places.get, codes.place) for place, codes in program.codes.items())

    def answer(values: Sequence[Any]) -> tuple[float, ...] | None:
        row = read(values)
        for place, known, odd in coded:
            code = known(row[place])
            if code is None:
                code = odd(row[place])
            if code < 0:
                return None
            row[place] = code
        found = scores(np.frombuffer(pack(*row)))
        return None if found is None else link(found)

    return answer


def _row_inputs(inputs: tuple[int, ...], columns: int) -> Callable[[Sequence[Any]], list[Any]]:
    if inputs == tuple(range(columns)):
        return list
    if len(inputs) == 1:
        return lambda values: [values[inputs[0]]]
    chosen = itemgetter(*inputs)
    return lambda values: list(chosen(values))


def _row_scores(plan: Plan, by: Engine) -> Callable[[Floats], Scores | None]:
    if isinstance(plan.model, Trees):
        return by.row(plan.program, plan.model)
    return functools.partial(_linear_row, plan.program, plan.model, by)


def _linear_row(program: Program, model: Linear, by: Engine, inputs: Floats) -> Floats | None:
    X = by.features(program, inputs[None, :])
    return None if X is None else model.scores(X)[0]
