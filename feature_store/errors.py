"""What can go wrong between raw rows and features.

FeatureStoreError
├── SpecError (ValueError)                 a source, label or feature that contradicts itself
│   ├── SpanTextError                      text that is no length of time
│   ├── ScheduleTextError                  text that is no weekly or daily moment
│   ├── FeatureNameClashError              two features of one name
│   └── LeakError                          a feature that would know its own future
├── MissingColumnsError (LookupError)      a table lacks columns that something needs
├── ColumnTypeError (TypeError)            a column of another type than declared or stored
├── UntypedColumnError (TypeError)         a column without a single value, of unknown type
├── ReservedColumnError (ValueError)       a column with a name the feature store uses itself
├── SchemaChangedError (TypeError)         an append that does not fit the stored table
├── TableNotFoundError (LookupError)       no such table, or no such version of it
├── AppendConflictError (RuntimeError)     others kept committing to the same table
├── TableChangedError (RuntimeError)       rows decided on a version of a table that is not the newest any more
├── TableLockedError (TimeoutError)        another process is writing to the table
├── TableDamagedError (ValueError)         a file of a table, or its log, is missing or cannot be read
├── VersionRemovedError (LookupError)      a version of a table whose files a vacuum removed
├── LakeUnreachableError (ConnectionError) the lake's store does not answer
├── LakeAccessError (PermissionError)      the lake's store, or its folder, refuses
├── LakeFullError (OSError)                no space is left in the lake's store
├── ReaderNotFoundError (LookupError)      a file, table or database that a source reads is not there
├── ReaderDamagedError (ValueError)        a file that a source reads cannot be understood
├── ReaderQueryError (ValueError)          a database refused a query
├── ReaderUnreachableError (ConnectionError) a database does not answer, or refuses the user
├── MixedZonesError (TypeError)            a column of moments of which some have a time zone
├── ExpectationFailedToRunError (RuntimeError)   an expectation that raised instead of answering
├── SuiteUnreadableError (ValueError)      a file of expectations that cannot be understood
├── NaiveMomentError (ValueError)          a moment without time zone
├── QuestionTimeError (ValueError)         questions without a moment that can be asked about
├── SumOverflowError (OverflowError)       a sum of whole numbers beyond 64 bits
├── SpecNotReadableError (LookupError)     a stored specification that cannot be read back
└── ManifestMismatchError (ValueError)     a training set asked for with another specification
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class FeatureStoreError(Exception):
    """Base of every error raised by the feature store."""


class SpecError(FeatureStoreError, ValueError):
    """A source, label, spine or feature that contradicts itself."""

    def __init__(self, where: str, problem: str, fix: str) -> None:
        self.where = where
        super().__init__(f"{where}: {problem}. {fix}.")


class SpanTextError(SpecError):
    """Text that is no length of time."""

    def __init__(self, given: object) -> None:
        super().__init__(
            "length of time",
            f"{given!r} cannot be read",
            "Write a whole number and a unit of s, m, h, d or w, for example 2h, 10m, 30d or 1w",
        )


class ScheduleTextError(SpecError):
    """Text that names no weekly or daily moment."""

    def __init__(self, given: object) -> None:
        super().__init__(
            "every",
            f"{given!r} cannot be read as a repeated moment",
            "Write a time of day for daily, 06:00, or a weekday before it for weekly, mon 06:00",
        )


class FeatureNameClashError(SpecError):
    """Two features of one name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        super().__init__(
            f"feature {name!r}",
            f"both {first} and {second} make it",
            "Leave one out, or give one of them another name",
        )


class LeakError(SpecError):
    """A feature that would know what only becomes known after the question."""

    def __init__(self, column: str, known: str, fix: str) -> None:
        self.column = column
        super().__init__(f"column {column!r}", f"it becomes known at {known}, after the question is asked", fix)


class MissingColumnsError(FeatureStoreError, LookupError):
    """A table lacks columns that a source, a join or a feature needs."""

    def __init__(self, table: str, missing: Iterable[str], present: Iterable[str]) -> None:
        self.table = table
        self.missing = sorted(missing)
        super().__init__(
            f"Table {table!r} lacks {self.missing}; it has {sorted(present)}. "
            f"Add the columns to the data, correct their names in the source, or list them in its optional=[...]."
        )


