"""Evidently's other two pages about a window: a summary of its columns, and how good its answers were.

Each is a page of its own. Evidently makes a report from one table, and the rows whose labels are known are those of an
older window; and drawing the columns of a summary costs more than the whole page on drift.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monitoring.bins import Floats
from monitoring.errors import NothingToReportError
from monitoring.labels import LabelledRows
from monitoring.page_head import add_head
from monitoring.reference import Reference
from monitoring.report import drawable, spread


def write_summary(reference: Reference, current: pd.DataFrame, path: Path, title: str) -> Path:
    """Write Evidently's data summary of the columns that both windows have, as a self-contained HTML page.

    At most 3000 rows of each window are looked at, evenly spaced. Columns without a value are shown as such; infinite
    values count as missing.

    Raises:
        NothingToReportError: the windows share no column.
    """
    shared = [name for name in reference.columns if name in current.columns]
    missing = [name for name in reference.columns if name not in current.columns]
    if not shared:
        raise NothingToReportError(title, [f"{name}: missing in the current window" for name in missing])
    before = reference.frame[shared].iloc[spread(len(reference.frame))]
    now = current[shared].iloc[spread(len(current))]
    numbers = [name for name in shared if _is_number(before[name], now[name])]
    _summary(_typed(before, numbers), _typed(now, numbers), numbers).save_html(str(_made(path)))
    told = [
        f"All figures are of a sample: {len(before):,} of {reference.rows:,} reference rows and {len(now):,} of "
        f"{len(current):,} current rows. Infinite values count as missing."
    ]
    told += [f"Missing in the current window: {', '.join(missing)}."] if missing else []
    add_head(path, title, told)
    return path


def write_quality(rows: LabelledRows, path: Path, title: str) -> Path:
    """Write Evidently's classification or regression page on labelled rows, as a self-contained HTML page.

    At most 3000 rows are looked at, evenly spaced; the performance that is decided on is of all rows, with an interval.

    Raises:
        NothingToReportError: a classifier's labels are all of one class, a regression's are all zero (or cancel out),
            or there is one row only.
    """
    chosen = spread(len(rows.labels))
    frame = pd.DataFrame({"label": rows.labels[chosen], "prediction": rows.predictions[chosen].astype(np.float64)})
    if len(frame) < 2 or (rows.binary and frame["label"].nunique() < 2):
        raise NothingToReportError(title, [f"label: {len(frame)} labels, {frame['label'].nunique()} different"])
    if not rows.binary and not _has_percentages(frame["label"].to_numpy()):
        raise NothingToReportError(title, [f"label: {len(frame)} labels, of which Evidently can make no percentages"])
    (_classification(frame) if rows.binary else _regression(frame)).save_html(str(_made(path)))
    told = f"All figures are of a sample: {len(frame):,} of {len(rows.labels):,} answers whose label is known."
    lines = [told, "What is decided on is the gate's metric of all of them, with its interval."]
    add_head(path, title, [*lines, *_without_meaning(rows, frame)])
    return path


def _has_percentages(labels: Floats) -> bool:
    """Whether Evidently finds the constant with the least percentage error, without which it makes no page."""
    with np.errstate(over="ignore"):
        weights = sum(1 / labels[labels != 0])
    return weights != 0 and bool(np.isfinite(weights))


def _without_meaning(rows: LabelledRows, frame: pd.DataFrame) -> list[str]:
    """What the page shows and nobody should read: Evidently divides by a label, and by 2e-16 where that is negative."""
    odd = 0 if rows.binary else int((frame["label"] <= 0).sum())
    return [f"MAPE on this page means nothing: {odd:,} of these labels are zero or negative."] if odd else []


def _summary(reference: pd.DataFrame, current: pd.DataFrame, numbers: list[str]) -> Any:
    _quietly()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataSummaryPreset

    texts = [name for name in reference.columns if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    return Report([DataSummaryPreset()]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )


def _classification(frame: pd.DataFrame) -> Any:
    _quietly()
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset

    definition = DataDefinition(
        numerical_columns=["prediction"],
        categorical_columns=["label"],
        classification=[BinaryClassification(target="label", prediction_probas="prediction", pos_label=1)],
    )
    rows = Dataset.from_pandas(frame.astype({"label": int}), data_definition=definition)
    return Report([ClassificationPreset()]).run(rows, None)


def _regression(frame: pd.DataFrame) -> Any:
    _quietly()
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.presets import RegressionPreset

    definition = DataDefinition(
        numerical_columns=["label", "prediction"], regression=[Regression(target="label", prediction="prediction")]
    )
    return Report([RegressionPreset()]).run(Dataset.from_pandas(frame, data_definition=definition), None)


def _quietly() -> None:
    os.environ.setdefault("DO_NOT_TRACK", "1")  # before the import, which is when Evidently looks


def _is_number(reference: pd.Series[Any], current: pd.Series[Any]) -> bool:
    """Whether both sides are numbers; a side without a value goes with the other."""
    return all(pd.api.types.is_numeric_dtype(side) or side.isna().all() for side in (reference, current))


def _typed(frame: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    columns = {}
    for name in frame.columns:
        column = frame[name].reset_index(drop=True)
        if name in numbers:
            columns[name] = drawable(pd.to_numeric(column)).replace([np.inf, -np.inf], np.nan)
        else:
            columns[name] = column.astype(object).where(column.isna(), column.astype(str))
    return pd.DataFrame(columns)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
