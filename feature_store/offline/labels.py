"""What became of each question, and from when on one could know it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from feature_store.definitions.source import Source
from feature_store.definitions.spine import Each, Spine, asked_source
from feature_store.errors import SpecError
from feature_store.offline.questions import own_keys
from feature_store.point_in_time.timeline import moments
from feature_store.point_in_time.windows import Spans, aggregate
from feature_store.span import microseconds, parse_span, utc
from feature_store.storage.lake import Lake
from feature_store.storage.tables import KEY, SEQUENCE, facts

KNOWN, WAITING, NEVER = "known", "waiting", "never"
_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Label:
    """A column of the question's own row, known when it is filled in.

    Attributes:
        deadline: how long after the question one waits; a label missing by then is final.
    """

    column: str
    deadline: timedelta

    def __init__(self, column: str, *, deadline: str | timedelta) -> None:
        object.__setattr__(self, "column", column)
        object.__setattr__(self, "deadline", parse_span(deadline))
        if self.deadline <= timedelta(0):
            raise SpecError(f"label {column!r}", "the deadline is no time at all", 'Write for example deadline="2d"')

    @property
    def horizon(self) -> timedelta:
        """How long after a question its label may still change the picture."""
        return self.deadline


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """An aggregate over the entity's events after the question, known when the span has closed.

    Yes and no alike are known only then: an early yes would make a fresh window all yes.
    """

    source: Source
    expression: pl.Expr
    over: timedelta
    allowed_lateness: timedelta

    def __post_init__(self) -> None:
        told = f"ahead({self.source.name})"
        if not self.source.entity_columns:
            raise SpecError(told, "the source has no entity", "Give it entity=, so that questions find their rows")
        if self.over <= timedelta(0):
            raise SpecError(told, "over is no time at all", 'Write for example over="28d"')

    @property
    def horizon(self) -> timedelta:
        """How long after a question its label is known."""
        return self.over + self.allowed_lateness


LabelSpec = Label | Ahead


def question_key(spine: Spine, label: LabelSpec) -> tuple[str, ...]:
    """What tells questions of one moment apart, and the entity that a label ahead is about."""
    source = asked_source(spine)
    key = (source.key_columns or ()) if isinstance(spine, Each) else source.entity_columns
    entity = label.source.entity_columns if isinstance(label, Ahead) else ()
    return tuple(dict.fromkeys([*key, *entity]))


def ahead(
    source: Source, expression: pl.Expr, *, over: str | timedelta, allowed_lateness: str | timedelta = "0s"
) -> Ahead:
    """An aggregate over `(as_of, as_of + over]`, known once `allowed_lateness` has passed as well."""
    return Ahead(source, expression, parse_span(over), parse_span(allowed_lateness))


def check_label(label: LabelSpec, spine: Spine) -> None:
    """Make sure that the label belongs to the questions and is not known when they are asked.

    Raises:
        SpecError: it does not, or it is.
    """
    if isinstance(label, Ahead):
        return
    told = f"label {label.column!r}"
    if not isinstance(spine, Each):
        raise SpecError(told, "the questions are no rows of a source", "Use ahead(source, ...) with every(...)")
    if not spine.source.known_with(label.column):
        raise SpecError(
            told,
            f"{spine.source.name} does not say when it becomes known",
            "List it (or what it is derived from) in later={...}",
        )


def labels(label: LabelSpec, spine: Spine, questions: pl.DataFrame, lake: Lake, as_of: datetime) -> pl.DataFrame:
    """Add `label`, `label_available_at` and `label_state` as one knew them at `as_of`.

    Returns:
        n rows in the order of `questions`. `label` and `label_available_at` are null unless the state is
        `known`; `waiting` may still become known, `never` will not.
    """
    check_label(label, spine)
    as_of = utc("as_of", as_of)
    if isinstance(label, Ahead):
        return _ahead(label, questions, lake, as_of)
    return _own(label, spine, questions, lake, as_of)


def _own(label: Label, spine: Spine, questions: pl.DataFrame, lake: Lake, as_of: datetime) -> pl.DataFrame:
    source = spine.source if isinstance(spine, Each) else spine.population.source
    keys = own_keys(spine, questions, source, lake)
    # Conditions choose the questions; what became of one that was asked does not depend on them.
    rows = facts(replace(source, filters=()), lake, [label.column]).sort("available_at", SEQUENCE)
    deadline = moments(questions["as_of"]) + microseconds(label.deadline)
    until = np.minimum(deadline, moments(pl.Series([as_of], dtype=_UTC))[0])
    asked = pl.DataFrame({KEY: keys}).with_row_index("_place").with_columns(pl.Series("_until", until).cast(_UTC))
    found = (
        asked.sort("_until")
        .join_asof(
            rows.select(KEY, "available_at", pl.col(label.column).alias("label")),
            left_on="_until",
            right_on="available_at",
            by=KEY,
            strategy="backward",
            check_sortedness=False,
        )
        .sort("_place")
    )
    known = found["label"].is_not_null()
    return _stated(questions, found["label"], found["available_at"], known, pl.Series(deadline).cast(_UTC) <= as_of)


def _ahead(label: Ahead, questions: pl.DataFrame, lake: Lake, as_of: datetime) -> pl.DataFrame:
    source = label.source
    asked = moments(questions["as_of"])
    close = asked + microseconds(label.horizon)
    columns = {*label.expression.meta.root_names(), *source.entity_columns}
    rows = facts(source, lake, sorted(columns))
    over = microseconds(label.over)
    spans = Spans(asked + over, over, microseconds(label.allowed_lateness))
    values = aggregate(questions, rows, spans, by=source.entity_columns, aggregates={"label": label.expression})
    closes = pl.Series(close, dtype=pl.Int64).cast(_UTC)
    closed = closes <= as_of
    known = closed & values["label"].is_not_null()
    return _stated(questions, values["label"], closes, known, closed)


def _stated(
    questions: pl.DataFrame, label: pl.Series, available_at: pl.Series, known: pl.Series, final: pl.Series
) -> pl.DataFrame:
    state = pl.when(known).then(pl.lit(KNOWN)).when(final).then(pl.lit(NEVER)).otherwise(pl.lit(WAITING))
    return questions.with_columns(
        label.set(~known, None).alias("label"),
        available_at.set(~known, None).alias("label_available_at"),
        state.alias("label_state"),
    )
