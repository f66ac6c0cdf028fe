"""The as-of join: the newest row, by event time, among those known when the question was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import heappop, heappush

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.point_in_time.timeline import Asked, Grid, Ints, Timeline, moments
from feature_store.point_in_time.versions import Versions
from feature_store.span import microseconds

Mask = NDArray[np.bool_]

_STEPS_BACK = 16


@dataclass(frozen=True, slots=True)
class Moments:
    """n questions: the entity of each, the moment, and the key digest of its own row, which is never its answer."""

    codes: Ints
    at: Ints
    own: Ints | None = None

    def take(self, which: Ints) -> Moments:
        """Some of them."""
        return Moments(self.codes[which], self.at[which], None if self.own is None else self.own[which])


def asof_join(
    questions: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    by: Sequence[str],
    ttl: timedelta | None,
    own: Ints | None = None,
) -> pl.DataFrame:
    """Attach to each question the newest row known at its `as_of`.

    A row is a candidate from the moment that it has happened and is available, until a correction of it is
    available. Among the candidates the newest `event_time` wins, then the newest `available_at`: a late arrival of an
    old row does not displace a newer fact. Rows that are equal in both are ordered by their content, so that
    the order of arrival does not show.

    Args:
        questions: n rows with `by` and `as_of` (UTC).
        rows: m rows as `tables.facts` returns them.
        by: columns that a question and its row share.
        ttl: a row whose event is older than this at `as_of` is missing.
        own: the key digest of each question's own row, which is never its answer.

    Returns:
        n rows in the order of `questions`: the columns of `rows`, null where nothing was known.
    """
    codes, asked = Asked(questions).codes(rows, by, told="the as-of join")
    found = newest_within(Versions.of(rows), codes, Moments(asked, moments(questions["as_of"]), own), ttl)
    return gathered(rows, found)


def newest_within(versions: Versions, codes: Ints, asked: Moments, ttl: timedelta | None) -> Ints:
    """For each question the index of the newest version it sees, not older than `ttl`; -1 where there is none."""
    found = newest(versions, codes, asked)
    if ttl is not None and len(versions.event):
        age = asked.at - versions.event[np.maximum(found, 0)]
        found = np.where(age > microseconds(ttl), -1, found)
    return found


def gathered(rows: pl.DataFrame, places: Ints) -> pl.DataFrame:
    """The rows at the places, all null for -1."""
    index = pl.Series("place", places, dtype=pl.Int64)
    return rows.select(pl.all().gather(index.set(index < 0, None)))


def newest(versions: Versions, codes: Ints, asked: Moments) -> Ints:
    """For each question the index of the newest version it sees; -1 where there is none."""
    if not len(codes):
        return np.full(len(asked.at), -1)
    by_event = Timeline.of(codes, versions.event, (versions.row, versions.available))
    if not versions.late:
        return _in_order(by_event, versions, codes, asked)
    grid = Grid(codes, versions.seen_from)
    seen = grid.places(codes, versions.seen_from)[by_event.order]
    if (seen[1:] >= seen[:-1]).all():  # they came into sight in the order in which they happened
        return _in_order(Timeline(grid, by_event.order, seen), versions, codes, asked)
    return _out_of_order(by_event, versions, codes, asked)


def _in_order(timeline: Timeline, versions: Versions, codes: Ints, asked: Moments) -> Ints:
    """Where newer rows never come before older ones: the last one in sight, or the one before it."""
    place = timeline.upto(asked.codes, asked.at) - 1
    found = np.where(place >= 0, timeline.order[np.maximum(place, 0)], -1)
    found[(place >= 0) & (codes[found] != asked.codes)] = -1
    hidden = _hidden(versions, asked, found)
    for _ in range(_STEPS_BACK):
        if not len(hidden):
            return found
        place[hidden] -= 1
        before = np.where(place[hidden] >= 0, timeline.order[np.maximum(place[hidden], 0)], -1)
        found[hidden] = np.where((before >= 0) & (codes[before] == asked.codes[hidden]), before, -1)
        hidden = hidden[_hidden(versions, asked.take(hidden), found[hidden])]
    found[hidden] = _swept(versions, codes, asked.take(hidden))
    return found


def _hidden(versions: Versions, asked: Moments, found: Ints) -> Ints:
    """The questions whose answer was replaced by then, or is their own row."""
    if asked.own is None and not versions.corrected:
        return np.empty(0, np.int64)
    hidden = versions.until[found] <= asked.at
    if asked.own is not None:
        hidden |= versions.key[found] == asked.own
    return np.flatnonzero(hidden & (found >= 0))


def _out_of_order(by_event: Timeline, versions: Versions, codes: Ints, asked: Moments) -> Ints:
    running = _Running(by_event, versions, codes)
    positions, there = running.positions(asked)
    found = running.rows_at(running.best[positions], asked.codes, there)
    for beaten in (running.second, None):
        hidden = _hidden(versions, asked, found)
        if not len(hidden):
            return found
        if beaten is None:
            found[hidden] = _swept(versions, codes, asked.take(hidden))
        else:
            found[hidden] = running.rows_at(beaten()[positions[hidden]], asked.codes[hidden], there[hidden])
    return found


class _Running:
    """The best row so far of each entity, along the order in which rows come into sight."""

    def __init__(self, by_event: Timeline, versions: Versions, codes: Ints) -> None:
        self.by_rank = by_event.order
        rank = np.empty(len(codes), np.int64)
        rank[self.by_rank] = np.arange(len(codes))
        self.timeline = Timeline.of(codes, versions.seen_from, (rank,))
        self._codes = codes
        # The order of ranks is the order of entities first, so one running maximum serves them all.
        self._ranks = rank[self.timeline.order]
        self.best = np.maximum.accumulate(self._ranks)

    def positions(self, asked: Moments) -> tuple[Ints, Mask]:
        """The last candidate's position for each question, and whether there is one."""
        upto = self.timeline.upto(asked.codes, asked.at)
        last = np.maximum(upto - 1, 0)
        return last, (upto > 0) & (self._codes[self.timeline.order[last]] == asked.codes)

    def second(self) -> Ints:
        """The second best row so far: the best of what the best one beat."""
        before = np.concatenate([[-1], self.best[:-1]])
        return np.maximum.accumulate(np.minimum(self._ranks, before))

    def rows_at(self, ranks: Ints, asked: Ints, there: Mask) -> Ints:
        """Row indices for ranks; -1 where there is none of the question's own entity."""
        found = np.where(there & (ranks >= 0), self.by_rank[np.maximum(ranks, 0)], -1)
        return np.where(self._codes[found] == asked, found, -1)


