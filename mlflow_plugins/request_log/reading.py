"""A finished segment, read back as rows: a prediction each, or a request that only MLflow's code understood."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow_plugins.request_log.plain_bodies import columns_in

Row = dict[str, Any]
ORIGIN = "server"


@dataclass(slots=True)
class Read:
    """The records of one segment.

    Attributes:
        predictions: a row each, its features under `feature.NAME` (see `lifecycle.requests` for the others).
        requests: one row for each request whose columns or answer are not plain, or which was answered without any
            prediction; with body and answer as text.
        torn: lines that are not whole, as a power cut leaves them.
        types: of the signature's columns, by MLflow's names, and of the keys.
    """

    predictions: list[Row] = field(default_factory=list)
    requests: list[Row] = field(default_factory=list)
    torn: int = 0
    types: dict[str, str] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many requests are in it."""
        return len({row["prediction_id"].rpartition(".")[0] for row in self.predictions}) + len(self.requests)


def read_segment(name: str, lines: Iterable[tuple[int, bytes]], feature: str = "feature.{}") -> Read:
    """The records of the lines of a segment.

    Args:
        lines: each with the offset at which it begins; the id of a record is made of it.
        feature: how the column of a feature is called.
    """
    found, described = Read(), dict[int, Any]()
    for offset, line in lines:
        try:
            told = json.loads(line)
            if "describes" in told:
                described[told["describes"]] = told
                found.types |= {feature.format(one): kind for one, kind in told["columns"].items()} | told["keys"]
                continue
            record = _Record(f"{name}.{offset}", told, described[told["of"]], feature)
        except (ValueError, KeyError, TypeError):
            found.torn += 1
            continue
        rows = record.rows()
        if rows:
            found.predictions += rows
        else:
            found.requests.append(record.request(line.decode()))
    return found


@dataclass(frozen=True, slots=True)
class _Record:
    id: str
    told: Mapping[str, Any]
    of: Mapping[str, Any]
    feature: str

    def rows(self) -> list[Row] | None:
        """A row for each prediction; none where the values are not known, or an answer is no number."""
        told = self.told
        names = list(self.of["columns"])
        if told.get("status", 200) != 200:
            return None
        answers = _numbers(told["answer"] if "values" in told else _parsed(told["answer"]))
        if answers is None:
            return None
        if "values" in told:
            columns = dict(zip(names, told["values"], strict=True))
            keys = dict(zip(self.of["keys"], told.get("keys", ()), strict=False))
        else:
            plain = columns_in(told["body"], self.of["columns"], self.of["keys"], self.of["redacted"])
            if plain is None:
                return None
            columns, keys = plain
        if any(len(values) not in (0, len(answers)) for values in (*columns.values(), *keys.values())):
            return None
        given = {self.feature.format(one): values for one, values in columns.items()} | keys
        return [self._row(place, given, answer) for place, answer in enumerate(answers)]

    def _row(self, place: int, given: Mapping[str, Sequence[Any]], answer: float) -> Row:
        told, of = self.told, self.of
        return {
            **{name: values[place] if values else None for name, values in given.items()},
            "prediction_id": f"{self.id}.{place}",
            "model": of["model"],
            "version": of["version"],
            "epoch": of["epoch"],
            "as_of": told.get("as_of", told["at"]),
            "served_at": told["at"],
            "prediction": answer,
            "variant": of["variant"],
            "origin": ORIGIN,
        }

    def request(self, line: str) -> Row:
        """The record as a row of requests."""
        told, of = self.told, self.of
        decoded = "values" in told
        return {
            "request_id": self.id,
            "model": of["model"],
            "version": of["version"],
            "epoch": of["epoch"],
            "served_at": told["at"],
            "variant": of["variant"],
            "status": told.get("status", 200),
            "content_type": told.get("type", "application/json"),
            "body": line if decoded else told["body"],
            "answer": json.dumps(told["answer"]) if decoded else told["answer"],
        }


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def _numbers(answer: Any) -> list[float] | None:
    """One number for each row: the answer itself, or of two probabilities that of yes."""
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(predictions, list):
        return None
    found = [one[1] if isinstance(one, list) and len(one) == 2 else one for one in predictions]
    if not all(isinstance(one, int | float) for one in found):
        return None
    try:
        return [float(one) for one in found]
    except OverflowError:
        return None
