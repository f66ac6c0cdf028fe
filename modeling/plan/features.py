"""From the columns of a question to the features of an estimator: tables for categories, arithmetic for numbers.

A category has finitely many meanings (each known value, any other value, None, NaN), so whatever a pipeline does to
it is a table, filled by asking the fitted transformers themselves. A number goes through a short list of steps, the
same operations in the same order as the transformers'. A value at which the pipeline would raise is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling.tasks import Floats

Ints = NDArray[np.int32]

UNKNOWN, NULL, NAN = 0, 1, 2
"""Places after the known values in a table: any other value, None, NaN."""
ODD = 3


class Op(IntEnum):
    """One step of arithmetic, or a check; `value` is its constant."""

    SUBTRACT = 0
    DIVIDE = 1
    MULTIPLY = 2
    ADD = 3
    FILL = 4  # value where NaN
    IS_NAN = 5
    FLOAT32 = 6  # rounded to float32, kept as float64
    AT_LEAST = 7
    AT_MOST = 8
    TABLE = 9  # the input is a place; value is where its table starts
    FINITE = 10  # refuse NaN and infinity
    NOT_INFINITE = 11  # refuse infinity


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one number."""

    op: Op
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Number:
    """A feature made of one numeric column by arithmetic."""

    column: int
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Category:
    """A feature made of one column by a table.

    Attributes:
        keys: the known values.
        table: what each known value becomes, then any other value, None and NaN.
        refused: for each place of the table, whether the pipeline raises there.
    """

    column: int
    keys: tuple[Any, ...]
    table: Floats
    refused: NDArray[np.bool_]


Feature = Number | Category


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Values of one column to places in its tables; a place below zero is refused."""

    column: int
    places: Mapping[Any, int]
    odd: tuple[int, int, int]

    def place(self, value: Any) -> int:
        """The place of any value."""
        known = self.places.get(value)
        if known is not None:
            return known
        if value is None:
            return self.odd[NULL]
        return self.odd[NAN if value != value else UNKNOWN]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What is computed for one row: first codes in Python, then steps in the kernel.

    Attributes:
        inputs: column of each input of the kernel.
        codes: which inputs are places in a table.
        source: for each feature, its input.
        starts: where the steps of each feature begin; one more than there are features.
        ops: operation of each step.
        values: constant of each step.
        tables: all tables, one after the other.
    """

    inputs: tuple[int, ...]
    codes: Mapping[int, Codes]
    source: Ints
    starts: Ints
    ops: Ints
    values: Floats
    tables: Floats

    def matrix(self, columns: Sequence[Any]) -> Floats | None:
        """The inputs of the kernel for n rows, (n, inputs); none where a value is refused."""
        found = np.empty((len(columns[0]), len(self.inputs)))
        for place, column in enumerate(self.inputs):
            codes = self.codes.get(place)
            if codes is None:
                found[:, place] = columns[column]
                continue
            places = list(map(codes.places.get, columns[column]))
            if None in places:
                places = list(map(codes.place, columns[column]))
            found[:, place] = places
            if (found[:, place] < 0).any():
                return None
        return found


def assemble(features: Sequence[Feature]) -> Program:
    """Lay features out for the kernel; features of one column and the same known values share an input."""
    inputs: dict[tuple[int, tuple[Any, ...] | None], int] = {}
    codes: dict[int, Codes] = {}
    source, steps, tables = [], [], [np.empty(0)]
    for feature in features:
        place = inputs.setdefault(_identity(feature), len(inputs))
        source.append(place)
        if isinstance(feature, Number):
            steps.append(feature.steps)
            continue
        codes[place] = _merged(feature, codes.get(place))
        steps.append((Step(Op.TABLE, float(sum(table.size for table in tables))),))
        tables.append(feature.table)
    every = list(itertools.chain(*steps))
    return Program(
        inputs=tuple(column for column, _ in inputs),
        codes=codes,
        source=np.array(source, np.int32),
        starts=np.cumsum([0, *map(len, steps)], dtype=np.int32),
        ops=np.array([step.op for step in every], np.int32),
        values=np.array([step.value for step in every], np.float64),
        tables=np.concatenate(tables),
    )


def _identity(feature: Feature) -> tuple[int, tuple[Any, ...] | None]:
    return (feature.column, None if isinstance(feature, Number) else feature.keys)


def _merged(feature: Category, known: Codes | None) -> Codes:
    """A place is refused as soon as one feature of it is."""
    places = np.where(feature.refused, -1, np.arange(feature.refused.size))
    if known is not None:
        before = [*known.places.values(), *known.odd]
        places = np.minimum(places, before)
    found = places.tolist()
    return Codes(feature.column, dict(zip(feature.keys, found, strict=False)), tuple(found[-ODD:]))
