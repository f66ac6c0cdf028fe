"""`init`: what a table is about, guessed from names and values, written as a model file that says what was guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.errors import GuessError, ModelFileError
from flows.results import Result

_TIME_NAMES = ("event_time", "as_of", "timestamp", "datetime", "time", "date", "created", "created_at", "day", "ts")
_LABEL_NAMES = (
    "label",
    "target",
    "y",
    "outcome",
    "churn",
    "churned",
    "class",
    "is_fraud",
    "default",
    "late",
    "survived",
    "bought",
)
_ID_NAME = re.compile(r"(^|_)(id|uuid|key|number|no)$|Id$|ID$")
_MOST_CATEGORIES = 1000


@dataclass(frozen=True, slots=True)
class Guess:
    """What a table seems to be about, each with its reason."""

    event_time: str
    label: str
    key: tuple[str, ...]
    features: tuple[str, ...]
    task: str
    expect: tuple[str, ...]
    reasons: dict[str, str]


def write_model_file(
    data: Path,
    *,
    event_time: str | None = None,
    label: str | None = None,
    key: Sequence[str] | None = None,
    output: Path | None = None,
) -> Result:
    """Write a model file beside the data, with every guess as a comment in it.

    Raises:
        GuessError: no column looks like a time or a label; the message names the option that says which.
        ModelFileError: the data cannot be read, or the model file is there already.
    """
    frame = read_table(data)
    guess = guess_columns(frame, event_time=event_time, label=label, key=key)
    path = output or data.parent / "model.py"
    if path.exists():
        raise ModelFileError(path, "it is there already, and nothing was overwritten. Name another: --output FILE")
    path.write_text(model_file(data, guess))
    facts = {"wrote": str(path), "rows": frame.height, **guess.reasons}
    facts["next"] = f"incumbent check {path}; incumbent ingest {path}; incumbent train {path}"
    return Result("init", _name(data), "", facts)


def read_table(path: Path) -> pl.DataFrame:
    """Read a CSV or Parquet file, with times parsed.

    Raises:
        ModelFileError: there is no such file, or it is neither.
    """
    if not path.is_file():
        raise ModelFileError(path, "there is no such data file")
    if path.suffix.lower() not in {".csv", ".parquet", ".pq"}:
        raise ModelFileError(path, "data must be a .csv or .parquet file")
    if path.suffix.lower() == ".csv":
        try:
            return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None, null_values=["", "NA"])
        except pl.exceptions.PolarsError as error:
            raise ModelFileError(path, f"it does not read as CSV: {error}") from error
    return pl.read_parquet(path)


def guess_columns(
    frame: pl.DataFrame, *, event_time: str | None, label: str | None, key: Sequence[str] | None
) -> Guess:
    """Guess what was not named."""
    for named in (event_time, label, *(key or ())):
        if named is not None and named not in frame.columns:
            raise GuessError(f"{named!r}", frame.columns, "--event-time, --label or --key")
    reasons: dict[str, str] = {}
    time = event_time or _guess_time(frame, reasons)
    target = label or _guess_label(frame, time, reasons)
    identity = tuple(key) if key else _guess_key(frame, time, target, reasons)
    features = _usable(frame, {time, target}, identity)
    if not features:
        raise GuessError("a feature", frame.columns, "--label")
    task = "binary" if _is_binary(frame[target]) else "regression"
    reasons["features"] = ", ".join(features)
    reasons["task"] = f"{task}: {target} has {frame[target].n_unique()} different values"
    return Guess(time, target, identity, features, task, _expectations(frame, features), reasons)


def _guess_time(frame: pl.DataFrame, reasons: dict[str, str]) -> str:
    times = [name for name, kind in frame.schema.items() if kind.is_temporal() and kind != pl.Time]
    if not times:
        raise GuessError("a time", frame.columns, "--event-time")
    named = [name for name in times if name.lower() in _TIME_NAMES]
    chosen = (named or times)[0]
    reasons["event_time"] = f"{chosen}: {'its name' if named else 'the first column of times'} (of {', '.join(times)})"
    return chosen


def _guess_label(frame: pl.DataFrame, time: str, reasons: dict[str, str]) -> str:
    named = [name for name in frame.columns if name.lower() in _LABEL_NAMES and name != time]
    binary = [name for name in reversed(frame.columns) if name != time and _is_binary(frame[name])]
    if not named and not binary:
        raise GuessError("a label", frame.columns, "--label")
    chosen = (named or binary)[0]
    reasons["label"] = f"{chosen}: {'its name' if named else 'the last column with two values'}"
    return chosen


def _guess_key(frame: pl.DataFrame, time: str, label: str, reasons: dict[str, str]) -> tuple[str, ...]:
    ids = [name for name in frame.columns if _ID_NAME.search(name) and name not in {time, label}]
    for candidate in ([ids[:1]] if ids else []) + [[time], [time, *ids[:1]], [time, *ids]]:
        if candidate and frame.select(candidate).is_duplicated().sum() == 0 and not frame[candidate[0]].null_count():
            reasons["key"] = f"{', '.join(candidate)}: no two rows share it"
            return tuple(candidate)
    reasons["key"] = "the whole row: no column tells the rows apart"
    return ()


def _is_binary(column: pl.Series) -> bool:
    if column.dtype == pl.Boolean:
        return True
    values = set(column.drop_nulls().unique().to_list()) if column.n_unique() <= 3 else set()
    return values in ({0, 1}, {0.0, 1.0})


def _usable(frame: pl.DataFrame, taken: set[str], key: tuple[str, ...]) -> tuple[str, ...]:
    """Columns a model can use: no identifiers, no times, nothing constant or with thousands of categories."""
    chosen = []
    for name, kind in frame.schema.items():
        if (
            name in taken
            or _ID_NAME.search(name)
            or (name in key and len(key) == 1)
            or kind.is_temporal()
            or kind.is_nested()
        ):
            continue
        distinct = frame[name].n_unique()
        if distinct > 1 and (kind != pl.String or distinct <= min(_MOST_CATEGORIES, frame.height / 2)):
            chosen.append(name)
    return tuple(chosen)


def _expectations(frame: pl.DataFrame, features: Sequence[str]) -> tuple[str, ...]:
    """Ranges with a margin of the whole spread on both sides, for numbers that vary."""
    found = []
    for name in features:
        if frame.schema[name].is_numeric():
            low, high = float(frame[name].min()), float(frame[name].max())  # type: ignore[arg-type]  # numeric: min is a number
            spread = high - low
            found.append(f'within("{name}", {low - spread:g}, {high + spread:g})')
    return tuple(found)


def _name(data: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", data.stem).strip("-") or "model"


def model_file(data: Path, guess: Guess) -> str:
    """The text of the model file."""
    estimator = "HistGradientBoostingClassifier" if guess.task == "binary" else "HistGradientBoostingRegressor"
    metric = "brier" if guess.task == "binary" else "rmse"
    quoted = ", ".join(f'"{name}"' for name in guess.features)
    key = f"[{', '.join(repr(k) for k in guess.key)}]" if guess.key else "ALL"
    expect = ",\n            ".join(guess.expect)
    notes = "\n".join(f"#   {name}: {reason}" for name, reason in guess.reasons.items())
    names = [
        "Gate",
        "Label",
        "Model",
        "Policy",
        "Source",
        "col",
        "drifted",
        "each",
        "older",
        "request",
        "within",
        "worse",
    ]
    names += [] if guess.key else ["ALL"]
    label_type = 'col("{0}").cast(pl.Boolean)' if guess.task == "binary" else 'col("{0}").cast(pl.Float64)'
    return f'''"""{_name(data)}: {guess.label}, asked at {guess.event_time}."""

# Guessed by `incumbent init` from {data.name}; look at each, they are yours now.
{notes}
#   label: taken as known one second after its row; if it comes later, name the column that says when in `later`.
#   owner and purpose: nobody can guess those.

from pathlib import Path

import polars as pl
from sklearn.ensemble import {estimator}

from incumbent import {", ".join(sorted(names))}

DATA = Path(__file__).parent / "{data.name}"


def read() -> pl.DataFrame:
    {_reading(data)}
    moment = pl.col("{guess.event_time}").cast(pl.Datetime("us"))
    return frame.with_columns(moment, answered_at=moment + pl.duration(seconds=1))


rows = Source(
    "{_name(data)}", read=read, key={key}, event_time="{guess.event_time}", available_at="{guess.event_time}",
    later={{"answered_at": ["{guess.label}"]}}, derive={{"answer": {label_type.format(guess.label)}}},
    expect=[{expect}],
)
model = Model(
    "{_name(data)}", owner="you@example.com", purpose="say what it is for", task="{guess.task}",
    spine=each(rows, as_of="{guess.event_time}"), label=Label("answer", deadline="1d"),
    features=[request({quoted})],
    gate=Gate("{metric}"),
    policy=Policy(every="7d", retrain=drifted().for_(2) | worse("2%") | older("60d"), rollback=worse("5%")),
)
model.fit({estimator}())
'''


def _reading(data: Path) -> str:
    if data.suffix.lower() == ".csv":
        return 'frame = pl.read_csv(DATA, try_parse_dates=True, infer_schema_length=None, null_values=["", "NA"])'
    return "frame = pl.read_parquet(DATA)"
