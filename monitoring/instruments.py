"""What is fitted once per version on its reference rows, so that later windows can be looked at without labels.

It is stored with the version as arrays and JSON in one `.npz` file, never as a pickle, and reading it runs nothing.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from monitoring.confidence import Confidence, Spread, Steps, learn_confidence
from monitoring.encoding import Encoding
from monitoring.error_model import ErrorModel, learn_errors
from monitoring.errors import UnreadableInstrumentsError
from monitoring.labels import LabelledRows
from monitoring.outliers import Extremes
from monitoring.trees import Trees

Arrays = Mapping[str, NDArray[Any]]

_TOLD = "told"


@dataclass(frozen=True, slots=True, eq=False)
class Instruments:
    """Everything that was learned on the reference rows of one version.

    Attributes:
        extremes: how far from the usual a row is.
        confidence: how true the probabilities are; none for a regression, or where too little could be learned.
        errors: expected errors; none for classes, or where too little could be learned.
    """

    extremes: Extremes
    confidence: Confidence | None = None
    errors: ErrorModel | None = None

    @classmethod
    def learn(cls, rows: LabelledRows, *, seed: int) -> Instruments:
        """Learn on labelled rows that the model was not trained on; the same rows and seed give the same arrays."""
        extremes = Extremes.of(rows.features)
        if rows.binary:
            return cls(extremes, confidence=learn_confidence(rows.predictions, rows.labels, rows.blocks))
        answered = rows.features.assign(prediction=rows.predictions)
        return cls(extremes, errors=learn_errors(answered, rows.labels, rows.blocks, seed=seed))

    def write(self, target: Path | BinaryIO) -> None:
        """Write one `.npz` file; equal instruments are equal bytes."""
        told: dict[str, Any] = {"extremes": self.extremes.plain()}
        arrays = self.extremes.arrays("extremes.")
        if self.confidence is not None:
            told["confidence"] = _confidence_plain(self.confidence)
            arrays |= _confidence_arrays(self.confidence)
        if self.errors is not None:
            told["errors"] = _errors_plain(self.errors)
            arrays |= _errors_arrays(self.errors)
        arrays[_TOLD] = np.frombuffer(json.dumps(told, sort_keys=True).encode(), dtype=np.uint8)
        np.savez_compressed(target, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, source: Path | bytes) -> Instruments:
        """Read what `write` wrote; pickled content is refused.

        Raises:
            UnreadableInstrumentsError: it is another file, or damaged.
        """
        name = str(source) if isinstance(source, Path) else "The instruments"
        try:
            with np.load(io.BytesIO(source) if isinstance(source, bytes) else source, allow_pickle=False) as file:
                return cls._from(json.loads(file[_TOLD].tobytes()), file)
        except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UnreadableInstrumentsError(name, f"{type(error).__name__}: {error}") from error

    @classmethod
    def _from(cls, told: Mapping[str, Any], arrays: Arrays) -> Instruments:
        confidence, errors = told.get("confidence"), told.get("errors")
        return cls(
            Extremes.from_plain(told["extremes"], arrays, "extremes."),
            confidence and _confidence(confidence, arrays),
            errors and _errors(errors, arrays),
        )


def _confidence_plain(found: Confidence) -> dict[str, Any]:
    return {
        "learned": [steps is not None for steps in found.steps],
        "error_before": found.error_before,
        "error_after": found.error_after,
        "spread": {metric: [spread.dispersion, spread.own] for metric, spread in found.spread.items()},
        "rows": found.rows,
        "blocks": found.blocks,
    }


def _confidence_arrays(found: Confidence) -> dict[str, NDArray[Any]]:
    learned = [(place, steps) for place, steps in enumerate(found.steps) if steps is not None]
    return {f"steps.{place}.{name}": getattr(steps, name) for place, steps in learned for name in ("x", "y")}


def _confidence(told: Mapping[str, Any], arrays: Arrays) -> Confidence:
    steps = tuple(
        Steps(arrays[f"steps.{place}.x"], arrays[f"steps.{place}.y"]) if learned else None
        for place, learned in enumerate(told["learned"])
    )
    spread = {metric: Spread(*pair) for metric, pair in told["spread"].items()}
    return Confidence(steps, told["error_before"], told["error_after"], spread, told["rows"], told["blocks"])


def _errors_plain(found: ErrorModel) -> dict[str, Any]:
    return {
        "encoding": found.encoding.plain(),
        "trees": sorted(found.trees),
        "scale": dict(found.scale),
        "groups": {name: len(trees) for name, trees in found.without.items()},
        "rows": found.rows,
        "blocks": found.blocks,
    }


def _errors_arrays(found: ErrorModel) -> dict[str, NDArray[Any]]:
    named = {f"trees.{name}.": trees for name, trees in found.trees.items()}
    for name, groups in found.without.items():
        named |= {f"trees.{name}.without.{place}.": trees for place, trees in enumerate(groups)}
    return {key: array for prefix, trees in named.items() for key, array in trees.arrays(prefix).items()}


def _errors(told: Mapping[str, Any], arrays: Arrays) -> ErrorModel:
    trees = {name: Trees.from_arrays(arrays, f"trees.{name}.") for name in told["trees"]}
    without = {
        name: tuple(Trees.from_arrays(arrays, f"trees.{name}.without.{k}.") for k in range(count))
        for name, count in told["groups"].items()
    }
    encoding = Encoding.from_plain(told["encoding"])
    return ErrorModel(encoding, trees, told["scale"], without, told["rows"], told["blocks"])
