"""Few files instead of many, and none that nobody needs: what keeps a table fast and small."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import exceptions as delta

from feature_store.errors import AppendConflictError
from feature_store.span import parse_span, utc
from feature_store.storage.lake_log import KEEP_LOG, open_table
from feature_store.storage.storage_trouble import Trouble
from feature_store.storage.stored_files import LOG, StoredFile, files_under, read_text, remove

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did: files put together, files written for them, and the table's version afterwards."""

    files_before: int
    files_after: int
    version: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Which versions of a table a vacuum keeps.

    Attributes:
        versions: those that something names, such as the manifest of a training set.
        older_than: a length of time; versions that were the newest at a moment since then are kept too.
        as_of: the moment of the vacuum.
        dry_run: only tell what would be removed.
    """

    versions: Collection[int]
    older_than: str
    as_of: datetime
    dry_run: bool = False

    @property
    def since(self) -> datetime:
        """The moment since which every version is kept (UTC)."""
        return utc("as_of", self.as_of) - parse_span(self.older_than)


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What a vacuum removed, or would remove."""

    files: int
    bytes: int


def compact(url: str, options: Mapping[str, str] | None, trouble: Trouble) -> Compaction:
    """Put small files together in a commit that adds and removes no row.

    Appends that are committed meanwhile stay; another compaction of the same files makes this one begin again.
    """
    for _ in range(_TRIES):
        table = open_table(url, options, trouble)
        before = len(table.file_uris())
        with trouble:
            try:
                found = table.optimize.compact(post_commithook_properties=KEEP_LOG)
            except delta.CommitFailedError:
                continue
        table = open_table(url, options, trouble)
        after = before - int(found["numFilesRemoved"]) + int(found["numFilesAdded"])
        return Compaction(before, after, table.version())
    raise AppendConflictError(trouble.table, _TRIES)


def vacuum(url: str, options: Mapping[str, str] | None, trouble: Trouble, keep: Keep) -> Vacuumed:
    """Remove the files of a table that none of the versions to keep needs; the log stays whole.

    Delta's own vacuum measures age by its own clock and goes by the deletions since the last checkpoint; this one
    takes its moment as an argument, and looks at every file there is.
    """
    with trouble:
        files = files_under(url, options)
    needed = _needed(url, options, trouble, keep, files)
    unneeded = [one for one in _data(files) if one.written_at < keep.since and one.path not in needed]
    if not keep.dry_run:
        with trouble:
            remove(url, options, [one.path for one in unneeded])
    return Vacuumed(len(unneeded), sum(one.size for one in unneeded))


def _needed(
    url: str, options: Mapping[str, str] | None, trouble: Trouble, keep: Keep, files: Collection[StoredFile]
) -> set[str]:
    """The files of the named versions, and of all versions since the one that was newest at `keep.since`."""
    commits = {int(Path(one.path).stem): one for one in files if _is_commit(one)}
    newest = open_table(url, options, trouble).version()
    settled = [version for version, one in commits.items() if one.written_at < keep.since]
    first = max(settled, default=min(commits, default=newest))
    needed: set[str] = set()
    for version in {*keep.versions, first, newest}:
        table = open_table(url, options, Trouble(trouble.root, trouble.table, trouble.options, version))
        needed |= {unquote(path) for path in pl.DataFrame(table.get_add_actions())["path"]}
    with trouble:
        for version in range(first + 1, newest + 1):
            needed |= _added(read_text(url, options, commits[version].path))
    return needed


def _added(commit: str) -> set[str]:
    actions = [json.loads(line) for line in commit.splitlines() if line.strip()]
    return {unquote(one["add"]["path"]) for one in actions if "add" in one}


def _is_commit(one: StoredFile) -> bool:
    path = Path(one.path)
    return path.parent.name == LOG and path.suffix == ".json" and path.stem.isdigit() and len(path.stem) == 20


def _data(files: Collection[StoredFile]) -> list[StoredFile]:
    """The files that hold rows of this table, not its log and not a table in a folder below it."""
    below = tuple({one.path.split(f"{LOG}/")[0] for one in files if f"/{LOG}/" in one.path})
    return [one for one in files if not one.path.startswith(("_", ".", *below))]
