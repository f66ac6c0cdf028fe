"""What a model is told about a question: features, each correct at the moment of asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import polars as pl

from feature_store.definitions.source import Source, names
from feature_store.definitions.spine import Each, Spine, asked_source
from feature_store.errors import ColumnTypeError, FeatureNameClashError, LeakError, SpecError
from feature_store.span import parse_span, span_text

_NO_TIME = timedelta(0)

Transform = pl.Expr | Callable[[pl.DataFrame], pl.Series]


@dataclass(frozen=True, slots=True)
class Request:
    """Columns that the question itself brings."""

    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.columns

    @property
    def told(self) -> str:
        return f"request({', '.join(self.columns)})"


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """Columns computed from what the question brings."""

    transforms: tuple[Transform, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(transform_name(transform) for transform in self.transforms)

    @property
    def told(self) -> str:
        return f"derived({', '.join(self.names)})"


@dataclass(frozen=True, slots=True, eq=False)
class Latest:
    """Columns of the newest row that was known.

    Attributes:
        ttl: a row whose event is older than this counts as missing; None only for timeless sources.
        ago: answer as one would have this long before the question; None is at the question.
    """

    source: Source
    columns: tuple[str, ...]
    ttl: timedelta | None
    ago: timedelta | None

    def __post_init__(self) -> None:
        if not self.columns:
            raise SpecError(self.told, "no column is named", "Name the columns to look up")
        if self.ttl is None and not self.source.timeless:
            raise SpecError(self.told, "ttl is not given", 'Say how old a row may be, for example ttl="6h"')
        if self.source.timeless and (self.ttl is not None or self.ago is not None):
            raise SpecError(self.told, "a timeless source does not age", "Leave out ttl and ago")
        if self.ttl is not None and self.ttl <= _NO_TIME:
            problem = "below zero" if self.ttl < _NO_TIME else "zero, so that every row is too old at once"
            raise SpecError(self.told, f"ttl is {problem}", 'Say how old a row may be, for example ttl="6h"')
        if self.ago is not None and self.ago < _NO_TIME:
            raise SpecError(self.told, "ago is below zero", "A question is not answered from its future")

    @property
    def names(self) -> tuple[str, ...]:
        suffix = f"_{span_text(self.ago)}_ago" if self.ago else ""
        return tuple(f"{column}{suffix}" for column in self.columns)

    @property
    def told(self) -> str:
        return f"latest({self.source.name})"


@dataclass(frozen=True, slots=True, eq=False)
class Windowed:
    """Aggregates over the rows of the last while.

    Attributes:
        over: lengths of time, with the text by which features are named.
        by: columns that a row and the question must share.
        aggregates: Polars expressions by name.
    """

    source: Source
    over: tuple[tuple[str, timedelta], ...]
    by: tuple[str, ...]
    aggregates: Mapping[str, pl.Expr]

    def __post_init__(self) -> None:
        if self.source.timeless:
            raise SpecError(self.told, "a timeless source has no events", "Use latest, or give it an event_time")
        if not self.aggregates or not self.over:
            raise SpecError(self.told, "nothing is aggregated", 'Write name=col("x").mean() and over="6h"')
        for text, length in self.over:
            if length <= _NO_TIME:
                raise SpecError(self.told, f"over is {text}, no time at all", 'Write for example over="6h"')
        for column in self.by:
            waits = self.source.known_with(column)
            if waits:
                raise LeakError(column, " and ".join(waits), "Group a window by columns that come with the row")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{name}_{text}" for text, _ in self.over for name in self.aggregates)

    @property
    def told(self) -> str:
        return f"window({self.source.name})"


@dataclass(frozen=True, slots=True, eq=False)
class Recency:
    """Days since the entity's newest known event."""

    source: Source
    name: str

    def __post_init__(self) -> None:
        if self.source.timeless:
            raise SpecError(self.told, "a timeless source has no events", "Give it an event_time")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def told(self) -> str:
        return f"recency({self.source.name})"


@dataclass(frozen=True, slots=True)
class Combined:
    """One feature of two others that are named before it: their ratio or their difference, a double.

    Null where either is null, and a ratio where the second is zero.
    """

    name: str
    how: Literal["ratio", "difference"]
    of: str
    to: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def told(self) -> str:
        return f"{self.how}({self.of}, {self.to})"

    def value(self, of: float | None, to: float | None) -> float | None:
        """The feature of one question."""
        if of is None or to is None:
            return None
        if self.how == "difference":
            return float(of) - float(to)
        return float(of) / float(to) if to else None

    def values(self, of: pl.Series, to: pl.Series) -> pl.Series:
        """The feature of n questions.

        Raises:
            ColumnTypeError: one of the two is no number.
        """
        for one in (of, to):
            if not (one.dtype.is_numeric() or one.dtype == pl.Boolean):
                raise ColumnTypeError(self.told, one.name, got=one.dtype, expected="a number")
        left, right = of.cast(pl.Float64), to.cast(pl.Float64)
        if self.how == "difference":
            return (left - right).alias(self.name)
        return (left / right).set(right == 0, None).alias(self.name)


Feature = Request | Derived | Latest | Windowed | Recency | Combined


def request(*columns: str) -> Request:
    """Columns that come with the question."""
    return Request(columns)


def derived(*transforms: Transform) -> Derived:
    """Columns computed from the question's own: expressions with an alias, or functions `frame -> series`."""
    return Derived(transforms)


