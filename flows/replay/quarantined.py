"""Rows that were held back, of all the sources of a model."""

from __future__ import annotations

import polars as pl

from feature_store.storage.lake import Lake
from flows.model import Model


def quarantined_rows(lake: Lake, model: Model) -> pl.DataFrame:
    """Every quarantined row: source, reason, column, value, and the row as JSON text; empty when there is none."""
    tables = [(source.name, f"quarantine/{source.name}") for source in model.sources]
    frames = [lake.read(table).with_columns(source=pl.lit(name)) for name, table in tables if lake.exists(table)]
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
