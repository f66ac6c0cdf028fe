"""What must hold of a source's values, row by row, as a model file says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from feature_store.errors import SpecError

Otherwise = Literal["null", "quarantine", "stop"]


@dataclass(frozen=True, slots=True)
class _Expectation:
    """One column, and what becomes of values that are not as expected."""

    column: str
    otherwise: Otherwise

    def __post_init__(self) -> None:
        if self.otherwise not in {"null", "quarantine", "stop"}:
            raise SpecError(
                f"expectation of {self.column!r}",
                f"otherwise is {self.otherwise!r}",
                "Write null (the cell), quarantine (the row) or stop (the batch)",
            )


@dataclass(frozen=True, slots=True)
class Within(_Expectation):
    """Values lie in [low, high]; None leaves a side open. Nulls pass."""

    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        _Expectation.__post_init__(self)
        if self.low is None and self.high is None:
            raise SpecError(f"expectation of {self.column!r}", "within has no bound", "Give a low or a high bound")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SpecError(f"expectation of {self.column!r}", f"{self.low} exceeds {self.high}", "Swap the bounds")

    @property
    def told(self) -> str:
        return f"within [{'-inf' if self.low is None else self.low}, {'inf' if self.high is None else self.high}]"

    def as_gx(self) -> Any:
        from great_expectations.expectations.core.expect_column_values_to_be_between import (
            ExpectColumnValuesToBeBetween,
        )

        return ExpectColumnValuesToBeBetween(column=self.column, min_value=self.low, max_value=self.high)


@dataclass(frozen=True, slots=True)
class NotNull(_Expectation):
    """Every row has a value."""

    def __post_init__(self) -> None:
        _Expectation.__post_init__(self)
        if self.otherwise == "null":
            raise SpecError(
                f"expectation of {self.column!r}",
                "a null cannot be made null",
                "Write otherwise='quarantine' or otherwise='stop'",
            )

    @property
    def told(self) -> str:
        return "a value"

    def as_gx(self) -> Any:
        from great_expectations.expectations.core.expect_column_values_to_not_be_null import (
            ExpectColumnValuesToNotBeNull,
        )

        return ExpectColumnValuesToNotBeNull(column=self.column)


@dataclass(frozen=True, slots=True)
class OneOf(_Expectation):
    """Values are among the listed ones. Nulls pass."""

    values: tuple[Any, ...]

    @property
    def told(self) -> str:
        return f"one of {list(self.values)}"

    def as_gx(self) -> Any:
        from great_expectations.expectations.core.expect_column_values_to_be_in_set import ExpectColumnValuesToBeInSet

        return ExpectColumnValuesToBeInSet(column=self.column, value_set=list(self.values))


Expectation = Within | NotNull | OneOf


def within(column: str, low: float | None, high: float | None, *, otherwise: Otherwise = "quarantine") -> Within:
    """Expect values in [low, high]."""
    return Within(column, otherwise, low, high)


def not_null(column: str, *, otherwise: Otherwise = "quarantine") -> NotNull:
    """Expect a value in every row."""
    return NotNull(column, otherwise)


def one_of(column: str, values: Sequence[Any], *, otherwise: Otherwise = "quarantine") -> OneOf:
    """Expect values among the listed ones."""
    return OneOf(column, otherwise, tuple(values))