class ColumnTypeError(FeatureStoreError, TypeError):
    """A column of another type than declared or stored."""

    def __init__(self, table: str, column: str, *, got: object, expected: object) -> None:
        self.table, self.column = table, column
        super().__init__(
            f"Column {column!r} of {table!r} is {got}, expected {expected}. "
            f"Cast it in the function that reads the source."
        )


class UntypedColumnError(FeatureStoreError, TypeError):
    """A column without a single value in the first batch, so that its type is unknown."""

    def __init__(self, table: str, columns: Iterable[str]) -> None:
        self.table = table
        self.columns = sorted(columns)
        super().__init__(
            f"Columns {self.columns} of {table!r} hold no value in the first batch and have no type. "
            f"Cast them to the type they will have, drop them, or list them in optional=[...] to leave them out."
        )


class ReservedColumnError(FeatureStoreError, ValueError):
    """A column with a name that the feature store uses itself."""

    def __init__(self, table: str, columns: Iterable[str]) -> None:
        self.table = table
        self.columns = sorted(columns)
        super().__init__(
            f"Table {table!r} has columns named {self.columns}, which the feature store writes itself. "
            f"Rename them in the function that reads the source."
        )


class SchemaChangedError(FeatureStoreError, TypeError):
    """An append that does not fit the stored table; Delta would have cast it silently."""

    def __init__(self, table: str, differences: Mapping[str, tuple[object, object]]) -> None:
        self.table = table
        self.columns = sorted(differences)
        told = "; ".join(
            f"{name} is {got or 'absent'}, stored as {stored or 'nothing'}"
            for name, (got, stored) in sorted(differences.items())
        )
        super().__init__(
            f"Rows for table {table!r} do not fit it: {told}. "
            f"Cast the columns to the stored types, or declare new columns in the source's optional=[...]."
        )


class TableNotFoundError(FeatureStoreError, LookupError):
    """There is no such table in the lake, or no such version of it."""

    def __init__(self, table: str, root: str, version: int | None = None) -> None:
        self.table = table
        which = f"table {table!r}" if version is None else f"version {version} of table {table!r}"
        super().__init__(f"There is no {which} under {root}. Ingest the source first, or correct the lake's root.")


class AppendConflictError(FeatureStoreError, RuntimeError):
    """Other writers kept committing to the same table."""

    def __init__(self, table: str, tries: int) -> None:
        self.table = table
        super().__init__(
            f"Appending to table {table!r} met {tries} conflicting commits in a row. "
            f"Let one process at a time ingest a source, and run the batch again: it repeats nothing."
        )


class TableChangedError(FeatureStoreError, RuntimeError):
    """Rows were decided on a version of a table that is not the newest any more."""

    def __init__(self, table: str, decided_on: int, newest: int) -> None:
        self.table = table
        super().__init__(
            f"Table {table!r} went from version {decided_on} to {newest} while rows for it were decided on. "
            f"Decide on them again, on the newest version."
        )


class TableLockedError(FeatureStoreError, TimeoutError):
    """Another process of this machine is writing to the table."""

    def __init__(self, table: str, seconds: float, holder: str | None) -> None:
        self.table = table
        super().__init__(
            f"Table {table!r} was locked for {seconds:g} s by {holder or 'a process that is not known'}. "
            f"Wait until it has ended, or end it, and run the same again; a lock ends with its process."
        )


class TableDamagedError(FeatureStoreError, ValueError):
    """A file of a table, or its log, is missing or cannot be read."""

    def __init__(self, table: str, root: str, detail: str) -> None:
        self.table = table
        super().__init__(
            f"Table {table!r} under {root} is damaged: {detail}. "
            f"Nothing was read or written. Bring the file back from a copy, or delete the table and ingest it again."
        )


class VersionRemovedError(FeatureStoreError, LookupError):
    """A version of a table whose files a vacuum removed."""

    def __init__(self, table: str, version: int, file: str) -> None:
        self.table = table
        super().__init__(
            f"Version {version} of table {table!r} cannot be read any more: {file} is gone. "
            f"A vacuum removed it, because the version was not among those to keep; name it there next time."
        )


class LakeUnreachableError(FeatureStoreError, ConnectionError):
    """The lake's store does not answer; that says nothing about what it holds."""

    def __init__(self, root: str, endpoint: str, detail: str) -> None:
        super().__init__(
            f"The lake {root} cannot be reached at {endpoint}: {detail}. "
            f"Start the store, or correct its address; what was not acknowledged may be sent again, it repeats nothing."
        )


