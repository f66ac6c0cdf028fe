"""The dataset-source plug-in: which rows a run was trained or scored on, by recipe and content hash.

MLflow loads this module at every `import mlflow`, so it is light. For the reason told in `run_context` it
does not inherit from `mlflow.data.dataset_source.DatasetSource`; a test holds it to that interface.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_plugins.errors import DatasetNotStoredError

SOURCE_TYPE = "incumbent_lake"
LONGEST = 65_535
"""Letters of a source that MLflow keeps."""
_OPTIONS = "INCUMBENT_LAKE__OPTIONS"


def packed(definition: Mapping[str, Any]) -> str:
    """A definition as short text: MLflow keeps only so much of a source, and expressions are wordy."""
    return base64.b64encode(zlib.compress(json.dumps(definition, sort_keys=True).encode(), 9)).decode()


def unpacked(text: str) -> dict[str, Any]:
    """Read back what `packed` wrote."""
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return found


def store_options(variables: Mapping[str, str]) -> dict[str, str]:
    """The options of the object store that the settings' variables give, as one JSON object or one by one.

    >>> store_options({"INCUMBENT_LAKE__OPTIONS": '{"aws_region": "x"}', "INCUMBENT_LAKE__OPTIONS__AWS_REGION": "y"})
    {'aws_region': 'y'}
    """
    found: dict[str, str] = json.loads(variables.get(_OPTIONS, "{}"))
    single = f"{_OPTIONS}__"
    return found | {name.removeprefix(single).lower(): v for name, v in variables.items() if name.startswith(single)}


@dataclass(frozen=True, slots=True)
class LakeDatasetSource:
    """A training set or window, named so that it can be made again from the lake.

    Attributes:
        lake: root of the lake, a folder or an S3 URI.
        table_versions: version of each source table that was read.
        views: digest of the feature views.
        as_of: moment the rows were asked about (ISO 8601, UTC).
        content_hash: hash of the rows themselves.
        definition: features, label and spine as canonical text, packed; empty where they were not logged.
    """

    lake: str
    table_versions: Mapping[str, int]
    views: str
    as_of: str
    rows: int
    content_hash: str
    definition: str = ""

    @staticmethod
    def _get_source_type() -> str:
        return SOURCE_TYPE

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, LakeDatasetSource)

    @classmethod
    def _resolve(cls, raw_source: Any) -> LakeDatasetSource:
        return cls.from_dict(raw_source.to_dict())

    def load(self) -> Any:
        """Make the rows again from the lake as it was, bit for bit: a Polars frame, sorted by `as_of` and key.

        No model file is run. What has been ingested since makes no difference. A lake in a bucket is reached by the
        variables `INCUMBENT_LAKE__OPTIONS...` of the settings, or by the store's own `AWS_...`.

        Raises:
            DatasetNotStoredError: the run was logged without the definition.
            SpecNotReadableError: a function among the features is not loaded; load the model file first.
            ManifestMismatchError: the rows come out different.
            VersionRemovedError: a table version was vacuumed.
        """
        from feature_store.offline.rebuilding import rebuilt
        from feature_store.storage.lake import Lake

        if not self.definition:
            raise DatasetNotStoredError(self.lake, self.as_of, self.rows)
        manifest = {
            **unpacked(self.definition),
            "as_of": self.as_of,
            "tables": dict(self.table_versions),
            "content_digest": self.content_hash,
        }
        return rebuilt(manifest, Lake(self.lake, store_options(os.environ))).frame

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {
            "table_versions": dict(self.table_versions)
        }

    @classmethod
    def from_dict(cls, source_dict: Mapping[str, Any]) -> LakeDatasetSource:
        """Read back what `to_dict` wrote."""
        return cls(**{f.name: source_dict[f.name] for f in dataclasses.fields(cls) if f.name in source_dict})

    def to_json(self) -> str:
        """The same as text, with keys in one order."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, source_json: str) -> LakeDatasetSource:
        """Read back what `to_json` wrote."""
        return cls.from_dict(json.loads(source_json))
