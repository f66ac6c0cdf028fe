"""What a verb answers: plain facts, shown as a table in the shell and in notebooks, with links to both UIs."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

_CELL = 100  # letters of a cell that Prefect shows whole


@dataclass(frozen=True, slots=True)
class Result:
    """The facts of one step.

    Attributes:
        verb: what was done.
        as_of: the moment it was about, ISO 8601 UTC; empty where there is none.
        facts: plain values by name, in the order they are shown; JSON can hold all of them. A list of mappings is
            shown as a table.
        links: pages by name.
        ids: `mlflow_run_id` and `flow_run_id`, where there are any.
    """

    verb: str
    model: str
    as_of: str
    facts: Mapping[str, Any]
    links: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The whole result as one JSON object."""
        plain = {name: getattr(self, name) for name in ("verb", "model", "as_of", "facts", "links", "ids")}
        return json.dumps(plain, default=str, sort_keys=False)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read back what `to_json` wrote."""
        return cls(**json.loads(text))

    def linked(self, links: Mapping[str, str], ids: Mapping[str, str]) -> Result:
        """The same result with pages and ids."""
        return replace(self, links={**self.links, **links}, ids={**self.ids, **ids})

    def rows(self) -> list[tuple[str, str]]:
        """What is shown: name and text, one row a fact."""
        return [
            (name.replace("_", " "), spoken(value))
            for name, value in self.facts.items()
            if not name.startswith("_") and not _is_table(value)
        ]

    def tables(self) -> list[Listing]:
        """The facts that are tables."""
        shown = [(name, value) for name, value in self.facts.items() if not name.startswith("_")]
        return [Listing.of(name.replace("_", " "), value) for name, value in shown if _is_table(value)]

    def __str__(self) -> str:
        shown = self.rows()
        width = max((len(name) for name, _ in shown), default=0)
        head = " ".join(part for part in (self.verb, self.model, self.as_of) if part)
        lines = [head, *(f"  {name:<{width}}  {text}" for name, text in shown), *map(str, self.tables())]
        return "\n".join([*lines, *(f"  {name}: {url}" for name, url in self.links.items())])

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.rows()
        )
        tables = "".join(table.html() for table in self.tables())
        links = " · ".join(f"<a href='{html.escape(url)}'>{html.escape(name)}</a>" for name, url in self.links.items())
        head = html.escape(f"{self.verb} {self.model} {self.as_of}")
        return f"<table><caption>{head}</caption>{cells}</table>{tables}<p>{links}</p>"

    def markdown(self) -> str:
        """The same as Markdown, for a Prefect artifact and the description of an MLflow run.

        Links come first, since MLflow folds a long description; long texts last, since Prefect cuts a table's cell.
        """
        links = " · ".join(f"[{name}]({url})" for name, url in self.links.items())
        rows = self.rows()
        cells = [(name, text.replace("|", "\\|").replace("\n", " ")) for name, text in rows if len(text) <= _CELL]
        table = "\n".join(f"| {name} | {text} |" for name, text in cells)
        tables = [listing.markdown() for listing in self.tables()]
        long = "\n\n".join([*tables, *(f"**{n}**\n\n{_points(text)}" for n, text in rows if len(text) > _CELL)])
        return f"{links}\n\n| | |\n|---|---|\n{table}\n\n{long}\n"


@dataclass(frozen=True, slots=True)
class Listing:
    """A fact that is a table: its columns, and its cells as a person reads them."""

    name: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, name: str, rows: Sequence[Mapping[str, Any]]) -> Listing:
        """The table of some rows, with every column that one of them has."""
        columns = tuple(dict.fromkeys(column for row in rows for column in row))
        return cls(name, columns, tuple(tuple(_cell(row.get(column)) for column in columns) for row in rows))

    def __str__(self) -> str:
        lines = [tuple(column.replace("_", " ") for column in self.columns), *self.cells]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([f"  {self.name}", *(f"    {line.rstrip()}" for line in shown)])

    def html(self) -> str:
        """The table as HTML."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.cells
        )
        return f"<table><caption>{html.escape(self.name)}</caption><tr>{head}</tr>{body}</table>"

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.columns, tuple("---" for _ in self.columns), *self.cells]
        told = [
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
        ]
        return "\n".join([f"**{self.name}**", "", *told])


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _cell(value: object) -> str:
    return "" if value is None else spoken(value)


def _points(text: str) -> str:
    return "\n".join(f"- {part}" for part in text.split("; "))


def spoken(value: object) -> str:
    """A value as a person reads it."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {spoken(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(spoken(item) for item in value) or "none"
    return str(value)
