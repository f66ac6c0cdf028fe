"""How a tier earns its place: the same bytes as MLflow's own code, on rows that came with the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.decoding import Decoder, Values
from mlflow_plugins.deployment.encoding import encode
from mlflow_plugins.deployment.served import Predict
from mlflow_plugins.deployment.tier import Tier

SAMPLE_ROWS = 48
_BATCHES = (1, 2, 3, 7, 16)
_WITH_GAPS = frozenset({Kind.DOUBLE, Kind.FLOAT, Kind.STRING, Kind.DATETIME})


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows with the answers that MLflow's code gives them.

    Attributes:
        bodies: requests, all rows at once and the first few, each with MLflow's answer.
        values: the rows as the decoder reads them.
    """

    columns: tuple[Column, ...]
    bodies: tuple[tuple[bytes, bytes], ...]
    values: Sequence[Values]

    def examples(self, count: int) -> tuple[Mapping[str, Any], ...]:
        """The first rows, by name of the column."""
        names = [column.name for column in self.columns]
        return tuple(dict(zip(names, row, strict=True)) for row in list(zip(*self.values, strict=True))[:count])


def sample_of(rows: pd.DataFrame, columns: tuple[Column, ...], pyfunc: Any) -> Sample | None:
    """Ask MLflow's code about some rows; none where it cannot answer them, or no decoder can read them."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    names = [column.name for column in columns]
    if rows.empty or not set(names) <= set(rows.columns):
        return None
    picked = rows[names].iloc[:SAMPLE_ROWS]
    data = list(zip(*(_as_json(picked[column.name], column.kind) for column in columns), strict=True))
    parts = [data, *(data[:size] for size in _BATCHES)]
    bodies = [json.dumps({"dataframe_split": {"columns": names, "data": part}}).encode() for part in parts]
    values = Decoder(columns).decode(bodies[0])
    if values is None:
        return None
    schema = pyfunc.metadata.get_input_schema()
    try:
        answers = [invocations(body, "application/json", pyfunc, schema).response.encode() for body in bodies]
    except MlflowException:
        return None
    return Sample(columns, tuple(zip(bodies, answers, strict=True)), values)


def problem_of(tier: Tier, predict: Predict, sample: Sample, scores: Predict | None = None) -> str | None:
    """Why a tier may not serve this model; none when its bytes are MLflow's.

    Args:
        scores: what lies behind its answers, if anything does: a sigmoid hides most last bits.
    """
    decode = Decoder(sample.columns).decode
    for body, answer in sample.bodies:
        values = decode(body)
        assert values is not None  # the sample was decoded when it was made
        try:
            found = encode(predict(values))
        except Exception as error:  # noqa: BLE001  # whatever it raises, it is not MLflow's answer
            return f"it failed on golden rows: {type(error).__name__}: {error}"
        if found != answer:
            return f"its answer to golden rows is not MLflow's: {found[:80]!r} instead of {answer[:80]!r}"
    if tier is not Tier.MICROBATCH:  # nobody's rows are beside anybody else's
        return None
    try:
        asks = (predict, scores or predict)
        apart = all(rows_independent(ask, sample.values) and gaps_independent(ask, sample) for ask in asks)
    except Exception as error:  # noqa: BLE001  # a model may answer any number of rows but the one that was tried
        return f"it failed on some golden rows: {type(error).__name__}: {error}"
    return None if apart else "a row is answered differently alone and among others"


def rows_independent(predict: Predict, values: Sequence[Values]) -> bool:
    """Whether each row is answered the same, bit for bit, in batches of several sizes."""
    whole = predict(values)
    if not isinstance(whole, np.ndarray) or len(whole) != len(values[0]):
        return False
    for size in _BATCHES:
        parts = [predict([column[at : at + size] for column in values]) for at in range(0, len(values[0]), size)]
        together = np.concatenate([np.asarray(part) for part in parts])
        if together.dtype != whole.dtype or together.tobytes() != whole.tobytes():
            return False
    return True


def gaps_independent(predict: Predict, sample: Sample) -> bool:
    """Whether each row is answered the same, bit for bit, alone and among rows that lack a value each.

    A model that fills a gap from the rows beside it is not found out by rows without gaps. Rows that it cannot answer
    alone are left out, as it is for each request that is answered with others.
    """
    alone = [(row, answer) for row in _with_gaps(sample) if (answer := _alone(predict, row)) is not None]
    if not alone:
        return True
    try:
        together = predict(list(zip(*(row for row, _ in alone), strict=True)))
    except Exception:  # noqa: BLE001  # then each request is answered alone
        return True
    apart = np.concatenate([answer for _, answer in alone])
    return bool(together.dtype == apart.dtype and together.tobytes() == apart.tobytes())


def _with_gaps(sample: Sample) -> list[tuple[Any, ...]]:
    """Some rows as they are, and one for each column that may lack its value."""
    rows = list(zip(*sample.values, strict=True))
    found = rows[:2]
    for place, column in enumerate(sample.columns):
        if column.kind in _WITH_GAPS:
            row = rows[place % len(rows)]
            found.append((*row[:place], None, *row[place + 1 :]))
    return found[:SAMPLE_ROWS]


def _alone(predict: Predict, row: Sequence[Any]) -> Any:
    try:
        return np.asarray(predict([(value,) for value in row]))
    except Exception:  # noqa: BLE001  # whatever it is, MLflow's code meets it too
        return None


def _as_json(column: pd.Series[Any], kind: Kind) -> list[Any]:
    """Values as a client would write them, null for a gap."""
    if kind is Kind.DATETIME:
        return [None if pd.isna(value) else pd.Timestamp(value).isoformat() for value in column]
    return [None if pd.isna(value) else value for value in column.tolist()]
