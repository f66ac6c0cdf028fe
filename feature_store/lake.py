"""Append-only Delta tables under one root, on disk or on S3."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake import exceptions as delta
from filelock import FileLock

from feature_store.errors import AppendConflictError, SchemaChangedError, TableNotFoundError

TYPES = (
    *(pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.String, pl.Date),
    pl.Datetime("us", "UTC"),
)
_TRIES = 8


@dataclass(slots=True)
class _Held:
    """An open table and its rows as of the version last seen; rows are read when first asked for."""

    table: DeltaTable
    version: int
    rows: pl.DataFrame | None = None


class Lake:
    """Tables by name, such as `sources/flights`; rows are only ever added.

    One process at a time appends to a table (a file lock on one machine; commits of other machines are
    met by trying again). What this process has read or written is kept in memory, so an append costs
    the rows that are appended.

    Args:
        root: a folder, or a URL such as s3://bucket/prefix.
        storage_options: what deltalake needs to reach the URL.
        versions: table versions to read instead of the newest; such a lake cannot be appended to.
    """

    def __init__(
        self,
        root: str | Path,
        storage_options: Mapping[str, str] | None = None,
        *,
        versions: Mapping[str, int] | None = None,
    ) -> None:
        self.root = str(root).rstrip("/")
        self.storage_options = dict(storage_options or {}) or None
        self._versions = None if versions is None else dict(versions)
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, FileLock] = {}

    def __repr__(self) -> str:
        return f"Lake({self.root!r})"

    def at(self, versions: Mapping[str, int]) -> Lake:
        """The same lake as it was at these table versions; a table that is not named does not exist in it."""
        return Lake(self.root, self.storage_options, versions=versions)

    def exists(self, table: str) -> bool:
        """Whether the table has been written to. An unreachable lake raises instead."""
        try:
            self._current(table)
        except TableNotFoundError:
            return False
        return True

    def version(self, table: str) -> int:
        """The newest version of the table.

        Raises:
            TableNotFoundError: there is no such table.
        """
        return self._current(table).version

    def has_batch(self, table: str, batch: str) -> bool:
        """Whether the batch has been appended to the table."""
        return self.exists(table) and self._held[table].table.transaction_version(batch) is not None

    def schema(self, table: str) -> dict[str, pl.DataType]:
        """Columns and types of the table."""
        return dict(self._rows(table).schema)

    def read(self, table: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Every row of the table, in no particular order.

        Raises:
            TableNotFoundError: there is no such table.
        """
        rows = self._rows(table)
        return rows if columns is None else rows.select(list(columns))

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        if self._versions is not None:
            return sorted(self._versions)
        if "://" not in self.root:
            root = Path(self.root)
            return sorted(log.parent.relative_to(root).as_posix() for log in root.glob("**/_delta_log"))
        return sorted(_tables_of(self.root, self.storage_options))

    def append(self, table: str, frame: pl.DataFrame, *, batch: str, allow_new: Collection[str] = ()) -> int:
        """Append rows once per batch and return how many; 0 when the batch is there already.

        Raises:
            SchemaChangedError: a column differs from the stored one, or has a type that is not kept.
            AppendConflictError: other machines kept committing.
        """
        if self._versions is not None:
            raise PermissionError(f"{self!r} shows earlier versions and takes no rows. Append to Lake({self.root!r}).")
        with self.writing(table):
            for _ in range(_TRIES):
                if self.has_batch(table, batch):
                    return 0
                new = self._check_schema(table, frame, allow_new)
                if self._commit(table, frame, batch, merge=bool(new)):
                    return frame.height
        raise AppendConflictError(table, _TRIES)

    def writing(self, name: str) -> FileLock:
        """A lock that one process of this machine holds at a time, as a context manager; it may be nested."""
        if name not in self._locks:
            self._locks[name] = FileLock(self._lock_path(name))
        return self._locks[name]

    def _commit(self, table: str, frame: pl.DataFrame, batch: str, *, merge: bool) -> bool:
        held = self._held.get(table)
        properties = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(batch, 1)])
        if held is None and "://" not in self.root:
            Path(self._url(table)).mkdir(parents=True, exist_ok=True)
        try:
            write_deltalake(
                held.table if held else self._url(table),
                frame,
                mode="append",
                schema_mode="merge" if merge else None,
                storage_options=self.storage_options,
                commit_properties=properties,
            )
        except delta.CommitFailedError:
            return False
        self._extend(table, frame, merged=merge)
        return True

    def _extend(self, table: str, frame: pl.DataFrame, *, merged: bool) -> None:
        """Add the rows just committed to those in memory, if nobody else has committed between."""
        held = self._held.get(table)
        if held is None:
            opened = self._open(table)
            self._held[table] = _Held(opened, opened.version(), frame if opened.version() == 0 else None)
            return
        held.table.update_incremental()
        newest = held.table.version()
        if held.rows is not None and newest == held.version + 1 and not merged:
            held.rows = pl.concat([held.rows, frame.select(held.rows.columns)])
        else:
            held.rows = None
        held.version = newest

    def _current(self, table: str) -> _Held:
        held = self._held.get(table)
        if held is None:
            opened = self._open(table)
            held = self._held[table] = _Held(opened, opened.version())
        elif self._versions is None:
            held.table.update_incremental()
            if held.table.version() != held.version:
                held.version, held.rows = held.table.version(), None
        return held

    def _open(self, table: str) -> DeltaTable:
        version = None
        if self._versions is not None:
            if table not in self._versions:
                raise TableNotFoundError(table, self.root)
            version = self._versions[table]
        try:
            return DeltaTable(self._url(table), version=version, storage_options=self.storage_options)
        except delta.TableNotFoundError as error:
            raise TableNotFoundError(table, self.root, version) from error

    def _rows(self, table: str) -> pl.DataFrame:
        held = self._current(table)
        if held.rows is None:
            held.rows = pl.read_delta(held.table)
        return held.rows

    def _url(self, table: str) -> str:
        return f"{self.root}/{table}"

    def _lock_path(self, table: str) -> str:
        name = hashlib.sha256(f"{self.root}/{table}".encode()).hexdigest()[:16]
        if "://" in self.root:
            return str(Path(tempfile.gettempdir()) / f"incumbent-lake-{name}.lock")
        locks = Path(self.root) / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return str(locks / f"{name}.lock")

    def _check_schema(self, table: str, frame: pl.DataFrame, allow_new: Collection[str]) -> list[str]:
        """Compare the types before Delta would cast them silently, and return the columns that are new."""
        given: dict[str, Any] = dict(frame.schema)
        wrong = {
            name: (dtype, "bool, i8..i64, f32, f64, str, date or datetime[us, UTC]")
            for name, dtype in given.items()
            if dtype not in TYPES
        }
        if wrong:
            raise SchemaChangedError(table, wrong)
        if table not in self._held:
            return []
        stored: dict[str, Any] = self.schema(table)
        new = [name for name in given if name not in stored and name in allow_new]
        differences = {
            name: (given.get(name), stored.get(name))
            for name in {*given, *stored} - set(new)
            if given.get(name) != stored.get(name)
        }
        if differences:
            raise SchemaChangedError(table, differences)
        return new


def _tables_of(root: str, storage_options: Mapping[str, str] | None) -> set[str]:
    """The tables under an object store's prefix, found by their log files."""
    from pyarrow import fs

    options = {key.lower(): value for key, value in (storage_options or {}).items()}
    endpoint = options.get("aws_endpoint_url", "")
    scheme, _, address = endpoint.rpartition("://")
    store = fs.S3FileSystem(
        access_key=options.get("aws_access_key_id"),
        secret_key=options.get("aws_secret_access_key"),
        region=options.get("aws_region", "us-east-1"),
        endpoint_override=address or None,
        scheme=scheme or "https",
    )
    prefix = root.split("://", 1)[1]
    found = store.get_file_info(fs.FileSelector(prefix, recursive=True, allow_not_found=True))
    return {
        info.path.split("/_delta_log/")[0].removeprefix(f"{prefix}/") for info in found if "/_delta_log/" in info.path
    }
