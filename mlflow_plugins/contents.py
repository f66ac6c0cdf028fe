"""The files of a stored model, looked at before anything reads what is in them.

`contents.json` lists the sha256 of each file, and a tag of the registered version holds the sha256 of `contents.json`:
whoever can write the folder alone cannot alter manifest and list together without being noticed.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from lifecycle.errors import IntegrityError
from mlflow_plugins.models import CONTENTS, INSTRUMENTS, PLAN, SKOPS_FILE, digests_in

MAX_FILE, MAX_UNPACKED, MAX_MEMBERS = 1 << 30, 4 << 30, 100_000
"""Bytes of one file, bytes of an archive when unpacked, and members of an archive; more is no model of ours."""

_PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill"}
_PICKLE_STARTS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_ADDED_BY_MLFLOW = {"registered_model_meta"}  # written beside a model when it is downloaded by its name
_BY_NAME = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", CONTENTS} | _ADDED_BY_MLFLOW
_ARCHIVES = {SKOPS_FILE, PLAN, INSTRUMENTS}
_DATA = {".json", ".parquet"}


def contents_digest(folder: Path) -> str:
    """sha256 of `contents.json`, and so of every file of the model.

    Raises:
        IntegrityError: there is none.
    """
    return hashlib.sha256(read(folder / CONTENTS)).hexdigest()


def check_files(folder: Path, expected: str | None = None) -> None:
    """Refuse a folder that is not exactly what was stored, or that holds what no model of ours holds.

    Args:
        expected: digest of `contents.json` that the registry recorded; none where there is no record.

    Raises:
        IntegrityError: a file is missing, added, altered, a link, too large, a pickle or of an unknown kind.
    """
    for path in sorted(folder.rglob("*")):
        _check_kind(folder, path)
    if expected is not None and contents_digest(folder) != expected:
        what = f"Digest of {CONTENTS} in {folder}"
        raise IntegrityError(what, expected, contents_digest(folder))
    recorded = read_json(folder / CONTENTS)
    found = {name: digest for name, digest in digests_in(folder).items() if name not in _ADDED_BY_MLFLOW}
    for name in sorted(recorded.keys() | found.keys()):
        if recorded.get(name) != found.get(name):
            what = f"File {name!r} in {folder}"
            raise IntegrityError(what, str(recorded.get(name, "no such file")), found.get(name, "no such file"))
    for name in sorted(_ARCHIVES & found.keys()):
        _check_archive(folder / name)


def _check_kind(folder: Path, path: Path) -> None:
    """By name, by size and by its first bytes; what a link points at is nobody's business here."""
    name = path.relative_to(folder).as_posix()
    if path.is_symlink():
        raise IntegrityError(str(folder), "files only", f"{name}, a link")
    if path.is_dir():
        return
    if path.suffix.lower() in _PICKLES or _starts(path).startswith(_PICKLE_STARTS):
        raise IntegrityError(str(folder), "no pickle", name)
    if name not in _BY_NAME | _ARCHIVES and path.suffix not in _DATA:
        raise IntegrityError(str(folder), "no such file", f"{name}, which no model has")
    if path.stat().st_size > MAX_FILE:
        raise IntegrityError(str(path), f"at most {MAX_FILE:,} bytes", f"{path.stat().st_size:,}")


def _starts(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _check_archive(path: Path) -> None:
    """Names that stay inside, no member twice, no pickle, and a bounded size when unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, [member.filename for member in members])
            unpacked = sum(member.file_size for member in members)
            if unpacked > MAX_UNPACKED:
                raise IntegrityError(str(path), f"at most {MAX_UNPACKED:,} bytes when unpacked", f"{unpacked:,}")
            for member in members:
                with archive.open(member) as content:
                    if content.read(2).startswith(_PICKLE_STARTS):
                        raise IntegrityError(str(path), "no pickle", member.filename)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise IntegrityError(str(path), "a model that can be read", f"{type(error).__name__}: {error}") from error


def _check_members(path: Path, names: list[str]) -> None:
    if len(names) > MAX_MEMBERS or len(set(names)) < len(names):
        raise IntegrityError(str(path), f"at most {MAX_MEMBERS:,} members, each once", f"{len(names):,} members")
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise IntegrityError(str(path), "members inside of the archive", name)
        if PurePosixPath(name).suffix.lower() in _PICKLES:
            raise IntegrityError(str(path), "no pickle", name)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        IntegrityError: it is something else, or missing.
    """
    text = read(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(str(path), "a JSON object", str(error)) from error
    if not isinstance(content, dict):
        raise IntegrityError(str(path), "a JSON object", type(content).__name__)
    return content


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        IntegrityError: there is none.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(str(path), "a file", "none") from error