def latest(
    source: Source, *columns: str, ttl: str | timedelta | None = None, ago: str | timedelta | None = None
) -> Latest:
    """Columns of the newest row of the entity that was known when the question was asked."""
    return Latest(source, columns, None if ttl is None else parse_span(ttl), None if ago is None else parse_span(ago))


def window(
    source: Source,
    *,
    over: str | timedelta | Sequence[str | timedelta],
    by: str | Sequence[str] | None = None,
    **aggregates: pl.Expr,
) -> Windowed:
    """Aggregates over events in `(as_of - over, as_of]` that were known at `as_of`."""
    given = [over] if isinstance(over, str | timedelta) else list(over)
    spans = tuple((one if isinstance(one, str) else span_text(one), parse_span(one)) for one in given)
    return Windowed(source, spans, source.entity_columns if by is None else names(by), aggregates)


def recency(source: Source, *, name: str | None = None) -> Recency:
    """Days since the newest event of the entity that was known; null when there was none."""
    return Recency(source, name or f"{source.name}_recency_days")


def ratio(name: str, *, of: str, to: str) -> Combined:
    """The feature `of` divided by the feature `to`; null where either is null or `to` is zero."""
    return Combined(name, "ratio", of, to)


def difference(name: str, *, of: str, to: str) -> Combined:
    """The feature `of` less the feature `to`; null where either is null."""
    return Combined(name, "difference", of, to)


def transform_name(transform: Transform) -> str:
    """The feature's name: an expression's alias, a function's own name."""
    if isinstance(transform, pl.Expr):
        return transform.meta.output_name()
    name = getattr(transform, "__name__", "<lambda>")
    if name == "<lambda>":
        raise SpecError("derived", "a function without a name makes a feature without a name", "Write it with def")
    return str(name)


def feature_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """The names of all features in order.

    Raises:
        FeatureNameClashError: two features have one name.
    """
    makers: dict[str, str] = {}
    for feature in features:
        for name in feature.names:
            if name in makers:
                raise FeatureNameClashError(name, makers[name], feature.told)
            makers[name] = feature.told
    return tuple(makers)


def named_views(features: Sequence[Feature]) -> dict[str, Feature]:
    """The features by a name of their own, in order; two of one kind on one source are told apart by their first name.

    >>> list(named_views([request("origin", "dest"), ratio("trend", of="delay_6h", to="delay_24h")]))
    ['request(origin, dest)', 'ratio(delay_6h, delay_24h)']
    """
    told = [feature.told for feature in features]
    return {
        name if told.count(name) == 1 else f"{name}: {feature.names[0]}": feature
        for name, feature in zip(told, features, strict=True)
    }


def check_features(features: Sequence[Feature], spine: Spine) -> tuple[str, ...]:
    """The names of all features, after making sure that none knows the question's own outcome.

    Raises:
        FeatureNameClashError: two features have one name.
        LeakError: a request-time feature uses a column that is filled in after the question.
    """
    for feature in features:
        for used in _own_columns(feature):
            refuse_later(used, spine)
    _check_combined(features)
    return feature_names(features)


def _check_combined(features: Sequence[Feature]) -> None:
    made: list[str] = []
    for feature in features:
        if isinstance(feature, Combined):
            missing = [name for name in (feature.of, feature.to) if name not in made]
            if missing:
                fix = f"Name {missing[0]} before it; the features before it are {made}"
                raise SpecError(f"{feature.told} as {feature.name}", f"no feature before it is called {missing}", fix)
        made += feature.names


def with_operands(chosen: Sequence[Feature], features: Sequence[Feature]) -> list[Feature]:
    """The chosen features and those that they are made of, in the order of `features`."""
    needed = {name for feature in chosen for name in feature.names}
    for feature in reversed(features):
        if isinstance(feature, Combined) and feature.name in needed:
            needed |= {feature.of, feature.to}
    return [feature for feature in features if needed & set(feature.names)]


def refuse_later(column: str | pl.Expr, spine: Spine) -> None:
    """Raise a LeakError when a column of the question's own row becomes known after the question."""
    if not isinstance(spine, Each):
        return
    waits = spine.source.known_with(column)
    if waits:
        name = column if isinstance(column, str) else ", ".join(column.meta.root_names())
        raise LeakError(
            name, " and ".join(waits), f"Use it of earlier rows: window({spine.source.name}, ...) or latest(...)"
        )


def _own_columns(feature: Feature) -> Sequence[str | pl.Expr]:
    match feature:
        case Request(columns=columns):
            return columns
        case Derived(transforms=transforms):
            return [transform for transform in transforms if isinstance(transform, pl.Expr)]
        case _:
            return ()


def joins_on(feature: Latest | Windowed | Recency) -> tuple[str, ...]:
    """The columns a question needs so that the feature finds its rows."""
    return feature.by if isinstance(feature, Windowed) else feature.source.entity_columns


def request_columns(features: Sequence[Feature], spine: Spine) -> tuple[str, ...]:
    """The columns that an online question must bring: requested ones, and those that rows are found by."""
    needed: dict[str, None] = dict.fromkeys(asked_source(spine).entity_columns)
    for feature in features:
        match feature:
            case Request(columns=columns):
                needed |= dict.fromkeys(columns)
            case Derived(transforms=transforms):
                roots = [root for one in transforms if isinstance(one, pl.Expr) for root in one.meta.root_names()]
                needed |= dict.fromkeys(roots)
            case Combined():
                pass
            case _:
                needed |= dict.fromkeys(joins_on(feature))
    return tuple(needed)
