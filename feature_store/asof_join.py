"""The as-of join: the newest row, by event time, among those known when the question was asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.span import microseconds
from feature_store.tables import KEY, SEQUENCE
from feature_store.timeline import Ints, Timeline, entity_codes, moments


def asof_join(
    questions: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    by: Sequence[str],
    ttl: timedelta | None,
    own: Ints | None = None,
) -> pl.DataFrame:
    """Attach to each question the newest row known at its `as_of`.

    A row is a candidate from the moment that it has happened and is available. Among the candidates the
    newest `event_time` wins, then the newest `available_at`, then what was ingested last: a late arrival
    of an old row does not displace a newer fact.

    Args:
        questions: n rows with `by` and `as_of` (UTC).
        rows: m rows as `tables.facts` returns them.
        by: columns that a question and its row share.
        ttl: a row whose event is older than this at `as_of` is missing.
        own: the key digest of each question's own row, which is never its answer.

    Returns:
        n rows in the order of `questions`: the columns of `rows`, null where nothing was known.
    """
    codes, asked = entity_codes(rows, questions, by, told="the as-of join")
    as_of = moments(questions["as_of"])
    found = _newest(rows, codes, asked, as_of) if own is None else _newest_other(rows, codes, asked, as_of, own)
    if ttl is not None and rows.height:
        age = as_of - moments(rows["event_time"])[np.maximum(found, 0)]
        found = np.where(age > microseconds(ttl), -1, found)
    places = pl.Series("place", found, dtype=pl.Int64)
    places = places.set(places < 0, None)
    return rows.select(pl.all().gather(places))


class _Running:
    """The best row so far of each entity, along the order in which rows become candidates."""

    def __init__(self, rows: pl.DataFrame, codes: Ints) -> None:
        event, available = moments(rows["event_time"]), moments(rows["available_at"])
        self.by_rank = np.lexsort((rows[SEQUENCE].to_numpy(), available, event))
        rank = np.empty(rows.height, np.int64)
        rank[self.by_rank] = np.arange(rows.height)
        candidate_from = np.maximum(event, available)
        order = np.lexsort((rank, candidate_from, codes))
        self.timeline = Timeline(codes[order], candidate_from[order])
        self.height = rows.height
        # Every entity's numbers exceed those of the one before, so one running maximum serves them all.
        self.offset = codes[order] * self.height
        self.best = np.maximum.accumulate(rank[order] + self.offset)
        self._numbers = rank[order] + self.offset

    def positions(self, asked: Ints, as_of: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """The last candidate's position for each question, and whether there is one."""
        upto = self.timeline.upto(asked, as_of)
        return np.maximum(upto - 1, 0), upto > self.timeline.start(asked)

    def second(self) -> Ints:
        """The second best row so far: the best of what the best one beat."""
        before = np.concatenate([[-1], self.best[:-1]])
        return np.maximum.accumulate(np.minimum(self._numbers, before))

    def rows_at(self, numbers: Ints, asked: Ints, there: NDArray[np.bool_]) -> Ints:
        """Row indices for running numbers; -1 where there is none of the question's own entity."""
        ranks = numbers - asked * self.height
        there = there & (ranks >= 0)
        return np.where(there, self.by_rank[np.where(there, ranks, 0)], -1)


def _newest(rows: pl.DataFrame, codes: Ints, asked: Ints, as_of: Ints) -> Ints:
    if not rows.height:
        return np.full(len(asked), -1)
    running = _Running(rows, codes)
    positions, there = running.positions(asked, as_of)
    return running.rows_at(running.best[positions], asked, there)


def _newest_other(rows: pl.DataFrame, codes: Ints, asked: Ints, as_of: Ints, own: Ints) -> Ints:
    """The newest row that is not the question's own."""
    if not rows.height:
        return np.full(len(asked), -1)
    running = _Running(rows, codes)
    positions, there = running.positions(asked, as_of)
    found = running.rows_at(running.best[positions], asked, there)
    keys = rows[KEY].to_numpy()
    mine = (found >= 0) & (keys[found] == own)
    if not mine.any():
        return found
    found[mine] = running.rows_at(running.second()[positions], asked, there)[mine]
    again = (found >= 0) & (keys[found] == own)
    # Only a corrected row can be both the best and the second best.
    for question in np.flatnonzero(again):
        found[question] = _search(rows, codes == asked[question], as_of[question], own[question])
    return found


def _search(rows: pl.DataFrame, entity: NDArray[np.bool_], as_of: int, own: int) -> int:
    event, available = moments(rows["event_time"]), moments(rows["available_at"])
    candidates = np.flatnonzero(entity & (event <= as_of) & (available <= as_of) & (rows[KEY].to_numpy() != own))
    if not len(candidates):
        return -1
    sequence = rows[SEQUENCE].to_numpy()[candidates]
    return int(candidates[np.lexsort((sequence, available[candidates], event[candidates]))[-1]])
