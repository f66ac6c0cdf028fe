"""A decision to retrain, carried out here and now."""

from __future__ import annotations

from datetime import datetime

from flows.model import Model
from flows.train import train
from lifecycle.moments import iso


def train_here(model: Model, as_of: datetime) -> None:
    """Carry out a `Retrain` by running the train flow inside this one."""
    train(model.reference, iso(as_of))
