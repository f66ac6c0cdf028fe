"""A model version that is being served: everything that answering it needs, and nothing that changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlflow_plugins.deployment.asgi import App, Headers
from mlflow_plugins.deployment.columns import Column
from mlflow_plugins.deployment.decoding import Decoder, Values
from mlflow_plugins.deployment.tier import Tier

if TYPE_CHECKING:  # reading questions needs Polars, and not every process that serves does
    from mlflow_plugins.deployment.questions import Questions

Predict = Callable[[Sequence[Values]], Any]
"""Columns in the order of the signature to what the model answers, row by row."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a prediction is: its element type as the Open Inference Protocol names it, and the shape of one row."""

    datatype: str
    row_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Served:
    """One version of one model, loaded, verified and warm.

    Attributes:
        epoch: the ledger's epoch that made it champion; 0 for a version that was asked for by number.
        tier: the highest tier that proved itself, or the one the operator forced.
        decoder: none where the signature is unusual; then MLflow answers everything.
        predict: the answer of this tier to decoded columns; it may raise whatever the model raises.
        mlflow: MLflow's scoring app on the same model.
        headers: what is added to each answer.
        examples: a few golden rows, for the description.
        signature: inputs and outputs as MLflow writes them, to hold another version against.
        variant: `champion` or `challenger`, where the server follows the ledger.
        questions: reads requests that bring the key of their question; none where the version does not tell it.
        keys: by which the model's questions are known, where it says so: columns and the types of their values.
    """

    model: str
    version: int
    epoch: int
    digest: str
    tier: Tier
    columns: tuple[Column, ...]
    decoder: Decoder | None
    predict: Predict | None
    mlflow: App
    headers: Headers
    output: Output | None = None
    examples: tuple[Mapping[str, Any], ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    signature: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    questions: Questions | None = None

    def decoded(self, body: bytes) -> list[Values] | None:
        """The model's columns, where a body brings them all and nothing is unusual."""
        if self.decoder is None or (self.questions is not None and self.questions.lacks_features(body)):
            return None
        return self.decoder.decode(body)

    def facts(self) -> dict[str, Any]:
        """What `/models` tells of it; `refused` says why a higher tier does not serve it."""
        return {
            "name": self.model,
            "version": str(self.version),
            "epoch": self.epoch,
            "digest": self.digest,
            "tier": self.tier.value,
            "variant": self.variant,
            "refused": dict(self.refused),
        }

    def appointed(self, variant: str, epoch: int) -> Served:
        """The same version in another role, without loading it again."""
        headers = headers_of(self.model, self.version, epoch, variant)
        return replace(self, variant=variant, epoch=epoch, headers=headers)


def headers_of(model: str, version: int, epoch: int, variant: str = "") -> Headers:
    """The headers that name who answered; never in the body, which stays MLflow's.

    A name may hold any character, a header may not: what is not plain is percent-encoded.
    """
    from urllib.parse import quote

    named = {"model": quote(model, safe=" !#$&'()*+,/:;=?@[]~"), "version": str(version), "epoch": str(epoch)}
    if variant:
        named["variant"] = variant
    return tuple((f"x-incumbent-{key}".encode(), value.encode()) for key, value in named.items())
