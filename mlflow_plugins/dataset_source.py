"""The dataset-source plug-in: which rows a run was trained or scored on, by recipe and content hash.

MLflow loads this module at every `import mlflow`, so it is light. For the reason told in `run_context` it
does not inherit from `mlflow.data.dataset_source.DatasetSource`; a test holds it to that interface.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_plugins.errors import DatasetNotStoredError

SOURCE_TYPE = "incumbent_lake"


@dataclass(frozen=True, slots=True)
class LakeDatasetSource:
    """A training set or window, named so that it can be made again from the lake.

    Attributes:
        lake: root of the lake, a folder or an S3 URI.
        table_versions: version of each source table that was read.
        views: digest of the feature views.
        as_of: moment the rows were asked about (ISO 8601, UTC).
        content_hash: hash of the rows themselves.
    """

    lake: str
    table_versions: Mapping[str, int]
    views: str
    as_of: str
    rows: int
    content_hash: str

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
        """Refuse, and name the command that makes the rows again: a source knows no model file.

        Raises:
            DatasetNotStoredError: always.
        """
        raise DatasetNotStoredError(self.lake, self.as_of, self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {
            "table_versions": dict(self.table_versions)
        }

    @classmethod
    def from_dict(cls, source_dict: Mapping[str, Any]) -> LakeDatasetSource:
        """Read back what `to_dict` wrote."""
        return cls(**{f.name: source_dict[f.name] for f in dataclasses.fields(cls)})

    def to_json(self) -> str:
        """The same as text, with keys in one order."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, source_json: str) -> LakeDatasetSource:
        """Read back what `to_json` wrote."""
        return cls.from_dict(json.loads(source_json))