def _swept(versions: Versions, codes: Ints, asked: Moments) -> Ints:
    """The answers found moment by moment with a heap, for the few that nothing faster is exact for."""
    rows = np.flatnonzero(np.isin(codes, asked.codes))
    rank = np.lexsort((versions.row[rows], versions.available[rows], versions.event[rows]))
    rows = rows[rank]  # better ones last
    comes = np.lexsort((versions.seen_from[rows], codes[rows]))
    found = np.full(len(asked.at), -1)
    heap: list[int] = []
    entity, come = None, 0
    for question in np.lexsort((asked.at, asked.codes)):
        code, at = asked.codes[question], asked.at[question]
        if code != entity:
            heap, entity = [], code
            while come < len(comes) and codes[rows[comes[come]]] < code:
                come += 1
        while come < len(comes) and codes[rows[comes[come]]] == code and versions.seen_from[rows[comes[come]]] <= at:
            heappush(heap, -int(comes[come]))
            come += 1
        own = None if asked.own is None else asked.own[question]
        found[question] = _best(heap, rows, versions, at, own)
    return found


def _best(heap: list[int], rows: Ints, versions: Versions, at: int, own: int | None) -> int:
    """The best row of a heap that is still valid and not the question's own; drops what never will be again."""
    aside = []
    answer = -1
    while heap:
        row = rows[-heap[0]]
        if versions.until[row] <= at:
            heappop(heap)
        elif versions.key[row] == own:
            aside.append(heappop(heap))
        else:
            answer = int(row)
            break
    for one in aside:
        heappush(heap, one)
    return answer
