"""A training set made again from its manifest alone: the definition is in it, and so are the table versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_store.offline.spec_reading import read_spec
from feature_store.offline.training_set import Definition, TrainingSet, rebuild
from feature_store.storage.lake import Lake

PARTS = ("views", "label", "spine")
"""The parts of a definition, as a manifest holds them."""


def rebuilt(manifest: Mapping[str, Any], lake: Lake) -> TrainingSet:
    """Make the training set of a manifest again, whatever has been ingested since.

    Raises:
        SpecNotReadableError: the definition holds a function that is not loaded.
        ManifestMismatchError: the frame comes out different.
        VersionRemovedError: a table version was vacuumed.
    """
    parts = {name: read_spec(manifest[name]) for name in PARTS}
    return rebuild(manifest, Definition(**parts), lake)
