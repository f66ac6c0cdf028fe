"""The page for a person: Evidently's own, fed with the scores that were decided on.

Evidently computes every score three times and guesses column types by counting values; a window of a million rows
takes it two minutes. Here it gets declared types, a sample to draw, and the finished scores through a
registered test, so the numbers on the page are the findings and the page costs two seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.evidence import DriftFinding
from monitoring.drift import WASSERSTEIN
from monitoring.errors import NothingToReportError
from monitoring.page_head import add_head, decided
from monitoring.reference import Reference

SAMPLE = 3000
_FARTHEST = 1e70  # where values beyond are drawn
_NONE: Mapping[str, DriftFinding] = MappingProxyType({})
_findings: ContextVar[Mapping[str, DriftFinding]] = ContextVar("findings_of_the_page", default=_NONE)


@dataclass(frozen=True, slots=True, eq=False)
class DriftReport:
    """Evidently's report on the drift of one window, to be written as a page or kept as a run.

    Attributes:
        title: what it is about: model, version, window.
        findings: every finding, those without a score included.
        drawn: what its drawings are made of, in a sentence.
        snapshot: Evidently's own object, of the columns that have a score.
    """

    title: str
    findings: Sequence[DriftFinding]
    drawn: str
    snapshot: Any

    @classmethod
    def of(
        cls,
        reference: Reference,
        current: pd.DataFrame,
        findings: Sequence[DriftFinding],
        title: str,
        as_of: datetime,
    ) -> DriftReport:
        """Hand the finished scores to Evidently; nothing is computed again.

        Args:
            reference: the reference window; at most 3000 of its rows are drawn.
            current: rows of the current window; at most 3000 are drawn.
            findings: the scores to show. Columns without one stand only in the table at the head of the page; Evidently
                would refuse the whole page because of one of them.
            title: what the report is about.
            as_of: end of the window, and the moment of the run in a workspace.

        Raises:
            NothingToReportError: no finding has a score.
        """
        shown = [finding for finding in findings if finding.score is not None]
        if not shown:
            raise NothingToReportError(title, [f"{finding.column}: {finding.note}" for finding in findings])
        before, now = _sample(reference.frame, shown), _sample(current, shown)
        drawn = (
            f"{len(before):,} of {reference.rows:,} reference rows and {len(now):,} of {len(current):,} current rows"
        )
        with _shown_as(shown):
            return cls(title, findings, drawn, _run(before, now, shown, as_of))

    def write(self, path: Path) -> Path:
        """Write a self-contained HTML page of about 4 MB."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.snapshot.save_html(str(path))
        paragraphs = (
            "What the policy was told of each column. A column has drifted when it differs by enough to matter and by "
            "more than sampling and the earlier windows' own spread explain. Evidently says drift when the score alone "
            "reaches its threshold: that is what the content below shows.",
            f"Scores are of all rows of the window. Drawings are of a sample: {self.drawn}. Columns without a score "
            "are not drawn.",
        )
        add_head(path, self.title, paragraphs, decided(self.findings))
        return path


@contextmanager
def _shown_as(findings: Sequence[DriftFinding]) -> Iterator[None]:
    token = _findings.set({finding.column: finding for finding in findings})
    try:
        yield
    finally:
        _findings.reset(token)


def _run(reference: pd.DataFrame, current: pd.DataFrame, findings: Sequence[DriftFinding], as_of: datetime) -> Any:
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
        timestamp=as_of,
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


def spread(rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions of at most 3000 of so many rows, evenly spaced."""
    return np.unique(np.linspace(0, rows - 1, min(SAMPLE, rows)).astype(np.int64))


def _sample(frame: pd.DataFrame, findings: Sequence[DriftFinding]) -> pd.DataFrame:
    """Some rows of the shown columns, in types Evidently takes; a column keeps one value at least.

    Every so many rows rather than random ones, so that a page is the same each time and spans its window.
    """
    rows = spread(len(frame))
    columns = {}
    for finding in findings:
        whole = frame[finding.column]
        column = whole.iloc[rows]
        if column.isna().all():
            column = whole.dropna().iloc[: len(rows)].reset_index(drop=True).reindex(range(len(rows)))
        columns[finding.column] = _typed(column, finding)
    return pd.DataFrame(columns)


def drawable(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of numbers as doubles whose range and powers are doubles too: Evidently chooses bins by them."""
    values = column.astype(np.float64)
    return values.where(np.isinf(values), values.clip(-_FARTHEST, _FARTHEST))


def _typed(column: pd.Series[Any], finding: DriftFinding) -> pd.Series[Any]:
    column = column.reset_index(drop=True)
    if finding.method == WASSERSTEIN:
        return drawable(column)
    return column.astype(object).where(column.isna(), column.astype(str))
