"""The page for a person: Evidently's own, fed with the scores that were decided on.

Evidently computes every score three times and guesses column types by counting values; a window of a million rows
takes it two minutes. Here it gets declared types, a sample to draw, and the finished scores through a
registered test, so the numbers on the page are the findings and the page costs two seconds.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.drift_findings import look_first
from lifecycle.evidence import DriftFinding
from monitoring.drift import WASSERSTEIN
from monitoring.errors import NothingToReportError
from monitoring.reference import Reference

SAMPLE = 3000
_NONE: Mapping[str, DriftFinding] = MappingProxyType({})
_findings: ContextVar[Mapping[str, DriftFinding]] = ContextVar("findings_of_the_page", default=_NONE)


def write_report(
    reference: Reference,
    current: pd.DataFrame,
    findings: Sequence[DriftFinding],
    path: Path,
    title: str,
) -> Path:
    """Write a self-contained HTML page on the columns that have a score.

    What drifted stands at its head, most important first, and so do columns without a score, with the reason;
    Evidently would refuse the whole page because of one of them.

    Args:
        reference: the reference window; at most 3000 of its rows are drawn.
        current: rows of the current window; at most 3000 are drawn.
        findings: the scores to show; nothing is computed again.
        path: where to write; about 4 MB.
        title: what the page is about: model, version, window.

    Raises:
        NothingToReportError: no finding has a score.
    """
    shown = [finding for finding in findings if finding.score is not None]
    left_out = [f"{finding.column}: {finding.note}" for finding in findings if finding.score is None]
    if not shown:
        raise NothingToReportError(title, left_out)
    with _shown_as(shown):
        snapshot = _run(_sample(reference.frame, shown), _sample(current, shown), shown)
        path.parent.mkdir(parents=True, exist_ok=True)
        snapshot.save_html(str(path))
    _add_head(path, title, {"Drifted, most important first": _first(findings), "Not compared": left_out})
    return path


@contextmanager
def _shown_as(findings: Sequence[DriftFinding]) -> Iterator[None]:
    token = _findings.set({finding.column: finding for finding in findings})
    try:
        yield
    finally:
        _findings.reset(token)


def _run(reference: pd.DataFrame, current: pd.DataFrame, findings: Sequence[DriftFinding]) -> Any:
    os.environ.setdefault("DO_NOT_TRACK", "1")  # before the import, which is when Evidently looks
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [finding.column for finding in findings if finding.method == WASSERSTEIN]
    texts = [finding.column for finding in findings if finding.method != WASSERSTEIN]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    number_test, text_test = _registered_tests()
    preset = DataDriftPreset(
        columns=[finding.column for finding in findings],
        num_method=number_test,
        cat_method=text_test,
        per_column_threshold={finding.column: finding.threshold for finding in findings},
    )
    return Report([preset]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )


def _registered_tests() -> tuple[str, str]:
    """Names of the two tests that answer with the findings of the page that is being written."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    kinds = {"Wasserstein distance (normed)": ColumnType.Numerical, "Jensen-Shannon distance": ColumnType.Categorical}
    names = []
    for display, kind in kinds.items():
        names.append(f"incumbent {display}")
        register_stattest(StatTest(names[-1], display, [kind]), _look_up)
    return names[0], names[1]


def _look_up(reference: pd.Series[Any], current: pd.Series[Any], kind: object, threshold: float) -> tuple[float, bool]:
    """Answer Evidently, which hands over a column, with the score that the column has."""
    finding = _findings.get()[str(current.name)]
    return finding.score or 0.0, finding.far


def _sample(frame: pd.DataFrame, findings: Sequence[DriftFinding]) -> pd.DataFrame:
    """Some rows of the shown columns, in types Evidently takes; a column keeps one value at least.

    Every so many rows rather than random ones, so that a page is the same each time and spans its window.
    """
    rows = np.unique(np.linspace(0, len(frame) - 1, min(SAMPLE, len(frame))).astype(np.int64))
    columns = {}
    for finding in findings:
        whole = frame[finding.column]
        column = whole.iloc[rows]
        if column.isna().all():
            column = whole.dropna().iloc[: len(rows)].reset_index(drop=True).reindex(range(len(rows)))
        columns[finding.column] = _typed(column, finding)
    return pd.DataFrame(columns)


def _typed(column: pd.Series[Any], finding: DriftFinding) -> pd.Series[Any]:
    column = column.reset_index(drop=True)
    if finding.method == WASSERSTEIN:
        return column.astype(np.float64)
    return column.astype(object).where(column.isna(), column.astype(str))


def _first(findings: Sequence[DriftFinding]) -> list[str]:
    """What drifted, in the order to look, with the reasons."""
    return [f"{one.named}: {one.reason or one.note}" for one in look_first(findings)]


def _listed(what: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<p>{html.escape(what)}:</p><ol>{items}</ol>" if lines else ""


def _add_head(path: Path, title: str, lists: Mapping[str, Sequence[str]]) -> None:
    """Put the title, what drifted and what is not on the page above Evidently's content."""
    body_of_head = "".join(_listed(what, lines) for what, lines in lists.items())
    head = f'<header style="font-family:sans-serif;margin:2em"><h1>{html.escape(title)}</h1>{body_of_head}</header>'
    page = path.read_text(encoding="utf-8")
    before, body, after = page.partition("<body>")
    path.write_text(f"{before}{body}{head}{after}" if body else f"{head}{page}", encoding="utf-8")
