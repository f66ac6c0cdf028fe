"""Append-only Delta tables under one root, on disk or on S3."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake
from deltalake import exceptions as delta

from feature_store.errors import (
    AppendConflictError,
    MissingColumnsError,
    TableChangedError,
    TableNotFoundError,
)
from feature_store.storage.compaction import Compaction, Keep, Vacuumed, compact, vacuum
from feature_store.storage.held_tables import Held, HeldTables
from feature_store.storage.lake_lock import TableLock, lock_path
from feature_store.storage.lake_log import (
    KEEP_LOG,
    KEPT_LOG,
    batch_commit,
    bytes_in_memory,
    check_files,
    open_table,
    scan_table,
    surely_newest,
)
from feature_store.storage.storage_trouble import Trouble
from feature_store.storage.stored_files import tables_under
from feature_store.storage.stored_types import new_columns

ABSENT = -1
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lake may take.

    Attributes:
        hold_bytes: how much memory the rows kept for the next read may take, over all tables. A table that is larger
            is read from its files at every read, and only the columns that are asked for.
        lock_seconds: how long a writer waits for another one on this machine.
        lock_folder: where locks are; by default beside the tables, or in the temporary folder for a lake in a bucket.
    """

    hold_bytes: int = 2 << 30
    lock_seconds: float = 600
    lock_folder: str | Path | None = None


