"""The window aggregates that are the same offline and online: a closed set, each with one exact meaning.

The rows of a window at `as_of` are those that were known then and not yet replaced by a correction known
then, with `event_time` in `(as_of - over, as_of]`, and without the question's own row. Over their values:

- `len` counts rows, `count` values that are not null. The others leave nulls out, except `last` and `n_unique`.
- `sum` of floats is the real sum of the doubles, rounded once (`exact.exact_sum`); 0.0 of no values. float32
  values are summed as doubles and the result is rounded to float32. `sum` of whole numbers and booleans is a
  64-bit number; beyond that it is a `SumOverflowError`, never a wrapped number.
- `mean` is that sum as a double, divided by `count` (`exact.exact_mean`); null of no values.
- `std` is the sample standard deviation, ddof = 1 (`exact.exact_std`): the exact variance rounded once, then its
  root; null below two values, NaN where a value is not finite.
- A NaN makes `sum` and `mean` NaN, and so do both infinities together; one infinity is the answer.
- `min` and `max` leave NaN out unless there is nothing else; null of no values. A zero is 0.0 whatever its sign.
- `last` is the value, null too, of the newest row by (`event_time`, `available_at`, order of ingestion).
- `n_unique` counts different values: all nulls are one value, all NaN are one, and -0.0 is 0.0.

Over a window without rows: 0 for `len`, `count`, `sum` and `n_unique`, null for the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import polars as pl


class Kind(Enum):
    """What is made of a window's values."""

    LEN = "len"
    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    STD = "std"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    N_UNIQUE = "n_unique"


ADDED = frozenset({Kind.LEN, Kind.COUNT, Kind.SUM, Kind.MEAN, Kind.STD})
"""Those that follow from sums over rows, so that a row can be taken out again."""

_ROW_BY_ROW = (
    "Abs",
    "FillNull",
    *({"Boolean": name} for name in ("Not", "IsNull", "IsNotNull", "IsNan", "IsNotNan", "IsFinite", "IsInfinite")),
)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate of the closed set.

    Attributes:
        values: what it runs over, row by row; None for `len`.
    """

    kind: Kind
    values: pl.Expr | None

    def over(self, rows: pl.DataFrame) -> pl.Series:
        """The values of rows, one each."""
        if self.values is None:
            return pl.repeat(1, rows.height, dtype=pl.Int64, eager=True)
        return rows.select(self.values.alias("value"))["value"]


def recognise(expression: pl.Expr) -> Aggregate | None:
    """The aggregate that an expression is; None for anything else, which Polars evaluates, offline only.

    >>> recognise((pl.col("delay") > 15).mean().alias("late")).kind.value
    'mean'
    >>> recognise(pl.col("delay").sum() / pl.col("seats").sum()) is None
    True
    """
    plain = expression.meta.undo_aliases()
    tree = json.loads(plain.meta.serialize(format="json"))
    if tree == "Len":
        return Aggregate(Kind.LEN, None)
    if not (isinstance(tree, dict) and isinstance(tree.get("Agg"), dict)):
        return None
    ((name, inside),) = tree["Agg"].items()
    found = _aggregated(name, inside)
    if found is None:
        return None
    kind, inside = found
    if not _is_row_by_row(inside):
        return None
    (values,) = plain.meta.pop()  # and not read back from the text, which has no word for inf or NaN
    if not values.meta.root_names():  # a literal has one row, whatever the window
        return None
    return Aggregate(kind, None if kind is Kind.LEN else values)


def answer_type(aggregate: Aggregate, schema: Mapping[str, pl.DataType]) -> pl.DataType | None:
    """The type of the answer over rows of `schema`; None where the set does not hold for the type of the values."""
    if aggregate.values is None or aggregate.kind in {Kind.COUNT, Kind.N_UNIQUE}:
        return pl.Int64()
    dtype = pl.DataFrame(schema=schema).select(aggregate.values.alias("value")).schema["value"]
    number = dtype.is_integer() or dtype.is_float() or dtype == pl.Boolean
    match aggregate.kind:
        case Kind.LAST:
            return dtype
        case Kind.MIN | Kind.MAX:
            return dtype if number or isinstance(dtype, pl.Date | pl.Datetime) else None
        case Kind.SUM if number:
            return dtype if dtype.is_float() else pl.Int64()
        case Kind.MEAN | Kind.STD if number:
            return dtype if dtype.is_float() else pl.Float64()
    return None


def _aggregated(name: str, inside: Any) -> tuple[Kind, Any] | None:
    match name:
        case "Count":
            return (Kind.LEN if inside["include_nulls"] else Kind.COUNT), inside["input"]
        case "Min" | "Max":
            return None if inside["propagate_nans"] else (Kind(name.lower()), inside["input"])
        case "Std":
            return (Kind.STD, inside[0]) if inside[1] == 1 else None
        case "NUnique":
            return Kind.N_UNIQUE, inside
        case "Sum" | "Mean" | "Last":
            return Kind(name.lower()), inside
    return None


def _is_row_by_row(tree: Any) -> bool:
    """Whether a row's value depends on that row alone. What is not known to be so counts as not."""
    return isinstance(tree, dict) and all(_is_row_by_row(part) for part in _parts(*next(iter(tree.items()))))


def _parts(name: str, inside: Any) -> list[Any]:
    """What an expression that works row by row is made of; for any other, a part that is none."""
    match name:
        case "Column" | "Literal":
            return []
        case "BinaryExpr":
            return [inside["left"], inside["right"]]
        case "Cast":
            return [inside["expr"]]
        case "Ternary":
            return list(inside.values())
        case "Function" if inside["function"] in _ROW_BY_ROW:
            return list(inside["input"])
    return [None]
