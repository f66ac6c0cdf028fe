"""What must hold of a source's values, checked by Great Expectations.

Great Expectations takes seconds to import, so it is imported when the first batch is checked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import polars as pl

from feature_store.errors import ExpectationFailedToRunError, SpecError

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
        return _great_expectations().expectations.ExpectColumnValuesToBeBetween(
            column=self.column, min_value=self.low, max_value=self.high
        )


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
        return _great_expectations().expectations.ExpectColumnValuesToNotBeNull(column=self.column)


@dataclass(frozen=True, slots=True)
class OneOf(_Expectation):
    """Values are among the listed ones. Nulls pass."""

    values: tuple[Any, ...]

    @property
    def told(self) -> str:
        return f"one of {list(self.values)}"

    def as_gx(self) -> Any:
        expectations = _great_expectations().expectations
        return expectations.ExpectColumnValuesToBeInSet(column=self.column, value_set=list(self.values))


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


@dataclass(frozen=True, slots=True)
class Unexpected:
    """The rows, by position, that one expectation found not as expected."""

    expectation: Expectation
    rows: tuple[int, ...]


def unexpected(source: str, expectations: Sequence[Expectation], frame: pl.DataFrame) -> list[Unexpected]:
    """Run expectations over a frame and return those that some row fails, with the rows.

    Raises:
        ExpectationFailedToRunError: Great Expectations raised instead of answering.
    """
    if not expectations or frame.is_empty():
        return []
    suite, batches = _suite(source, tuple(expectations))
    columns = list(dict.fromkeys(expectation.column for expectation in expectations))
    batch = batches.get_batch({"dataframe": frame.select(columns).to_pandas()})
    results = batch.validate(suite, result_format={"result_format": "COMPLETE"}).results
    by_number = {result.expectation_config.meta["number"]: result for result in results}
    found = [
        Unexpected(expectation, _rows(source, expectation, by_number[number]))
        for number, expectation in enumerate(expectations)
    ]
    return [one for one in found if one.rows]


def suite_json(source: str, expectations: Sequence[Expectation]) -> dict[str, Any]:
    """The expectations as a Great Expectations suite, without the ids that differ from run to run."""
    gx = _great_expectations()
    suite: dict[str, Any] = gx.ExpectationSuite(
        name=source, expectations=[expectation.as_gx() for expectation in expectations]
    ).to_json_dict()
    for part in (suite, *suite["expectations"]):
        part.pop("id", None)
    return suite


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations


@lru_cache(maxsize=64)
def _suite(source: str, expectations: tuple[Expectation, ...]) -> tuple[Any, Any]:
    """The suite and the batch definition of a source; made once, because making them costs more than using them."""
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    suite = context.suites.add(gx.ExpectationSuite(name=source))
    for number, expectation in enumerate(expectations):
        # Great Expectations returns results in an order of its own; the number tells which is which.
        check = expectation.as_gx()
        check.meta = {"number": number}
        suite.add_expectation(check)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset(source)
    return suite, asset.add_batch_definition_whole_dataframe("batch")


def _rows(source: str, expectation: Expectation, result: Any) -> tuple[int, ...]:
    message = _raised(result.exception_info or {})
    if message is not None:
        raise ExpectationFailedToRunError(source, f"{expectation.column} {expectation.told}", message)
    if result.success:
        return ()
    return tuple(int(row) for row in result.result["unexpected_index_list"])


def _raised(info: dict[str, Any]) -> str | None:
    """The message of what was raised; Great Expectations nests it by metric, or does not."""
    for part in (info, *(value for value in info.values() if isinstance(value, dict))):
        if part.get("raised_exception"):
            return str(part.get("exception_message"))
    return None
