"""Features in parts: by time, by buckets of entities, and over processes, with the same bits as in one piece.

The seam is `looked_up`: it answers some of the questions from the rows that these can reach. Whoever runs the parts,
here or on other machines, gets what one call would have given, because a value depends on nothing but the rows
that its question can see. Questions that are sorted by `as_of` reach the shortest spans.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

import polars as pl

from feature_store.as_of import timed
from feature_store.definitions.feature_view import Feature, check_features
from feature_store.definitions.source import Source
from feature_store.definitions.spine import Each, Spine, asked_source
from feature_store.errors import SpecError
from feature_store.offline.features import put_together
from feature_store.offline.lookups import Looked, looked_up
from feature_store.storage.lake import Lake, Limits
from feature_store.storage.tables import tables_of


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How the work is cut.

    Attributes:
        questions: at most so many at a time.
        buckets: parts of the entities, one after the other; each holds that share of a span's rows in memory.
        processes: how many work at once; 1 is this one.
    """

    questions: int = 1_000_000
    buckets: int = 1
    processes: int = 1

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise SpecError("Partitioning", f"{name} is {getattr(self, name)}", "Write 1 or more")


def features_in_parts(
    views: Sequence[Feature], questions: pl.DataFrame, lake: Lake, *, spine: Spine, cut: Partitioning = Partitioning()
) -> Iterator[pl.DataFrame]:
    """The frames that `features` would return in one piece, one after the other.

    Args:
        views: the features.
        questions: n rows with `as_of` and the columns that the features ask for, best sorted by `as_of`.
        lake: where sources were ingested; every part reads the table versions of the moment of this call.
        spine: what the questions are about.
        cut: how the work is cut.

    Raises:
        Whatever `features` raises, when the first part is asked for.
    """
    check_features(views, spine)
    questions = timed(questions)
    versions = _versions(views, lake, spine)
    pieces = [questions[start : start + cut.questions] for start in range(0, questions.height, cut.questions)]
    pieces = pieces or [questions]
    task = _Task(tuple(view for view in views if isinstance(view, Looked)), lake.at(versions), spine, cut.buckets)
    answers = map(task.answer, pieces) if cut.processes == 1 else _spread(task, versions, pieces, cut.processes)
    for piece, found in zip(pieces, answers, strict=True):
        yield put_together(views, piece, found, spine=spine)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is done with every piece."""

    views: Sequence[Looked]
    lake: Lake
    spine: Spine
    buckets: int

    def answer(self, piece: pl.DataFrame) -> pl.DataFrame:
        """The features of some questions that are looked up in tables."""
        return looked_up(self.views, piece, self.lake, spine=self.spine, parts=self.buckets)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A task as another process can take it: a source means the same without the function that reads its rows."""

    views: Sequence[Looked]
    root: str
    storage_options: Mapping[str, str] | None
    versions: Mapping[str, int]
    limits: Limits
    spine: Spine
    buckets: int

    def task(self) -> _Task:
        """The task over there."""
        lake = Lake(self.root, self.storage_options, versions=self.versions, limits=self.limits)
        return _Task(self.views, lake, self.spine, self.buckets)


_tasks: list[_Task] = []


def _start(sent: _Sent) -> None:
    _tasks.append(sent.task())


def _answer(piece: pl.DataFrame) -> pl.DataFrame:
    return _tasks[-1].answer(piece)


def _spread(
    task: _Task, versions: Mapping[str, int], pieces: Sequence[pl.DataFrame], processes: int
) -> Iterator[pl.DataFrame]:
    """The pieces' answers in their order, few of them ahead, so that answers do not pile up."""
    lake = task.lake
    limits = replace(lake.limits, hold_bytes=lake.limits.hold_bytes // processes)
    views = [replace(view, source=_told(view.source)) for view in task.views]
    sent = _Sent(views, lake.root, lake.storage_options, versions, limits, _spine_told(task.spine), task.buckets)
    # Spawned, because a fork would copy the locks of Polars' threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(sent,)) as pool:
        ahead: deque[Future[pl.DataFrame]] = deque()
        for piece in pieces:
            ahead.append(pool.submit(_answer, piece))
            if len(ahead) > processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _versions(views: Sequence[Feature], lake: Lake, spine: Spine) -> dict[str, int]:
    sources = [asked_source(spine), *(view.source for view in views if isinstance(view, Looked))]
    tables = {table for source in sources for table in tables_of(source)}
    return {table: lake.version(table) for table in sorted(tables) if lake.exists(table)}


def _told(source: Source) -> Source:
    return replace(source, read=_read_elsewhere, expect=())


def _read_elsewhere() -> None:
    """Nothing: this process reads tables only."""


def _spine_told(spine: Spine) -> Spine:
    if isinstance(spine, Each):
        return replace(spine, source=_told(spine.source))
    return replace(spine, population=replace(spine.population, source=_told(spine.population.source)))
