"""The files under a lake, in a folder or in a bucket: listed and removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file: its path from the root that was listed, when it was written (UTC) and its size in bytes."""

    path: str
    written_at: datetime
    size: int


def files_under(root: str, options: Mapping[str, str] | None) -> list[StoredFile]:
    """Every file under a folder or a bucket's prefix; none when there is no such folder."""
    from pyarrow import fs

    store, base = _store(root, options)
    found = store.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    return [
        StoredFile(
            info.path.removeprefix(base).lstrip("/"), datetime.fromtimestamp(info.mtime_ns / 1e9, tz=UTC), info.size
        )
        for info in found
        if info.type == fs.FileType.File
    ]


def read_text(root: str, options: Mapping[str, str] | None, path: str) -> str:
    """The text of a small file."""
    store, base = _store(root, options)
    with store.open_input_stream(f"{base}/{path}") as stream:
        return str(stream.read().decode())


def remove(root: str, options: Mapping[str, str] | None, paths: Iterable[str]) -> None:
    """Remove files; one that is gone already is no error, so that an interrupted removal can be repeated."""
    store, base = _store(root, options)
    for path in paths:
        try:
            store.delete_file(f"{base}/{path}")
        except FileNotFoundError:
            continue


def tables_under(root: str, options: Mapping[str, str] | None) -> list[str]:
    """The names of the tables under a lake's root, sorted."""
    if "://" not in root:
        return sorted(log.parent.relative_to(root).as_posix() for log in Path(root).glob(f"**/{LOG}"))
    logs = (path.path for path in files_under(root, options) if f"/{LOG}/" in path.path)
    return sorted({path.split(f"/{LOG}/")[0] for path in logs})


def _store(root: str, options: Mapping[str, str] | None) -> tuple[Any, str]:
    from pyarrow import fs

    if "://" not in root:
        return fs.LocalFileSystem(), str(Path(root).absolute())
    given = {key.lower(): value for key, value in (options or {}).items()}
    scheme, _, address = given.get("aws_endpoint_url", "").rpartition("://")
    store = fs.S3FileSystem(
        access_key=given.get("aws_access_key_id"),
        secret_key=given.get("aws_secret_access_key"),
        session_token=given.get("aws_session_token"),
        region=given.get("aws_region", "us-east-1"),
        endpoint_override=address or None,
        scheme=scheme or "https",
    )
    return store, root.split("://", 1)[1]
