"""Whether clients of one version can go on with another without noticing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_plugins.deployment.columns import Column
from mlflow_plugins.deployment.served import Output, Served


@dataclass(frozen=True, slots=True)
class Contract:
    """What clients were told when the server was started; it holds until the server is started anew."""

    columns: tuple[Column, ...]
    output: Output | None
    signature: Mapping[str, Any]

    @classmethod
    def of(cls, served: Served) -> Contract:
        """The contract of the version that the server began with."""
        return cls(served.columns, served.output, served.signature)

    def broken_by(self, fresh: Served) -> str | None:
        """Why requests that fitted do not fit this version, or why its answers are of another form; else none.

        A version that reads fewer columns fits: MLflow leaves out what a signature does not name.
        """
        if not self.columns or not fresh.columns:
            same = self.signature == fresh.signature
            return None if same else f"its signature is {dict(fresh.signature)}, not {dict(self.signature)}"
        kinds = {column.name: column.kind for column in self.columns}
        for column in fresh.columns:
            if column.name not in kinds:
                return f"it needs a column {column.name!r}, which clients do not send"
            if column.kind is not kinds[column.name]:
                return f"its column {column.name!r} is {column.kind.value}, not {kinds[column.name].value}"
        if self.output and fresh.output and self.output != fresh.output:
            return f"it answers {fresh.output}, not {self.output}"
        return None
