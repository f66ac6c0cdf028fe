"""What a verb answers: plain facts, shown as a table in the shell and in notebooks, with links to both UIs."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_CELL = 100  # letters of a cell that Prefect shows whole


@dataclass(frozen=True, slots=True)
class Result:
    """The facts of one step.

    Attributes:
        verb: what was done.
        as_of: the moment it was about, ISO 8601 UTC; empty where there is none.
        facts: plain values by name, in the order they are shown; JSON can hold all of them.
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
            (name.replace("_", " "), spoken(value)) for name, value in self.facts.items() if not name.startswith("_")
        ]

    def __str__(self) -> str:
        shown = self.rows()
        width = max((len(name) for name, _ in shown), default=0)
        head = " ".join(part for part in (self.verb, self.model, self.as_of) if part)
        lines = [head, *(f"  {name:<{width}}  {text}" for name, text in shown)]
        return "\n".join([*lines, *(f"  {name}: {url}" for name, url in self.links.items())])

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.rows()
        )
        links = " · ".join(f"<a href='{html.escape(url)}'>{html.escape(name)}</a>" for name, url in self.links.items())
        head = html.escape(f"{self.verb} {self.model} {self.as_of}")
        return f"<table><caption>{head}</caption>{cells}</table><p>{links}</p>"

    def markdown(self) -> str:
        """The same as Markdown, for a Prefect artifact and the description of an MLflow run.

        Links come first, since MLflow folds a long description; long texts last, since Prefect cuts a table's cell.
        """
        links = " · ".join(f"[{name}]({url})" for name, url in self.links.items())
        rows = self.rows()
        cells = [(name, text.replace("|", "\\|").replace("\n", " ")) for name, text in rows if len(text) <= _CELL]
        table = "\n".join(f"| {name} | {text} |" for name, text in cells)
        long = "\n\n".join(f"**{name}**\n\n{_points(text)}" for name, text in rows if len(text) > _CELL)
        return f"{links}\n\n| | |\n|---|---|\n{table}\n\n{long}\n"


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
