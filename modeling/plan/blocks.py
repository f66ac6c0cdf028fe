"""What flows from one step of a pipeline to the next, while it is compiled."""

from __future__ import annotations

from dataclasses import dataclass

from modeling.pipeline import Kind
from modeling.plan.features import Feature, Number


class NotCompilableError(Exception):
    """Stops a compilation; `compile_plan` turns it into a `NotCompilable`, so it never leaves this package."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A column as the question has it."""

    column: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Block:
    """The columns between two steps.

    Attributes:
        features: one for each column of the block.
        names: names of the columns while they are a frame; none once they are an array.
        sparse: whether the block is a sparse matrix at prediction.
    """

    features: tuple[Raw | Feature, ...]
    names: tuple[str, ...] | None = None
    sparse: bool = False


def as_number(feature: Raw | Feature) -> Feature:
    """A feature that arithmetic can be done with.

    Raises:
        NotCompilableError: it is text.
    """
    if not isinstance(feature, Raw):
        return feature
    if feature.kind == "text":
        raise NotCompilableError(f"column {feature.column} is text where a number is needed")
    return Number(feature.column)
