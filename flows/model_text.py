"""The model file that `init` writes: every guess as a comment in it, and nothing that is not needed."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from flows.errors import ModelFileError
from flows.guessing import RESERVED, Guess, Named, guess
from flows.results import Result

_SEPARATORS = ",;\t|"
_NULLS = ("", "NA", "N/A", "nan", "NaN", "null", "NULL")
_TEXT = frozenset({".csv", ".tsv", ".txt"})
_WHOLE = (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int128, pl.UInt128)
_FEWEST_ROWS = 100  # a window with fewer rows than this says little about a week


def write_model_file(data: Path, named: Named | None = None, output: Path | None = None) -> Result:
    """Write a model file beside the data, or to `output`.

    Raises:
        GuessError: no column looks like a time, a label or a feature.
        ModelFileError: the data cannot be read, or the model file is there already.
    """
    path = output or data.parent / "model.py"
    if path.exists():
        raise ModelFileError(path, "it is there already, and nothing was overwritten. Name another: --output FILE")
    reading = read_table(data)
    found = guess(reading.frame, (named or Named()).renamed(reading.names))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(model_file(data, path, reading, found), encoding="utf-8")
    facts = {"wrote": str(path), "rows": reading.frame.height, **found.reasons}
    facts["next"] = f"incumbent check {path}; incumbent ingest {path}; incumbent expect {path}; incumbent train {path}"
    return Result("init", _name(data), "", facts)


class Reading:
    """A table and the lines of code that read it so.

    Attributes:
        frame: rows with the names and types that the model file will see.
        code: Python lines that make `frame` of the file `DATA`.
        names: what columns of the file are called instead.
    """

    def __init__(self, frame: pl.DataFrame, code: str) -> None:
        self.frame, self.code = frame, [code]
        self.names: dict[str, str] = {}

    def then(self, code: str, frame: pl.DataFrame) -> None:
        """Add a step."""
        self.code.append(code)
        self.frame = frame


def read_table(path: Path) -> Reading:
    """Read a CSV or Parquet file, in types that can be stored and under names that nobody else uses.

    Raises:
        ModelFileError: there is no such file, it is neither, or it holds no rows.
    """
    if not path.is_file():
        raise ModelFileError(path, "there is no such data file. Name a .csv or .parquet file")
    try:
        reading = _from_csv(path) if path.suffix.lower() in _TEXT else _from_parquet(path)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise ModelFileError(path, f"it cannot be read: {error}. Repair it, or save it again") from error
    if reading.frame.is_empty():
        raise ModelFileError(path, "it has no rows. Name a file with rows")
    _store_types(reading)
    _rename(reading)
    return reading


def _from_csv(path: Path) -> Reading:
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        head = lines.readline()
    separator = max(_SEPARATORS, key=head.count)
    options: dict[str, object] = {"infer_schema_length": None, "null_values": list(_NULLS)}
    options |= {} if separator == "," else {"separator": separator}
    options |= {} if _is_utf8(path) else {"encoding": "latin-1"}
    frame = pl.read_csv(path, **options)  # type: ignore[arg-type]  # a mapping of its own options
    if separator != "," and _has_decimal_commas(frame):
        options["decimal_comma"] = True
        frame = pl.read_csv(path, **options)  # type: ignore[arg-type]  # as above
    told = ", ".join(f"{name}={_quote(value)}" for name, value in options.items())
    return Reading(frame, f"frame = pl.read_csv(DATA, {told})")


def _is_utf8(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has_decimal_commas(frame: pl.DataFrame) -> bool:
    texts = [frame[name].drop_nulls() for name, kind in frame.schema.items() if kind == pl.String]
    return any(len(text) and text.str.contains(r"^-?\d+,\d+$").all() for text in texts)


def _from_parquet(path: Path) -> Reading:
    if path.suffix.lower() not in {".parquet", ".pq"}:
        raise ModelFileError(path, "data must be a .csv or .parquet file. Save it as one of these")
    return Reading(pl.read_parquet(path), "frame = pl.read_parquet(DATA)")


def _store_types(reading: Reading) -> None:
    """What the lake does not store is made into what it does, or left out."""
    schema = reading.frame.schema
    casts: dict[str, str] = {name: "pl.Int64" for name, kind in schema.items() if kind in _WHOLE}
    casts |= {name: "pl.Float64" for name, kind in schema.items() if isinstance(kind, pl.Decimal)}
    casts |= {name: "pl.String" for name, kind in schema.items() if isinstance(kind, pl.Categorical | pl.Enum)}
    gone = [name for name, kind in schema.items() if _is_unstorable(kind)]
    if casts:
        told = ", ".join(f"{_quote(name)}: {kind}" for name, kind in casts.items())
        types = [pl.col(name).cast(getattr(pl, kind.removeprefix("pl."))) for name, kind in casts.items()]
        reading.then(f"frame = frame.cast({{{told}}})", reading.frame.with_columns(types))
    if gone:
        reading.then(f"frame = frame.drop({_quote(gone)})", reading.frame.drop(gone))


def _is_unstorable(kind: pl.DataType) -> bool:
    return kind.is_nested() or isinstance(kind, pl.Null | pl.Time | pl.Duration | pl.Binary | pl.Object)


def _rename(reading: Reading) -> None:
    """Names that the loop gives columns itself, and those it keeps for itself, become others."""
    columns = reading.frame.columns
    awkward = [name for name in columns if name in RESERVED or name.startswith("_") or not name.strip()]
    renamed = {name: _free(f"given_{name.strip('_ ') or 'row_id'}", columns) for name in awkward}
    if renamed:
        reading.then(f"frame = frame.rename({_quote(renamed)})", reading.frame.rename(renamed))
        reading.names = renamed


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def model_file(data: Path, path: Path, reading: Reading, found: Guess) -> str:
    """The text of the model file."""
    columns = reading.frame.columns
    answer, answered, row = (_free(name, columns) for name in ("answer", "answered_at", "row_number"))
    key = found.key or (row,)
    classifier = found.task == "binary"
    estimator = "HistGradientBoostingClassifier" if classifier else "HistGradientBoostingRegressor"
    numbered = [] if found.key else [f'frame = frame.with_row_index("{row}").cast({{"{row}": pl.Int64}})']
    entity = f", entity={_quote(found.entity)}" if found.entity else ""
    rhythm = _rhythm(found, reading.frame.height)
    expect = ",\n            ".join(_expectations(reading.frame, found.features))
    return f'''"""{_plain(f"{_name(data)}: {found.label}, asked at {found.event_time}.")}"""

# Guessed by `incumbent init` from {_plain(data.name)}; look at each, they are yours now.
{_notes(found)}

from pathlib import Path

import polars as pl
from sklearn.ensemble import {estimator}

from incumbent import Gate, Label, Model, Policy, Source, col, drifted, each, older, request, within, worse

DATA = {_location(data, path)}


def read() -> pl.DataFrame:
    {(chr(10) + "    ").join([*reading.code, *numbered])}
    asked = pl.col({_quote(found.event_time)}){found.moments.reading}
    return frame.with_columns(asked, {answered}=asked + pl.duration(seconds=1))


rows = Source(
    "{_name(data)}", read=read, key={_quote(list(key))}, event_time={_quote(found.event_time)},
    available_at={_quote(found.event_time)}{entity},
    later={{"{answered}": [{_quote(found.label)}]}},
    derive={{"{answer}": {_answer(found)}}},
    expect=[{expect}],
)
model = Model(
    "{_name(data)}", owner="you@example.com", purpose="say what it is for", task="{found.task}",
    spine=each(rows, as_of={_quote(found.event_time)}), label=Label("{answer}", deadline="{rhythm["deadline"]}"),
    features=[request({", ".join(map(_quote, found.features))})],
    gate=Gate("{"brier" if classifier else "rmse"}"{rhythm["block"]}),
    policy=Policy(every="{rhythm["every"]}", retrain=drifted().for_(2) | worse("2%") | older("{rhythm["older"]}"),
                  rollback=worse("5%"), min_labels={rhythm["min_labels"]}){rhythm["evaluation"]},
)
model.fit({estimator}())
'''


def _notes(found: Guess) -> str:
    notes = {
        **found.reasons,
        "moments": 'without a zone they are taken as UTC; where they are not, write tz="Area/City" in the source',
        "answer": "taken as known a second after its row; if it comes later, name the column that says when in `later`",
        "owner, purpose": "nobody can guess those",
    }
    return "\n".join(f"#   {name}: {_plain(reason)}" for name, reason in notes.items())


def _rhythm(found: Guess, rows: int) -> dict[str, str]:
    """Windows long enough to hold rows, and an evaluation that leaves history to train on."""
    first, last = found.between
    days = max((last - first).total_seconds() / 86_400, 1 / 24)
    every = next((length for length in (7, 14, 28, 91) if rows / days * length >= _FEWEST_ROWS), 182)
    plain = {"every": f"{every}d", "older": f"{max(60, 6 * every)}d", "deadline": "1d", "block": "", "evaluation": ""}
    plain["min_labels"] = str(max(50, min(500, math.floor(rows / days * every / 2))))
    if days >= 6 * every:
        return plain
    evaluated = max(14, math.floor(days * 1440 / 4))
    rest = 1440 - last.hour * 60 - last.minute  # an evaluation ends at the midnight after the newest row
    return plain | {
        "deadline": f"{max(1, evaluated // 14)}m",
        "block": f', block="{max(1, evaluated // 14)}m"',
        "evaluation": f', evaluation="{evaluated + rest}m"',
    }


def _answer(found: Guess) -> str:
    column = f"col({_quote(found.label)})"
    if found.task == "regression":
        return f"{column}.cast(pl.Float64)"
    return f"{column}.cast(pl.Boolean)" if found.yes is None else f"{column} == {_quote(found.yes)}"


def _expectations(frame: pl.DataFrame, features: Sequence[str]) -> list[str]:
    """Ranges with a margin of the whole spread on both sides, for numbers that vary."""
    found = []
    for name in features:
        if not frame.schema[name].is_numeric():
            continue
        known = frame[name].cast(pl.Float64).drop_nulls()
        known = known.filter(known.is_finite())
        if known.n_unique() > 1:
            low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]  # numbers without nulls
            found.append(f"within({_quote(name)}, {_rounded(low - (high - low))}, {_rounded(high + (high - low))})")
    return found


def _rounded(value: float) -> str:
    return f"{value:.12g}"


def _location(data: Path, path: Path) -> str:
    folder, whole = path.resolve().parent, data.resolve()
    if whole.is_relative_to(folder):
        return f"Path(__file__).parent / {_quote(os.fspath(whole.relative_to(folder)))}"
    return f"Path({_quote(os.fspath(whole))})"


def _name(data: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", data.stem).strip("-_")
    return name if name[:1].isalpha() else f"data-{name}".rstrip("-")


def _plain(text: str) -> str:
    """Text for a comment or docstring: one line, without what would end either."""
    return " ".join(text.split()).replace("\\", "/").replace('"""', "'''").replace('"', "'")


def _quote(value: object) -> str:
    """A value as Python source, with double quotes."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