class Lake:
    """Tables by name, such as `sources/flights`; rows are only ever added.

    One process at a time appends to a table (a file lock on one machine; commits of other machines are
    met by trying again). What this process has read or written is kept in memory up to a limit, so an append costs
    the rows that are appended.

    Args:
        root: a folder, or a URL such as s3://bucket/prefix.
        storage_options: what deltalake needs to reach the URL.
        versions: table versions to read instead of the newest; such a lake cannot be appended to.
        limits: of memory and waiting.

    Raises (every method that reaches the store):
        LakeUnreachableError: the store does not answer; that never reads as a table that is not there.
        LakeAccessError: the store or the folder refuses.
        TableDamagedError: a file or the log of the table is missing or cannot be read.
    """

    def __init__(
        self,
        root: str | Path,
        storage_options: Mapping[str, str] | None = None,
        *,
        versions: Mapping[str, int] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self.root = str(root).rstrip("/")
        self.storage_options = dict(storage_options or {}) or None
        self.limits = limits
        self._versions = None if versions is None else dict(versions)
        self._held = HeldTables(limits.hold_bytes)
        self._locks: dict[str, TableLock] = {}

    def __repr__(self) -> str:
        return f"Lake({self.root!r})"

    def at(self, versions: Mapping[str, int]) -> Lake:
        """The same lake as it was at these table versions; a table that is not named does not exist in it."""
        return Lake(self.root, self.storage_options, versions=versions, limits=self.limits)

    def exists(self, table: str) -> bool:
        """Whether the table has been written to. An unreachable lake raises instead."""
        return self.newest(table) != ABSENT

    def version(self, table: str) -> int:
        """The newest version of the table.

        Raises:
            TableNotFoundError: there is no such table.
        """
        return self._current(table).version

    def newest(self, table: str) -> int:
        """The newest version of the table, or `ABSENT`."""
        try:
            return self._current(table).version
        except TableNotFoundError:
            return ABSENT

    def has_batch(self, table: str, batch: str) -> bool:
        """Whether the batch has been appended to the table."""
        return self.exists(table) and self._held[table].table.transaction_version(batch) is not None

    def schema(self, table: str) -> dict[str, pl.DataType]:
        """Columns and types of the table; no row is read."""
        return self._schema(table, self._current(table))

    def height(self, table: str) -> int:
        """The number of rows; none is read."""
        held = self._current(table)
        if held.rows is not None:
            return held.rows.height
        with self._trouble(table):
            return int(held.table.count())

    def read(self, table: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Every row of the table, in no particular order.

        Raises:
            TableNotFoundError: there is no such table.
            MissingColumnsError: it lacks a column.
            VersionRemovedError: the version that is read was vacuumed.
        """
        held = self._current(table)
        self._hold(table, held)
        rows = held.rows.lazy() if held.rows is not None else scan_table(held.table)
        with self._trouble(table):
            return self._selected(table, held, rows, columns).collect()

    def scan(self, table: str, columns: Collection[str] | None = None) -> pl.LazyFrame:
        """Every row of the table as it is now, read when collected, and only the columns that are used.

        Rows that are in memory already are taken from there. What collecting raises is Polars' own; inside
        `with lake.reading(table):` it is one of our errors.

        Raises:
            TableNotFoundError: there is no such table.
            MissingColumnsError: it lacks a column.
        """
        held = self._current(table)
        if held.rows is not None:
            rows = held.rows.lazy()
        else:
            # A table of its own, because a lazy frame reads the version at which its table is when it is collected.
            opened = open_table(self._url(table), self.storage_options, self._trouble(table, held.version))
            check_files(opened, self._url(table), self._trouble(table))
            rows = scan_table(opened)
        return self._selected(table, held, rows, columns)

    def hold(self, table: str) -> None:
        """Keep the rows of the table in memory for the reads and scans to come, if it is allowed as much.

        Raises:
            TableNotFoundError: there is no such table.
        """
        self._hold(table, self._current(table))

    def reading(self, table: str) -> Trouble:
        """A context in which a lazy frame of `scan` is collected: what goes wrong is raised as one of our errors."""
        return self._trouble(table)

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        if self._versions is not None:
            return sorted(self._versions)
        with self._trouble("*"):
            return tables_under(self.root, self.storage_options)

    def append(
        self,
        table: str,
        frame: pl.DataFrame,
        *,
        batch: str,
        allow_new: Collection[str] = (),
        decided_on: int | None = None,
    ) -> int:
        """Append rows once per batch and return how many; 0 when the batch is there already.

        Args:
            allow_new: columns that the table may get by this.
            decided_on: the version of the table that the rows were decided on; `ABSENT` when there was none.

        Raises:
            SchemaChangedError: a column differs from the stored one, or has a type that is not kept.
            TableChangedError: the table is at another version than `decided_on`.
            TableLockedError: another process of this machine went on writing.
            AppendConflictError: other machines kept committing.
            LakeFullError: no space is left.
        """
        self._refuse_earlier("takes no rows. Append to")
        with self.writing(table):
            for _ in range(_TRIES):
                # All that is checked must be of the one version that the commit follows, so nothing looks again.
                newest = self.newest(table)
                held = self._held.get(table)
                if held is not None and held.table.transaction_version(batch) is not None:
                    return 0
                if decided_on not in {None, newest}:
                    raise TableChangedError(table, decided_on, newest)
                stored = None if held is None else self._schema(table, held)
                new = new_columns(table, frame, stored, allow_new)
                if self._commit(table, frame, batch, merge=bool(new)):
                    return frame.height
        raise AppendConflictError(table, _TRIES)

    def writing(self, name: str) -> TableLock:
        """A lock that one process of this machine holds at a time, as a context manager; it may be nested."""
        if name not in self._locks:
            with self._trouble(name):
                path = lock_path(self.root, name, self.limits.lock_folder)
            self._locks[name] = TableLock(path, self._trouble(name), self.limits.lock_seconds)
        return self._locks[name]

    def compact(self, table: str) -> Compaction:
        """Put many small files together into few; rows stay as they are, and so do earlier versions.

        Readers and appenders beside it are not held up.

        Raises:
            TableNotFoundError: there is no such table.
            AppendConflictError: others kept compacting the same table.
        """
        self._refuse_earlier("is not compacted. Compact")
        return compact(self._url(table), self.storage_options, self._trouble(table))

    def vacuum(
        self,
        table: str,
        *,
        keep_versions: Collection[int],
        as_of: datetime,
        older_than: str = "7d",
        dry_run: bool = False,
    ) -> Vacuumed:
        """Remove the files that no version needs that is kept.

        Kept are the newest version, those named, and those that were the newest at some moment since `older_than`
        before `as_of`, for readers and writers that are still at work. A dry run only tells what would be removed.

        Raises:
            TableNotFoundError: there is no such table, or a version to keep does not exist; nothing was removed.
        """
        self._refuse_earlier("is not vacuumed. Vacuum")
        with self.writing(table):
            trouble = self._trouble(table)
            keep = Keep(keep_versions, older_than, as_of, dry_run)
            return vacuum(self._url(table), self.storage_options, trouble, keep)

    def _refuse_earlier(self, told: str) -> None:
        if self._versions is not None:
            raise PermissionError(f"{self!r} shows earlier versions and {told} Lake({self.root!r}).")

    def _commit(self, table: str, frame: pl.DataFrame, batch: str, *, merge: bool) -> bool:
        held = self._held.get(table)
        before = held.version if held else ABSENT
        with self._trouble(table):
            if held is None and "://" not in self.root:
                Path(self._url(table)).mkdir(parents=True, exist_ok=True)
            try:
                write_deltalake(
                    held.table if held else self._url(table),
                    frame,
                    mode="append" if held else "error",  # by URL, an append would follow a version nobody looked at
                    schema_mode="merge" if merge else None,
                    configuration=None if held else KEPT_LOG,
                    storage_options=self.storage_options,
                    commit_properties=batch_commit(batch),
                    post_commithook_properties=KEEP_LOG,
                )
            except delta.DeltaError as error:
                lost = isinstance(error, delta.CommitFailedError) or "A table already exists" in str(error)
                if not lost or self.newest(table) == before:
                    raise
                return False
        self._extend(table, frame, merged=merge)
        return True

    def _extend(self, table: str, frame: pl.DataFrame, *, merged: bool) -> None:
        """Add the rows just committed to those in memory, if nobody else has committed between."""
        held = self._held.get(table)
        if held is None:
            opened = self._open(table)
            held = self._held[table] = Held(opened, opened.version(), frame if opened.version() == 0 else None)
        else:
            rows, schema, version = held.rows, held.schema, held.version
            with self._trouble(table):
                held.table.update_incremental()
            held.moved()
            if held.version == version + 1 and not merged:
                held.schema = schema
                held.rows = None if rows is None else pl.concat([rows, frame.select(rows.columns)])
        self._held.make_room(table)

    def _selected(self, table: str, held: Held, rows: pl.LazyFrame, columns: Collection[str] | None) -> pl.LazyFrame:
        if columns is None:
            return rows
        missing = set(columns) - set(self._schema(table, held))
        if missing:
            raise MissingColumnsError(table, missing, self._schema(table, held))
        return rows.select(list(columns))

    def _schema(self, table: str, held: Held) -> dict[str, pl.DataType]:
        if held.schema is None:
            with self._trouble(table):
                held.schema = dict(scan_table(held.table).collect_schema())
        return dict(held.schema)

    def _hold(self, table: str, held: Held) -> None:
        if held.rows is not None:
            return
        check_files(held.table, self._url(table), self._trouble(table))
        if bytes_in_memory(held.table, self._schema(table, held)) > self.limits.hold_bytes:
            return
        with self._trouble(table):
            held.rows = scan_table(held.table).collect()
        self._held.make_room(table)

    def _current(self, table: str) -> Held:
        held = self._held.get(table)
        if held is None:
            opened = self._open(table)
            held = self._held[table] = Held(opened, opened.version())
        elif self._versions is None and not surely_newest(self._url(table), held.version):
            with self._trouble(table):
                held.table.update_incremental()
            held.moved()
        return held

    def _open(self, table: str) -> DeltaTable:
        if self._versions is not None and table not in self._versions:
            raise TableNotFoundError(table, self.root)
        return open_table(self._url(table), self.storage_options, self._trouble(table))

    def _trouble(self, table: str, version: int | None = None) -> Trouble:
        if version is None and self._versions is not None:
            version = self._versions.get(table)
        return Trouble(self.root, table, self.storage_options, version)

    def _url(self, table: str) -> str:
        return f"{self.root}/{table}"
