"""How a request is answered: MLflow's own way, and three faster ones that must prove themselves."""

from __future__ import annotations

from enum import StrEnum


class Tier(StrEnum):
    """How a request is answered; each tier stands on the one before where something is unusual."""

    MLFLOW = "mlflow"  # MLflow's own code
    TYPED = "typed"  # decoded with types from the signature, then the model's own predict
    MICROBATCH = "microbatch"  # the same, for all requests that queued up while the last predict ran
    COMPILED = "compiled"  # a compiled plan whose answers are the model's, bit for bit

    @property
    def rank(self) -> int:
        """Place in the order above."""
        return list(Tier).index(self)
