"""Tables that are elsewhere, read when a source asks for them: Parquet, CSV, SQL and Delta.

Each function returns what a `Source` takes as `read`: something to call that returns a frame. Columns of moments that
carry no zone stay as they are; the source's `tz` says what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from feature_store.errors import (
    ReaderDamagedError,
    ReaderNotFoundError,
    ReaderQueryError,
    ReaderUnreachableError,
    TableNotFoundError,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ROWS_AT_ONCE = 100_000
_NO_TABLE = re.compile(r"no such table: (\S+)|relation \"([^\"]+)\" does not exist|Table '([^']+)' doesn't exist")


@dataclass(frozen=True, slots=True)
class _Files:
    """A file, or every file that a pattern such as `orders-*.parquet` names."""

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(self.path))

    def _found(self) -> list[Path]:
        path = Path(self.path)
        found = sorted(path.parent.glob(path.name)) if set(path.name) & set("*?[") else [path]
        found = sorted(path.glob("**/*.parquet")) if path.is_dir() else found
        if not found or not found[0].exists():
            raise ReaderNotFoundError("file", self.path)
        return found


@dataclass(frozen=True, slots=True)
class ParquetReader(_Files):
    """Reads Parquet files, of which only `columns` when they are given."""

    columns: Sequence[str] | None = None

    def __call__(self) -> pl.DataFrame:
        """The rows of all files; a column that some of them lack is null there."""
        return pl.concat([self._one(path) for path in self._found()], how="diagonal")

    def _one(self, path: Path) -> pl.DataFrame:
        _refuse_cut_off(path)
        with _told_as_damage(path):
            return pl.read_parquet(path, columns=None if self.columns is None else list(self.columns))


@dataclass(frozen=True, slots=True)
class CsvReader(_Files):
    """Reads CSV files; what each column holds is learned from all of its values, unless `types` says it."""

    types: Mapping[str, Any] | None = None
    nulls: Sequence[str] = ("",)
    separator: str = ","

    def __call__(self) -> pl.DataFrame:
        """The rows of all files."""
        return pl.concat([self._one(path) for path in self._found()], how="diagonal_relaxed")

    def _one(self, path: Path) -> pl.DataFrame:
        with _told_as_damage(path):
            return pl.read_csv(
                path,
                separator=self.separator,
                null_values=list(self.nulls),
                schema_overrides=dict(self.types or {}),
                try_parse_dates=True,
                infer_schema_length=None,
            )


@dataclass(frozen=True, slots=True, repr=False)
class SqlReader:
    """Reads what a query returns, in pieces, through SQLAlchemy."""

    url: str
    query: str

    def __repr__(self) -> str:
        return f"sql({_masked(self.url)!r}, {self.query!r})"

    def __call__(self) -> pl.DataFrame:
        """The rows that the query returns now."""
        with self._connection() as connection:
            pieces = list(
                pl.read_database(
                    self.query,
                    connection.execution_options(stream_results=True),
                    iter_batches=True,
                    batch_size=_ROWS_AT_ONCE,
                    infer_schema_length=None,
                )
            )
        return pl.concat(pieces, how="vertical_relaxed") if pieces else pl.DataFrame()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        import sqlalchemy
        from sqlalchemy import exc

        shown = _masked(self.url)
        try:
            url = sqlalchemy.make_url(self.url)
            # A moment with zone comes in the session's zone; in UTC it is the same all year.
            options = {"options": "-c timezone=utc"} if url.get_backend_name() == "postgresql" else {}
            if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
                raise ReaderNotFoundError("database", shown)
            engine = sqlalchemy.create_engine(url, connect_args=options)
        except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise ReaderUnreachableError(shown, _first_line(error, self.url)) from error
        try:
            with self._connected(engine, shown) as connection:
                yield connection
        except exc.SQLAlchemyError as error:
            absent = _NO_TABLE.search(str(error))
            if absent:
                name = next(group for group in absent.groups() if group)
                raise ReaderNotFoundError("table", f"{name} in {shown}") from error
            raise ReaderQueryError(shown, _first_line(getattr(error, "orig", None) or error, self.url)) from error
        finally:
            engine.dispose()

    @contextmanager
    def _connected(self, engine: Any, shown: str) -> Iterator[Connection]:
        from sqlalchemy import exc

        try:
            connection = engine.connect()
        except exc.SQLAlchemyError as error:
            told = _first_line(getattr(error, "orig", None) or error, self.url)
            raise ReaderUnreachableError(shown, told) from error
        with connection:
            yield connection


@dataclass(frozen=True, slots=True, repr=False)
class DeltaReader:
    """Reads a Delta table that other tools write, at one version or at the newest."""

    root: str
    version: int | None = None
    options: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"delta({self.root!r}, version={self.version})"

    def __call__(self) -> pl.DataFrame:
        """Every row of the table."""
        from feature_store.storage.lake_log import check_files, open_table, scan_table
        from feature_store.storage.storage_trouble import Trouble

        root, _, name = str(self.root).rstrip("/").rpartition("/")
        trouble = Trouble(root or ".", name, self.options, self.version)
        try:
            table = open_table(str(self.root), self.options, trouble)
        except TableNotFoundError as error:
            which = "" if self.version is None else f", version {self.version}"
            raise ReaderNotFoundError("Delta table", f"{self.root}{which}") from error
        check_files(table, str(self.root), trouble)
        with trouble:
            return scan_table(table).collect()


def parquet(path: str | Path, columns: Sequence[str] | None = None) -> ParquetReader:
    """Read a Parquet file, a folder of them, or all that a pattern names."""
    return ParquetReader(str(path), columns)


def csv(
    path: str | Path, *, types: Mapping[str, Any] | None = None, nulls: Sequence[str] = ("",), separator: str = ","
) -> CsvReader:
    """Read a CSV file, or all that a pattern names.

    Args:
        types: Polars types of columns whose values do not show it, such as a code that is made of digits.
        nulls: texts that stand for no value.
    """
    return CsvReader(str(path), types, nulls, separator)


def sql(url: str, query: str) -> SqlReader:
    """Read the result of a query from a database that SQLAlchemy reaches; the password is never shown."""
    return SqlReader(url, query)


def delta(root: str | Path, version: int | None = None, options: Mapping[str, str] | None = None) -> DeltaReader:
    """Read a Delta table in a folder or a bucket."""
    return DeltaReader(str(root), version, options)


@contextmanager
def _told_as_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.ComputeError, pl.exceptions.NoDataError, pl.exceptions.SchemaError) as error:
        raise ReaderDamagedError(str(path), " ".join(str(error).split("\n")[0].split())) from error


def _refuse_cut_off(path: Path) -> None:
    """Parquet ends as it begins; a file that was cut off does not, and some of them end Polars in a panic."""
    with path.open("rb") as file:
        begin = file.read(4)
        size = file.seek(0, 2)
        file.seek(max(size - 4, 0))
        end = file.read(4)
    if size < 12 or begin != b"PAR1" or end not in {b"PAR1", b"PARE"}:
        raise ReaderDamagedError(str(path), f"it has {size} bytes and does not end as Parquet does")


def _masked(url: str) -> str:
    """A URL without its password."""
    shown = re.sub(r"(://[^:/@]*:).*@", r"\1***@", url)
    return re.sub(r"((?:password|secret|token|key)\w*=)[^&]*", r"\1***", shown, flags=re.IGNORECASE)


def _first_line(error: BaseException, url: str) -> str:
    """What a driver says, on one line and without the password."""
    found = re.search(r"://[^:/@]*:(.*)@", url)
    text = " ".join(str(error).strip().split("\n")[0].split()).rstrip(".") or type(error).__name__
    return text.replace(found.group(1), "***") if found and found.group(1) else text
