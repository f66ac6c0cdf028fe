"""Training sets: questions, features and labels as they were known, with what it takes to make them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from feature_store.definitions.feature_view import Feature, Latest, Recency, Windowed, named_views
from feature_store.definitions.source import Source
from feature_store.definitions.spec_text import spec_digest, spec_text, view_version
from feature_store.definitions.spine import Spine, asked_source
from feature_store.digest import content_digest, row_digests
from feature_store.errors import ManifestMismatchError
from feature_store.offline.features import features
from feature_store.offline.labels import KNOWN, Ahead, LabelSpec, check_label, labels
from feature_store.offline.partitions import Partitioning, features_in_parts
from feature_store.offline.questions import questions
from feature_store.span import utc
from feature_store.storage.lake import Lake
from feature_store.storage.tables import tables_of

AT_ONCE = Partitioning()
"""A million questions at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """What a training set is made of, whatever the moment: features, the label, and which questions are asked."""

    views: Sequence[Feature]
    label: LabelSpec
    spine: Spine

    @property
    def sources(self) -> list[Source]:
        """Every source that is read, by name; a source and its `where` views count once."""
        read = [asked_source(self.spine)]
        read += [view.source for view in self.views if isinstance(view, Latest | Windowed | Recency)]
        read += [self.label.source] if isinstance(self.label, Ahead) else []
        by_name = {source.name: source for source in reversed(read)}
        return [by_name[name] for name in sorted(by_name)]

    def texts(self) -> dict[str, str]:
        """Each part as canonical text."""
        return {
            "views": spec_text(list(self.views)),
            "spine": spec_text(self.spine),
            "label": spec_text(self.label),
        }

    def versions(self, lake: Lake) -> dict[str, int]:
        """Version of every lake table that is read."""
        tables = [table for source in self.sources for table in tables_of(source)]
        return {table: lake.version(table) for table in tables if lake.exists(table)}


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Questions with features and known labels, and the manifest by which the same frame can be made again."""

    frame: pl.DataFrame
    manifest: dict[str, Any]


def training_set(
    definition: Definition, lake: Lake, start: datetime | None, as_of: datetime, cut: Partitioning = AT_ONCE
) -> TrainingSet:
    """All questions asked in `(start, as_of]` whose label was known at `as_of`.

    Args:
        cut: how the features of more questions than go at a time are looked up; the frame is the same.

    Returns:
        the questions' columns, the features, `label`, `label_available_at` and `label_state`; sorted by
        `as_of` and key.
    """
    label, spine = definition.label, definition.spine
    check_label(label, spine)
    as_of = utc("as_of", as_of)
    versions = definition.versions(lake)
    asked = labels(label, spine, questions(spine, lake, start, as_of), lake, as_of)
    known = asked.filter(pl.col("label_state") == KNOWN)
    found = _features(definition, known, lake, cut)
    if definition.versions(lake) != versions:
        # Somebody has appended meanwhile: once more, from what the manifest names.
        return training_set(definition, lake.at(versions), start, as_of, cut)
    manifest = {
        "as_of": as_of.isoformat(),
        "start": None if start is None else utc("start", start).isoformat(),
        "rows": found.height,
        "types": {name: str(dtype) for name, dtype in found.schema.items()},
        "content_digest": content_digest(row_digests(found)),
        "tables": versions,
        "view_versions": {name: view_version(view) for name, view in named_views(definition.views).items()},
        "views_digest": spec_digest(list(definition.views)),
        **definition.texts(),
    }
    return TrainingSet(found, manifest)


def _features(definition: Definition, known: pl.DataFrame, lake: Lake, cut: Partitioning) -> pl.DataFrame:
    if known.height <= cut.questions:
        return features(definition.views, known, lake, spine=definition.spine)
    return pl.concat(features_in_parts(definition.views, known, lake, spine=definition.spine, cut=cut))


def rebuild(manifest: Mapping[str, Any], definition: Definition, lake: Lake) -> TrainingSet:
    """Make the training set of a manifest again, whatever has been ingested since.

    Raises:
        ManifestMismatchError: the specification is another one, or the frame comes out different.
    """
    for name, now in definition.texts().items():
        if manifest[name] != now:
            raise ManifestMismatchError(name, str(manifest[name]), now)
    start = None if manifest["start"] is None else datetime.fromisoformat(manifest["start"])
    then = lake.at(manifest["tables"])
    made = training_set(definition, then, start, datetime.fromisoformat(manifest["as_of"]))
    if made.manifest["content_digest"] != manifest["content_digest"]:
        raise ManifestMismatchError("content", manifest["content_digest"], made.manifest["content_digest"])
    return made
