"""`init`: what a table is about, guessed from names and values, each guess with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from flows.errors import GuessError
from flows.guessing_times import Moments, moments_of
from lifecycle.requests import PREDICTION_COLUMNS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TIME_NAMES = ("event_time", "as_of", "timestamp", "datetime", "created_at", "time", "date", "ts", "day", "created")
_TIME_WORDS = _words("time timestamp date datetime day month ts at on when created ordered epoch unixtime")
_AFTERWARDS = _words("birth birthday dob updated modified end ended closed delivered due expires until last answered")
_LABEL_NAMES = ("label", "target", "y", "outcome", "class")
_LABEL_WORDS = _words(
    "label target outcome churn churned fraud fraudulent default defaulted late survived bought purchased converted "
    "conversion clicked click cancelled canceled returned exited won lost attrition response responded subscribed "
    "readmitted approved delayed failed failure spam repurchased"
)
_AMOUNTS = _words("price amount total sales revenue demand value cost duration quantity rating score consumption")
_YES = frozenset(("yes", "y", "true", "t", "1", "positive", "pos", "won", "churned", "fraud", "success", "good"))
_NO = frozenset(("no", "n", "false", "f", "0", "negative", "neg", "lost", "active", "none", "failure", "bad"))
_ID_WORDS = frozenset(("id", "uuid", "guid", "key", "number", "no", "nr", "code", "index", "row"))
_MOST_CATEGORIES = 1000
_FEW_VALUES = 20
RESERVED = frozenset(
    {"as_of", "event_time", "available_at", "label", "label_available_at", "label_state", *PREDICTION_COLUMNS}
)
"""Column names that the loop writes itself; a key or a time of such a name is renamed when it is read."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the user named; the rest is guessed."""

    event_time: str | None = None
    label: str | None = None
    key: tuple[str, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Named:
        """The same columns under the names they are read by."""
        time, label = (name and names.get(name, name) for name in (self.event_time, self.label))
        return Named(time, label, tuple(names.get(name, name) for name in self.key))


@dataclass(frozen=True, slots=True)
class Guess:
    """What a table seems to be about.

    Attributes:
        yes: the value of the label that means yes; none where the label is boolean, 0 and 1, or a number.
        key: empty where no columns tell the rows apart.
        reasons: why, by field, in the order they are told.
    """

    event_time: str
    moments: Moments
    label: str
    task: str
    yes: object
    key: tuple[str, ...]
    entity: str | None
    features: tuple[str, ...]
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def between(self) -> tuple[datetime, datetime]:
        """The first and the last moment."""
        first, last = self.moments.values.min(), self.moments.values.max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        return first, last


def guess(frame: pl.DataFrame, named: Named) -> Guess:
    """Guess what was not named.

    Raises:
        GuessError: no column looks like a time, a label or a feature; the message says which option names one.
    """
    for name, flag in (
        (named.event_time, "--event-time"),
        (named.label, "--label"),
        *((k, "--key") for k in named.key),
    ):
        if name is not None and name not in frame.columns:
            raise GuessError(f"{name!r}", frame.columns, f"Name one of them: {flag} COLUMN")
    reasons: dict[str, str] = {}
    known = {name: found for name in frame.columns if (found := _moments(frame[name], name == named.event_time))}
    time = _time(frame, known, named.event_time, reasons)
    label, task, yes = _label(frame, {time, *known}, named.label, reasons)
    taken = {time, label, *known}
    key = named.key or _key(frame, time, taken, reasons)
    if named.key:
        reasons["key"] = _shared(frame, key)
    entity = _entity(frame, key, taken, reasons)
    features = _features(frame, label, {*taken, *key, *([entity] if entity else [])}, reasons)
    return Guess(time, known[time], label, task, yes, key, entity, features, reasons)


def words(name: str) -> set[str]:
    """The words of a column's name: `isFraud`, `is_fraud` and `Is Fraud` are the same two.

    >>> sorted(words("customerID")), sorted(words("Is Fraud?"))
    (['customer', 'id'], ['fraud', 'is'])
    """
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return set(re.findall(r"[^\W_]+", split.lower()))


def _moments(column: pl.Series, named: bool) -> Moments | None:
    if column.dtype.is_integer() and not named and not words(column.name) & _TIME_WORDS:
        return None  # any large number could be seconds since 1970
    return moments_of(column)


def _time(frame: pl.DataFrame, known: dict[str, Moments], named: str | None, reasons: dict[str, str]) -> str:
    if named is not None:
        if named not in known:
            raise GuessError(
                f"a time; {named!r} is {frame.schema[named]}", frame.columns, "Name one: --event-time COLUMN"
            )
        reasons["event_time"] = f"{named}: named; {known[named].told}"
        return named
    if not known:
        raise GuessError(
            "a time", frame.columns, "Every row needs one; name it: incumbent init DATA --event-time COLUMN"
        )
    listed = [name for wanted in _TIME_NAMES for name in known if name.lower() == wanted]
    first = [name for name in known if not words(name) & _AFTERWARDS]
    chosen = (listed or first or list(known))[0]
    why = "its name" if listed else "the first column of times"
    reasons["event_time"] = f"{chosen}: {why}, of {', '.join(known)}; {known[chosen].told}"
    return chosen


def _label(frame: pl.DataFrame, times: set[str], named: str | None, reasons: dict[str, str]) -> tuple[str, str, object]:
    chosen, why = (named, "named") if named is not None else _likely_label(frame, times)
    column = frame[chosen].drop_nulls()
    if column.n_unique() < 2:
        told = f"a label with two values; {chosen!r} holds one"
        raise GuessError(told, frame.columns, "Name another: incumbent init DATA --label COLUMN")
    if _has_two_values(frame[chosen]):
        yes, told = _positive(column)
        reasons["label"] = f"{chosen}: {why}; binary, {told}"
        return chosen, "binary", yes
    if not column.dtype.is_numeric():
        told = f"a label; {chosen!r} is {column.dtype} with {column.n_unique()} values, not two, and no number"
        raise GuessError(told, frame.columns, "Name another: incumbent init DATA --label COLUMN")
    reasons["label"] = f"{chosen}: {why}; a number"
    return chosen, "regression", None


def _likely_label(frame: pl.DataFrame, times: set[str]) -> tuple[str, str]:
    names = [name for name in frame.columns if name not in times and frame[name].n_unique() > 1]
    exact = [name for wanted in _LABEL_NAMES for name in frame.columns if name.lower() == wanted and name not in times]
    if exact:
        return exact[0], "its name"
    binary = [name for name in names if _has_two_values(frame[name])]
    telling = [name for name in binary if words(name) & _LABEL_WORDS]
    if telling:
        return telling[-1], "its name"
    amounts = [name for name in names if frame.schema[name].is_numeric() and words(name) & _AMOUNTS]
    if amounts and amounts[-1] == frame.columns[-1]:
        return amounts[-1], "its name, and the last column"
    likely = [name for name in binary if frame.schema[name] == pl.Boolean or not words(name) & _ID_WORDS]
    if likely or amounts:
        return (likely or amounts)[-1], "the last column with two values" if likely else "its name"
    always = [name for name in frame.columns if words(name) & _LABEL_WORDS]
    told = f"a label; {always[0]!r} holds one value" if always else "a label"
    raise GuessError(told, frame.columns, "Name what is to be predicted: incumbent init DATA --label COLUMN")


def _has_two_values(column: pl.Series) -> bool:
    if column.dtype == pl.Boolean or column.dtype == pl.String or column.dtype.is_numeric():
        return column.drop_nulls().n_unique() == 2
    return False


def _positive(column: pl.Series) -> tuple[object, str]:
    """Which of two values means yes: none where that is plain."""
    values = sorted(column.unique().to_list())
    if column.dtype == pl.Boolean or values == [0, 1]:
        return None, "as it is"
    if column.dtype != pl.String:
        return values[1], f"{values[1]} means yes"
    plain = [value for value in values if value.strip().lower() in _YES]
    other = [value for value in values if value.strip().lower() in _NO]
    if len(plain) == 1:
        return plain[0], f"{plain[0]!r} means yes"
    if len(other) == 1:
        yes = next(value for value in values if value != other[0])
        return yes, f"{yes!r} means yes"
    counts = {value: int((column == value).sum()) for value in values}
    yes = min(values, key=lambda value: (counts[value], value))
    return yes, f"{yes!r}, the rarer one, means yes"


def _key(frame: pl.DataFrame, time: str, taken: set[str], reasons: dict[str, str]) -> tuple[str, ...]:
    ids = [
        name for name in frame.columns if words(name) & _ID_WORDS and name not in taken and not _is_float(frame, name)
    ]
    tries = [*((name,) for name in ids), *((name, time) for name in ids), (*ids, time)]
    for candidate in tries:
        complete = not any(frame[name].null_count() for name in candidate)
        if complete and not frame.select(candidate).is_duplicated().any():
            reasons["key"] = f"{', '.join(candidate)}: no two rows share it"
            return tuple(candidate)
    reasons["key"] = "the number of the row: no columns tell the rows apart, so append new rows at the end"
    return ()


def _is_float(frame: pl.DataFrame, name: str) -> bool:
    return frame.schema[name].is_float()


def _shared(frame: pl.DataFrame, key: Sequence[str]) -> str:
    twice = int(frame.select(key).is_duplicated().sum())
    return f"{', '.join(key)}: named" + (f"; {twice} rows share one, and will be quarantined" if twice else "")


def _entity(frame: pl.DataFrame, key: Sequence[str], taken: set[str], reasons: dict[str, str]) -> str | None:
    """A column of identifiers that rows share: what the rows are about."""
    for name in frame.columns:
        usable = words(name) & {"id", "uuid", "guid"} and name not in taken and not _is_float(frame, name)
        if usable and list(key) != [name] and frame[name].n_unique() * 2 <= frame.height:
            reasons["entity"] = f"{name}: an identifier that rows share"
            return name
    return None


def _features(frame: pl.DataFrame, label: str, taken: set[str], reasons: dict[str, str]) -> tuple[str, ...]:
    """Columns a model can use: none that identify, never vary, have thousands of categories or tell the label."""
    chosen: list[str] = []
    telling: list[str] = []
    for name in frame.columns:
        if name in taken or words(name) & {"id", "uuid", "guid"} or not _is_usable(frame[name]):
            continue
        (telling if _tells(frame, name, label) else chosen).append(name)
    if telling:
        reasons["left out"] = f"{', '.join(telling)}: each value goes with one value of {label} only"
    if not chosen:
        told = "a feature: beside key, times and label nothing usable varies"
        raise GuessError(told, frame.columns, "Add columns that are known when the question is asked")
    reasons["features"] = ", ".join(chosen)
    return tuple(chosen)


def _is_usable(column: pl.Series) -> bool:
    kind = column.dtype
    if not (kind == pl.Boolean or kind == pl.String or kind.is_numeric()):
        return False
    distinct = column.n_unique()
    return distinct > 1 and (kind != pl.String or distinct <= min(_MOST_CATEGORIES, len(column) / 2))


def _tells(frame: pl.DataFrame, name: str, label: str) -> bool:
    """Whether a few values each go with one label: a column that is filled in with the answer."""
    known = frame.select(name, label).drop_nulls(label)
    if known[name].n_unique() > _FEW_VALUES or known[label].n_unique() != 2:
        return False
    return bool((known.group_by(name).agg(pl.col(label).n_unique())[label] == 1).all())
