"""A batch held against its expectations in one pass of Great Expectations.

Great Expectations takes seconds to import, so it is imported when the first batch is checked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import polars as pl

from feature_store.definitions.expectations import Expectation
from feature_store.definitions.suite import DAYS, NEWEST, OLDEST, ROWS, Check
from feature_store.errors import ExpectationFailedToRunError

Expected = Expectation | Check

FEWEST = 50
"""A batch with fewer rows says little about medians and shares, and is only checked row by row, for pace and age."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """What a suite asks about a batch beside its rows.

    Attributes:
        days: since the batch before; none for a source's first one, whose number of rows nothing is known about.
    """

    as_of: datetime
    days: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one expectation.

    Attributes:
        rows: by position, those that failed one that is of rows.
        observed: what was found, in words.
    """

    expectation: Expected
    passed: bool
    rows: tuple[int, ...]
    observed: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """An outcome in words, as it is recorded with the batch; `column` is empty for one about the whole table."""

    column: str
    expected: str
    observed: str
    passed: bool
    otherwise: str
    why: str = ""

    @classmethod
    def of(cls, outcome: Outcome) -> CheckResult:
        """Put an outcome into words."""
        one = outcome.expectation
        why = one.why if isinstance(one, Check) else "written in the model file"
        return cls(one.column, one.told, outcome.observed, outcome.passed, one.otherwise, why)

    @property
    def told(self) -> str:
        """What was found and what was expected, in a sentence."""
        return f"{self.observed}, expected {self.expected}"


def validate(source: str, expected: Sequence[Expected], frame: pl.DataFrame, pace: Pace) -> list[Outcome]:
    """Check what can be asked of a frame of so many rows, in the order of the expectations.

    Raises:
        ExpectationFailedToRunError: Great Expectations raised instead of answering.
        SuiteUnreadableError: it knows no such expectation.
    """
    asked = [one for one in expected if _is_askable(one, frame.height, pace)]
    if not asked:
        return []
    if frame.is_empty():
        return [Outcome(one, passed=not _least(one, pace), rows=(), observed="0") for one in asked]
    columns = list(dict.fromkeys(one.column for one in asked if one.column))
    suite, batches = _suite(source, tuple(asked))
    batch = batches.get_batch({"dataframe": frame.select(columns or frame.columns[:1]).to_pandas()})
    results = batch.validate(
        suite, result_format={"result_format": "COMPLETE"}, expectation_parameters=_parameters(asked, pace)
    ).results
    by_number = {result.expectation_config.meta["number"]: result for result in results}
    return [_outcome(source, one, by_number[number], frame) for number, one in enumerate(asked)]


def _is_askable(one: Expected, height: int, pace: Pace) -> bool:
    if not isinstance(one, Check) or one.is_of_rows:
        return height > 0
    if one.type == ROWS:
        return pace.days is not None or DAYS not in one.arguments
    return height >= (1 if one.type == NEWEST else FEWEST)


def _least(one: Expected, pace: Pace) -> float:
    """Rows that an empty batch lacks."""
    least = one.given.get("min_value") if isinstance(one, Check) else None
    text = str(least["$PARAMETER"]) if isinstance(least, Mapping) else str(least or 0)
    return float(text.partition(" ")[0]) * (pace.days or 0.0 if DAYS in text else 1.0)


def _parameters(asked: Sequence[Expected], pace: Pace) -> dict[str, Any]:
    ages = [one.age for one in asked if isinstance(one, Check) and one.age is not None]
    oldest = {OLDEST: pace.as_of - ages[0]} if ages else {}
    return {DAYS: pace.days, **oldest} if pace.days is not None else oldest


def great_expectations() -> Any:
    """The library, silenced."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations


@lru_cache(maxsize=64)
def _suite(source: str, expected: tuple[Expected, ...]) -> tuple[Any, Any]:
    """The suite and the batch definition of a source; made once, because making them costs more than using them."""
    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    suite = context.suites.add(gx.ExpectationSuite(name=source))
    for number, one in enumerate(expected):
        # Great Expectations returns results in an order of its own; the number tells which is which.
        check = one.as_gx()
        check.meta = {"number": number}
        suite.add_expectation(check)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset(source)
    return suite, asset.add_batch_definition_whole_dataframe("batch")


def _outcome(source: str, one: Expected, result: Any, frame: pl.DataFrame) -> Outcome:
    message = _raised(result.exception_info or {})
    if message is not None:
        raise ExpectationFailedToRunError(source, f"{one.column} {one.told}", message)
    found = result.result
    if "element_count" not in found:
        return Outcome(one, bool(result.success), (), _spoken(found.get("observed_value")))
    rows = tuple(int(row) for row in found["unexpected_index_list"]) if found["unexpected_count"] else ()
    observed = _counted(frame[one.column][list(rows)], frame.height)
    of_rows = not isinstance(one, Check) or one.is_of_rows
    return Outcome(one, bool(result.success), rows if of_rows else (), observed)


def _counted(failed: pl.Series, height: int) -> str:
    if failed.is_empty():
        return "as expected in every row"
    share = f"otherwise in {len(failed):,} of {height:,} rows"
    top = failed.drop_nulls().alias("value").value_counts(sort=True).sort("count", "value", descending=[True, False])
    shown = ", ".join(f"{_value(value)} ({count:,})" for value, count in top.head(_SHOWN).iter_rows())
    return f"{share}: {shown}" if shown else share


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _spoken(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, (int, float)) else str(value)


def _raised(info: dict[str, Any]) -> str | None:
    """The message of what was raised; Great Expectations nests it by metric, or does not."""
    for part in (info, *(value for value in info.values() if isinstance(value, dict))):
        if part.get("raised_exception"):
            return str(part.get("exception_message"))
    return None
