"""What stands above Evidently's content on a page: what the page is about, what it was made of, what was decided.

Evidently's own verdict is that a score reaches a fixed threshold; the policy listens to a rule calibrated on the
windows before. The two may differ on a column, and a reader is owed both.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from lifecycle.drift_findings import look_first
from lifecycle.evidence import DriftFinding

_HEADER = '<header style="font-family:sans-serif;margin:2em;line-height:1.4">'
_CELL = 'style="border:1px solid #ccc;padding:0.2em 0.6em;text-align:left;vertical-align:top"'
_SAID = {True: "drifted", False: "not drifted", None: "cannot tell"}


def add_head(path: Path, title: str, paragraphs: Iterable[str], table: str = "") -> None:
    """Put a title, paragraphs of plain text and a table in HTML at the top of the page in `path`."""
    told = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs)
    head = f"{_HEADER}<h1>{html.escape(title)}</h1>{told}{table}</header>"
    page = path.read_text(encoding="utf-8")
    before, body, after = page.partition("<body>")
    path.write_text(f"{before}{body}{head}{after}" if body else f"{head}{page}", encoding="utf-8")


def decided(findings: Sequence[DriftFinding]) -> str:
    """Every finding as a row of an HTML table: what drifted in the order to look, then all others in their order."""
    titles = ("column", "decided", "why", "score", "Evidently says", "p", "q", "rows", "importance")
    others = [finding for finding in findings if not finding.drifted]
    rows = [_row(finding) for finding in (*look_first(findings), *others)]
    return f'<table style="border-collapse:collapse">{_line("th", titles)}{"".join(rows)}</table>'


def _row(finding: DriftFinding) -> str:
    far = "" if finding.score is None else f"{'drift' if finding.far else 'no drift'} (from {finding.threshold:g} on)"
    return _line(
        "td",
        (
            finding.column,
            _SAID[finding.drifted],
            "; ".join(text for text in (finding.reason, finding.note) if text),
            _number(finding.score),
            far,
            _number(finding.p),
            _number(finding.q),
            f"{finding.rows:,}",
            "-" if finding.importance is None else f"{finding.importance:.0%}",
        ),
    )


def _line(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag} {_CELL}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
