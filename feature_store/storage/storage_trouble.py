"""What the libraries under the lake raise, told as one of our errors.

They tell a refused key, a store that is gone, a full disk and a damaged file by different classes with each library,
some of them by a panic, so what can be relied on is the code inside the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from deltalake.exceptions import DeltaError
from polars.exceptions import ComputeError

from feature_store.errors import (
    FeatureStoreError,
    LakeAccessError,
    LakeFullError,
    LakeUnreachableError,
    TableDamagedError,
    VersionRemovedError,
)

_FULL = {"27": "File too large", "28": "No space left on device", "122": "Disk quota exceeded"}
_REFUSED = {"1": "Operation not permitted", "13": "Permission denied", "30": "Read-only file system"}
_OS_ERROR = re.compile(r"(?:os error |Errno |errno )(\d+)")
_S3_CODE = re.compile(r"<Code>(\w+)</Code>|AWS Error (\w+) during")
_COLOUR = re.compile(r"\x1b\[\d+m|↳")
_REFUSING = re.compile(
    r"SignatureDoesNotMatch|SIGNATURE_DOES_NOT_MATCH|InvalidAccessKeyId|INVALID_ACCESS_KEY_ID|AccessDenied|ACCESS_DENIED"
    r"|40[13] (?:Forbidden|Unauthorized)|necessary privileges"
)
_SILENT = re.compile(
    r"error sending request|Connection refused|Connection reset|NETWORK_CONNECTION|tcp connect error|dns error"
    r"|timed out|\b50[0234] |NoSuchBucket|NO_SUCH_BUCKET"
)
_GAP = re.compile(r"found gap.*?(\d{20})\.json", re.DOTALL)
_PARQUET = re.compile(r"^parquet: |[Pp]arquet error|Failed to parse parquet")
_MISSING = re.compile(r"([^/\s]+\.parquet)")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A context in which a table is read or written; what is raised inside leaves it as one of our errors.

    Attributes:
        root: the lake's root, for the message.
        table: the table that is worked on.
        options: storage options; what of them is secret is cut out of every message.
        version: the earlier version that is read, or None for the newest.
    """

    root: str
    table: str
    options: Mapping[str, str] | None = None
    version: int | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, FeatureStoreError):
            return
        told = self.told(error)
        if told is not None:
            raise told from error

    def told(self, error: BaseException) -> FeatureStoreError | None:
        """One of our errors that says the same, or None when it says nothing about the store."""
        # Errors in a query quote the plan, with its files; they are none of the store's.
        if not isinstance(error, (OSError, DeltaError, ComputeError)) and not _is_panic(error):
            return None
        text = self._without_secrets(_COLOUR.sub("", str(error)))
        return self._full_or_refused(error, text) or self._silent(text) or self._damaged(error, text)

    def _full_or_refused(self, error: BaseException, text: str) -> FeatureStoreError | None:
        found = _OS_ERROR.search(text)
        number = str(error.errno) if isinstance(error, OSError) and error.errno else found.group(1) if found else ""
        if number in _FULL:
            return LakeFullError(self.root, self.table, _FULL[number])
        if number in _REFUSED:
            return LakeAccessError(self.root, self._endpoint(), _REFUSED[number])
        if _REFUSING.search(text):
            return LakeAccessError(self.root, self._endpoint(), _code(text) or "403 Forbidden")
        return None

    def _silent(self, text: str) -> FeatureStoreError | None:
        if not _SILENT.search(text):
            return None
        return LakeUnreachableError(self.root, self._endpoint(), _code(text) or _last(text))

    def _damaged(self, error: BaseException, text: str) -> FeatureStoreError | None:
        gap = _GAP.search(text)
        if gap is not None:
            return self._damage(f"its log has a gap after commit {int(gap.group(1))}")
        if "No table metadata or protocol" in text:
            return self._damage("the first commit of its log is missing")
        if "Json error" in text:
            return self._damage(f"a commit of its log is no JSON ({_first(text)})")
        missing = _MISSING.search(text)
        if isinstance(error, FileNotFoundError) or "NoSuchKey" in text:
            file = missing.group(1) if missing else "a file"
            if self.version is not None:
                return VersionRemovedError(self.table, self.version, file)
            return self._damage(f"{file} is missing")
        if _is_panic(error) or _PARQUET.search(text):
            return self._damage(f"a Parquet file cannot be read ({_first(text)})")
        return None

    def _damage(self, detail: str) -> TableDamagedError:
        return TableDamagedError(self.table, self.root, detail)

    def _endpoint(self) -> str:
        for name, value in (self.options or {}).items():
            if name.lower() in {"aws_endpoint_url", "aws_endpoint", "endpoint_url", "endpoint"}:
                return re.sub(r"//[^/@]*@", "//", value)
        return self.root.split("://")[0] if "://" in self.root else "this machine"

    def _without_secrets(self, text: str) -> str:
        for name, value in (self.options or {}).items():
            if value and re.search(r"secret|token|password", name, re.IGNORECASE):
                text = text.replace(value, "***")
        return text


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _code(text: str) -> str | None:
    found = _S3_CODE.search(text)
    return next((group for group in found.groups() if group), None) if found else None


def _first(text: str) -> str:
    return " ".join(text.split("\n")[0].split())[:160]


def _last(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.split("\n\n")[0].split("\n") if line.strip()]
    return lines[-1][:160] if lines else "no reason was given"