class LakeAccessError(FeatureStoreError, PermissionError):
    """The lake's store, or its folder, refuses."""

    def __init__(self, root: str, endpoint: str, detail: str) -> None:
        super().__init__(
            f"The lake {root} at {endpoint} refuses access: {detail}. "
            f"Correct the access key and secret, or the permissions of the bucket or folder."
        )


class LakeFullError(FeatureStoreError, OSError):
    """No space is left where the lake is written."""

    def __init__(self, root: str, table: str, detail: str) -> None:
        self.table = table
        super().__init__(
            f"The lake {root} has no space for rows of table {table!r}: {detail}. "
            f"Nothing of the batch counts as written; make space, for example by a vacuum, and run it again."
        )


class ReaderNotFoundError(FeatureStoreError, LookupError):
    """A file, table or database that a source reads is not there."""

    def __init__(self, kind: str, name: str) -> None:
        self.name = name
        super().__init__(f"There is no {kind} {name}. Correct the name in the source's read=.")


class ReaderDamagedError(FeatureStoreError, ValueError):
    """A file that a source reads cannot be understood."""

    def __init__(self, path: str, detail: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be read: {detail}. Bring the file again, or leave it out; nothing was taken in."
        )


class ReaderQueryError(FeatureStoreError, ValueError):
    """A database refused a query."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"The query cannot be run on {url}: {detail}. Correct the query in the source's read=.")


class ReaderUnreachableError(FeatureStoreError, ConnectionError):
    """A database does not answer, or refuses the user; that says nothing about what it holds."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(
            f"The database {url} cannot be used: {detail}. "
            f"Start it, or correct the address, user, password or driver in the source's read=."
        )


class MixedZonesError(FeatureStoreError, TypeError):
    """A column of moments of which some have a time zone and some have none."""

    def __init__(self, table: str, column: str) -> None:
        self.table, self.column = table, column
        super().__init__(
            f"Column {column!r} of {table!r} mixes moments with and without a time zone. "
            f"Give all of them one, for example UTC, or none and tz= in the source."
        )


class ExpectationFailedToRunError(FeatureStoreError, RuntimeError):
    """An expectation raised instead of answering; that is neither a pass nor a fail."""

    def __init__(self, source: str, expectation: str, message: str) -> None:
        self.source = source
        super().__init__(
            f"Expectation {expectation} of source {source!r} could not be checked: {message}. "
            f"Correct the expectation or the column's type; nothing was appended."
        )


class SuiteUnreadableError(FeatureStoreError, ValueError):
    """A file of expectations that cannot be understood."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            f"{where} cannot be read as a suite of expectations: {problem}. "
            f"Correct it, or infer it again with: incumbent expect MODEL --write"
        )


class NaiveMomentError(FeatureStoreError, ValueError):
    """A moment without a time zone."""

    def __init__(self, name: str, given: object) -> None:
        super().__init__(f"{name} is {given!r}, which has no time zone. Give a datetime with one, for example in UTC.")


class QuestionTimeError(FeatureStoreError, ValueError):
    """Questions of which one has no moment that can be asked about."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The questions' as_of is {problem}. Give every question a moment with a time zone, datetime[us, UTC]."
        )


class SumOverflowError(FeatureStoreError, OverflowError):
    """A window's sum of whole numbers does not fit into 64 bits."""

    def __init__(self, total: int) -> None:
        super().__init__(
            f"A window's whole numbers add up to {total}, which 64 bits cannot hold. "
            f"Cast the column to a float in the aggregate, for example col(...).cast(float).sum()."
        )


class SpecNotReadableError(FeatureStoreError, LookupError):
    """A stored specification that cannot be read back."""

    def __init__(self, what: str, problem: str, fix: str) -> None:
        super().__init__(f"The stored specification cannot be read: {what} {problem}. {fix}.")


class ManifestMismatchError(FeatureStoreError, ValueError):
    """A training set asked for again with another specification or another result."""

    def __init__(self, what: str, recorded: str, now: str) -> None:
        super().__init__(
            f"The manifest records {what} {recorded}, but this call gives {now}. "
            f"Use the specification and the lake that the training set was made of."
        )
