"""The log of a Delta table: how it is opened and checked, and how a commit is made that keeps every version."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake import exceptions as delta

from feature_store.errors import TableDamagedError, TableNotFoundError, VersionRemovedError
from feature_store.storage.storage_trouble import Trouble
from feature_store.storage.stored_files import LOG

# A training set names versions for ever, and a version is readable as long as its log is: left alone, every hundredth
# commit drops the log of what is older than 30 days. The table says so to other writers, and ours say it themselves.
KEPT_LOG = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 365000 days",
}
KEEP_LOG = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def open_table(url: str, options: Mapping[str, str] | None, trouble: Trouble) -> DeltaTable:
    """Open a table, at the version that `trouble` names or at the newest.

    Raises:
        TableNotFoundError: there is no such table, or no such version of it.
        TableDamagedError: the log has a gap or an unreadable commit.
        LakeUnreachableError, LakeAccessError: the store does not answer, or refuses.
    """
    with trouble:
        try:
            table = DeltaTable(url, version=trouble.version, storage_options=dict(options or {}) or None)
        except delta.TableNotFoundError as error:
            raise TableNotFoundError(trouble.table, trouble.root, trouble.version) from error
        except delta.DeltaError as error:
            if trouble.version is None or "not the same as the specified end version" not in str(error):
                raise
            raise TableNotFoundError(trouble.table, trouble.root, trouble.version) from error
    _refuse_empty_commits(url, trouble)
    return table


def surely_newest(url: str, version: int) -> bool:
    """Whether a table in a folder is still at a version: its commit is there and the next is not.

    Two looks cost far less than asking the log. Of a table in a bucket nothing is said.
    """
    if "://" in url:
        return False
    log = f"{url}/{LOG}/"
    return os.path.exists(f"{log}{version:020}.json") and not os.path.exists(f"{log}{version + 1:020}.json")  # noqa: PTH110


def scan_table(table: DeltaTable) -> pl.LazyFrame:
    """The rows of an open table, lazily."""
    options = table._storage_options or {}
    # Delta takes every option as text; Polars takes this one only as a number.
    numbers = {name: int(value) for name, value in options.items() if name == "max_retries"}
    return pl.scan_delta(table, storage_options=numbers or None)


def batch_commit(batch: str) -> CommitProperties:
    """A commit that carries the batch's id, and fails when another came first: then the id must be looked up anew."""
    return CommitProperties(max_commit_retries=0, app_transactions=[Transaction(batch, 1)])


def check_files(table: DeltaTable, url: str, trouble: Trouble) -> None:
    """Refuse a table of which a file in a folder is gone or has another length than its log says.

    Polars ends in a panic on a Parquet file that is cut off, so lengths are compared before it reads.

    Raises:
        TableDamagedError: a file was cut off, or is gone.
        VersionRemovedError: a file of an earlier version is gone.
    """
    if "://" in url:
        return
    added = pl.DataFrame(table.get_add_actions()).select("path", "size_bytes")
    for name, size in added.iter_rows():
        try:
            found = (Path(url) / name).stat().st_size
        except FileNotFoundError as error:
            if trouble.version is not None:
                raise VersionRemovedError(trouble.table, trouble.version, name) from error
            raise TableDamagedError(trouble.table, trouble.root, f"{name} is missing") from error
        if found != size:
            detail = f"{name} has {found} bytes, its log says {size}"
            raise TableDamagedError(trouble.table, trouble.root, detail)


def bytes_in_memory(table: DeltaTable, schema: Mapping[str, pl.DataType]) -> int:
    """What the rows would take in memory, estimated from their number and types without reading them."""
    added = pl.DataFrame(table.get_add_actions()).select("size_bytes", "num_records")
    width = sum(_WIDTHS.get(dtype, 8) for dtype in schema.values())
    # Without statistics, written by other tools, the stored size times a usual compression has to do.
    per_file = pl.coalesce(pl.col("num_records") * width, pl.col("size_bytes") * 10)
    return int(added.select(per_file.sum()).item())


_WIDTHS: dict[pl.DataType, int] = {
    pl.Boolean(): 1,
    pl.Int8(): 1,
    pl.Int16(): 2,
    pl.Int32(): 4,
    pl.Float32(): 4,
    pl.Date(): 4,
    pl.String(): 40,
}


def _refuse_empty_commits(url: str, trouble: Trouble) -> None:
    # delta-rs reads a commit of zero bytes, which a full or failing disk leaves, as a commit that says nothing.
    if "://" in url:
        return
    with os.scandir(Path(url) / LOG) as entries:
        empty = sorted(one.name for one in entries if one.name.endswith(".json") and not one.stat().st_size)
    if empty:
        raise TableDamagedError(trouble.table, trouble.root, f"commit {int(empty[0][:20])} of its log is empty")
