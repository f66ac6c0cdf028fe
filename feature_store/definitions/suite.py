"""A source's expectations in a file: inferred, reviewed, versioned by content, and a Great Expectations suite as it is.

`otherwise` says what becomes of what is not as expected: `note` it, `null` the cell, `quarantine` the row or `stop` the
batch. A check with `mostly`, or of a whole column or table, can only be noted or stop.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from feature_store.errors import SuiteUnreadableError
from feature_store.span import parse_span, span_text

NOTE, NULL, QUARANTINE, STOP = "note", "null", "quarantine", "stop"
_OTHERWISE = (NOTE, NULL, QUARANTINE, STOP)

BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
TYPE = "expect_column_values_to_be_in_type_list"
MEDIAN = "expect_column_median_to_be_between"
UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"
ROWS = "expect_table_row_count_to_be_between"
NEWEST = "expect_column_max_to_be_between"

DAYS, OLDEST = "days", "oldest"
"""What a batch tells a suite: the days since the one before it, and the moment that its newest row must reach."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a suite.

    Attributes:
        type: its name in Great Expectations; any of theirs may be written into the file.
        arguments: its keyword arguments as canonical JSON.
        why: what of the reference it was inferred from, for whoever reviews it.
        part: the column of moments with which its column becomes known; empty for what comes with the row.
        age: how old the newest row may be, for an expectation that names the parameter `oldest`.
    """

    type: str
    arguments: str
    otherwise: str = NOTE
    why: str = ""
    part: str = ""
    age: timedelta | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The keyword arguments."""
        found: dict[str, Any] = json.loads(self.arguments)
        return found

    @property
    def column(self) -> str:
        """The column it is about; empty for one about the whole table."""
        return str(self.given.get("column", ""))

    @property
    def is_of_rows(self) -> bool:
        """Whether each row passes or fails by itself."""
        return self.type.startswith("expect_column_values_") and self.type != TYPE and "mostly" not in self.given

    @property
    def told(self) -> str:
        """What is expected, as a person says it."""
        given = self.given
        share = f" in at least {given['mostly']:.0%} of the rows" if "mostly" in given else ""
        if self.type == NEWEST and self.age is not None:
            return f"a newest row at most {span_text(self.age)} old"
        if self.type in _TOLD:
            return _TOLD[self.type](given) + share
        rest = ", ".join(f"{name} {value}" for name, value in given.items() if name != "column")
        return f"{self.type.removeprefix('expect_').replace('_', ' ')} ({rest})"

    def because(self, why: str, part: str = "", age: timedelta | None = None) -> Check:
        """The same check with what it was inferred from, and to which rows it belongs."""
        return replace(self, why=why, part=part, age=age)

    def as_gx(self) -> Any:
        """The expectation itself. Raises SuiteUnreadableError where Great Expectations does not know it."""
        from great_expectations.exceptions.exceptions import GreatExpectationsError
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        try:
            return ExpectationConfiguration(type=self.type, kwargs=self.given).to_domain_obj()
        except (GreatExpectationsError, ValueError) as error:
            raise SuiteUnreadableError(self.type, str(error).partition("\n")[0]) from error

    def plain(self) -> dict[str, Any]:
        """As it stands in the file."""
        meta = {"otherwise": self.otherwise, "why": self.why}
        meta |= {"part": self.part} if self.part else {}
        meta |= {"age": span_text(self.age)} if self.age is not None else {}
        severity = "warning" if self.otherwise == NOTE else "critical"
        return {"type": self.type, "kwargs": self.given, "severity": severity, "meta": meta}


def check(kind: str, otherwise: str, /, **arguments: Any) -> Check:
    """Make a check of its arguments."""
    return Check(kind, json.dumps(arguments, sort_keys=True), otherwise)


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two suites at one check; `was` or `now` is empty where it came or went."""

    column: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The expectations of one source.

    Attributes:
        reference: what they were inferred from, in words.
    """

    source: str
    checks: tuple[Check, ...]
    reference: str = ""

    @property
    def version(self) -> str:
        """Digest of what is expected; another reference that leads to the same expectations is no other version."""
        plain = [{**one.plain(), "meta": {**one.plain()["meta"], "why": ""}} for one in self.checks]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The file's text, one expectation after the other, so that a diff shows what changed."""
        plain = {
            "name": self.source,
            "expectations": [one.plain() for one in self.checks],
            "meta": {"great_expectations_version": version("great_expectations"), "reference": self.reference},
        }
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"

    def changes(self, older: Suite | None) -> list[Change]:
        """What an older suite expects otherwise."""
        was, now = (_by_place(suite.checks if suite else ()) for suite in (older, self))
        places = list(dict.fromkeys([*now, *was]))
        found = [Change(place[0], was.get(place, ""), now.get(place, "")) for place in places]
        return [one for one in found if one.was != one.now]


def read_suite(path: Path) -> Suite | None:
    """The suite of a file, or none where there is no such file.

    Raises:
        SuiteUnreadableError: it is no suite, or says something that this version does not know.
    """
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        checks = tuple(_checks(path, plain["expectations"]))
        return Suite(str(plain["name"]), checks, str(plain.get("meta", {}).get("reference", "")))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SuiteUnreadableError(str(path), f"{type(error).__name__}: {error}") from error


def _checks(path: Path, expectations: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    for plain in expectations:
        meta = plain.get("meta") or {}
        age = parse_span(meta["age"]) if "age" in meta else None
        one = check(str(plain["type"]), str(meta.get("otherwise", NOTE)), **plain["kwargs"])
        one = one.because(str(meta.get("why", "")), str(meta.get("part", "")), age)
        if one.otherwise not in _OTHERWISE or (one.otherwise in {NULL, QUARANTINE} and not one.is_of_rows):
            raise SuiteUnreadableError(str(path), f"what fails {one.type} of {one.column!r} cannot {one.otherwise!r}")
        yield one


def _by_place(checks: Sequence[Check]) -> dict[tuple[str, str], str]:
    return {(one.column or "all columns", one.type): f"{one.told}, else {one.otherwise}" for one in checks}


def _between(given: Mapping[str, Any]) -> str:
    low, high = given.get("min_value"), given.get("max_value")
    return f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"


def _rows(given: Mapping[str, Any]) -> str:
    sides = [given.get(name) for name in ("min_value", "max_value")]
    low, high = (side["$PARAMETER"] if isinstance(side, Mapping) else side for side in sides)
    return f"{low} to {high} rows"


def _few(values: Sequence[Any]) -> str:
    shown = ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values[:5])
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"


_TOLD: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    BETWEEN: lambda given: f"within {_between(given)}",
    MEDIAN: lambda given: f"a median within {_between(given)}",
    NOT_NULL: lambda _: "a value",
    IN_SET: lambda given: f"one of {_few(given['value_set'])}",
    TYPE: lambda given: f"values of type {' or '.join(given['type_list'])}",
    UNIQUE: lambda given: f"at least {given['min_value']:.0%} different values",
    ROWS: _rows,
}
