"""Splits by time: evaluate on the newest questions with complete labels, train on what was known before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lifecycle.moments import Window, parse_moment
from modeling.errors import LengthMismatchError, TooFewBlocksError, TooFewRowsError

MIN_BLOCKS = 7
"""Below seven independent blocks no interval is trusted, and none is given."""

MIN_TRAINING_ROWS = 50
MIN_EVALUATION_ROWS = 50

Moments = NDArray[np.datetime64]
Indices = NDArray[np.int64]

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows are trained on and which are evaluated on; no row is both.

    Attributes:
        train_index: places of the training rows, ascending.
        evaluation_index: places of the evaluation rows, ascending.
        evaluation: the questions of the evaluation rows, asked in (start, end].
        training: the questions that training rows could come from.
    """

    train_index: Indices
    evaluation_index: Indices
    evaluation: Window
    training: Window

    def blocks(self, as_of: Moments, length: timedelta) -> Indices:
        """Block number of each evaluation row, counted from the start of the evaluation.

        Raises:
            TooFewBlocksError: fewer than seven blocks hold a row.
        """
        numbers = block_numbers(as_of[self.evaluation_index], length, origin=self.evaluation.start)
        found = len(np.unique(numbers))
        if found < MIN_BLOCKS:
            raise TooFewBlocksError(found, MIN_BLOCKS, length)
        return numbers


def block_numbers(as_of: Moments, length: timedelta, *, origin: datetime) -> Indices:
    """Number of the block (origin + k * length, origin + (k + 1) * length] that each moment lies in."""
    passed = (as_of - to_numpy(origin)).astype("timedelta64[us]").astype(np.int64)
    numbers: Indices = -(-passed // int(length / timedelta(microseconds=1))) - 1
    return numbers


def to_numpy(moment: datetime) -> Any:
    """A moment as NumPy has it: UTC without a zone, in microseconds."""
    return np.datetime64(parse_moment(moment).replace(tzinfo=None), "us")


def from_numpy(moment: Any) -> datetime:
    """The way back from `to_numpy`."""
    plain: datetime = moment.astype("datetime64[us]").item()
    return plain.replace(tzinfo=UTC)


def time_split(
    as_of: Moments, label_available_at: Moments, *, now: datetime, evaluation: timedelta, gap: timedelta
) -> Split:
    """Split questions by time, with a gap in which nothing is trained.

    The evaluation ends at `now - gap`, when every label is known, or at the midnight after the newest
    labelled question when that is earlier. A training row was asked at least `gap` before the evaluation
    starts, and its label was known by then: had we trained at that moment, it would have been there.

    Args:
        as_of: when each question was asked (datetime64, UTC).
        label_available_at: from when its label is known; NaT means not yet.
        now: what is known now; later labels do not exist.
        evaluation: length of the evaluation.
        gap: how long labels take.

    Raises:
        LengthMismatchError: one moment is missing for some question.
        TooFewRowsError: fewer than 50 rows on either side.
    """
    if len(as_of) != len(label_available_at):
        raise LengthMismatchError({"as_of": len(as_of), "label_available_at": len(label_available_at)})
    known = label_available_at <= to_numpy(now)
    if not known.any():
        raise TooFewRowsError(0, MIN_TRAINING_ROWS, "train on", f"no label is known at {now.isoformat()}")
    end = min(parse_moment(now) - gap, _next_midnight(from_numpy(as_of[known].max())))
    window = Window.before(end, evaluation)
    start = to_numpy(window.start)
    train = known & (as_of <= to_numpy(window.start - gap)) & (label_available_at <= start)
    judged = known & (as_of > start) & (as_of <= to_numpy(window.end))
    first = from_numpy(as_of[train].min()) if train.any() else window.start - gap
    split = Split(np.flatnonzero(train), np.flatnonzero(judged), window, Window(first, window.start - gap))
    _refuse_too_few(split)
    return split


def _next_midnight(moment: datetime) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == moment else midnight + _DAY


def _refuse_too_few(split: Split) -> None:
    rows = len(split.train_index)
    if rows < MIN_TRAINING_ROWS:
        raise TooFewRowsError(rows, MIN_TRAINING_ROWS, "train on", f"asked up to {split.training.end.isoformat()}")
    rows = len(split.evaluation_index)
    if rows < MIN_EVALUATION_ROWS:
        raise TooFewRowsError(rows, MIN_EVALUATION_ROWS, "evaluate on", f"asked in {split.evaluation}")


def shuffled_split_on_purpose(rows: int, *, share: float, seed: int) -> tuple[Indices, Indices]:
    """Training and evaluation rows drawn at random, which lets the future into the past.

    Nothing in the loop calls this. It is here so that a study that wants it has to say so by name.
    """
    order = np.random.default_rng(seed).permutation(rows)
    evaluation = round(rows * share)
    return np.sort(order[evaluation:]), np.sort(order[:evaluation])
