from __future__ import annotations

import inspect

import pytest

from feature_store import errors
from feature_store.errors import (
    AppendConflictError,
    ColumnTypeError,
    ExpectationFailedToRunError,
    FeatureNameClashError,
    FeatureStoreError,
    LakeAccessError,
    LakeFullError,
    LakeUnreachableError,
    LeakError,
    ManifestMismatchError,
    MissingColumnsError,
    MixedZonesError,
    NaiveMomentError,
    QuestionTimeError,
    ReaderDamagedError,
    ReaderNotFoundError,
    ReaderQueryError,
    ReaderUnreachableError,
    ReservedColumnError,
    ScheduleTextError,
    SchemaChangedError,
    SpanTextError,
    SpecError,
    SpecNotReadableError,
    SuiteUnreadableError,
    SumOverflowError,
    TableChangedError,
    TableDamagedError,
    TableLockedError,
    TableNotFoundError,
    UntypedColumnError,
    VersionRemovedError,
)

EXAMPLES: list[tuple[FeatureStoreError, type[Exception], str]] = [
    (SpecError("source 'x'", "key is empty", "Name it"), ValueError, "source 'x': key is empty. Name it."),
    (
        SpanTextError("2 fortnights"),
        ValueError,
        "length of time: '2 fortnights' cannot be read. "
        "Write a whole number and a unit of s, m, h, d or w, for example 2h, 10m, 30d or 1w.",
    ),
    (
        ScheduleTextError("noon"),
        ValueError,
        "every: 'noon' cannot be read as a repeated moment. "
        "Write a time of day for daily, 06:00, or a weekday before it for weekly, mon 06:00.",
    ),
    (
        FeatureNameClashError("year", "request(year)", "latest(planes)"),
        ValueError,
        "feature 'year': both request(year) and latest(planes) make it. "
        "Leave one out, or give one of them another name.",
    ),
    (
        LeakError("arr_delay", "landed_at", "Leave it out"),
        ValueError,
        "column 'arr_delay': it becomes known at landed_at, after the question is asked. Leave it out.",
    ),
    (
        MissingColumnsError("weather", ["wind", "temp"], ["origin"]),
        LookupError,
        "Table 'weather' lacks ['temp', 'wind']; it has ['origin']. "
        "Add the columns to the data, correct their names in the source, or list them in its optional=[...].",
    ),
    (
        ColumnTypeError("weather", "wind", got="String", expected="Float64"),
        TypeError,
        "Column 'wind' of 'weather' is String, expected Float64. Cast it in the function that reads the source.",
    ),
    (
        UntypedColumnError("weather", ["gust"]),
        TypeError,
        "Columns ['gust'] of 'weather' hold no value in the first batch and have no type. "
        "Cast them to the type they will have, drop them, or list them in optional=[...] to leave them out.",
    ),
    (
        ReservedColumnError("weather", ["as_of"]),
        ValueError,
        "Table 'weather' has columns named ['as_of'], which the feature store writes itself. "
        "Rename them in the function that reads the source.",
    ),
    (
        SchemaChangedError("t", {"a": ("Float64", "Int64"), "b": (None, "String")}),
        TypeError,
        "Rows for table 't' do not fit it: a is Float64, stored as Int64; b is absent, stored as String. "
        "Cast the columns to the stored types, or declare new columns in the source's optional=[...].",
    ),
    (
        TableNotFoundError("t", "/lake", 3),
        LookupError,
        "There is no version 3 of table 't' under /lake. Ingest the source first, or correct the lake's root.",
    ),
    (
        AppendConflictError("t", 8),
        RuntimeError,
        "Appending to table 't' met 8 conflicting commits in a row. "
        "Let one process at a time ingest a source, and run the batch again: it repeats nothing.",
    ),
    (
        TableChangedError("t", 3, 5),
        RuntimeError,
        "Table 't' went from version 3 to 5 while rows for it were decided on. "
        "Decide on them again, on the newest version.",
    ),
    (
        TableLockedError("t", 600, "process 12 on host"),
        TimeoutError,
        "Table 't' was locked for 600 s by process 12 on host. "
        "Wait until it has ended, or end it, and run the same again; a lock ends with its process.",
    ),
    (
        TableDamagedError("t", "/lake", "part-1.parquet is missing"),
        ValueError,
        "Table 't' under /lake is damaged: part-1.parquet is missing. "
        "Nothing was read or written. Bring the file back from a copy, or delete the table and ingest it again.",
    ),
    (
        VersionRemovedError("t", 3, "part-1.parquet"),
        LookupError,
        "Version 3 of table 't' cannot be read any more: part-1.parquet is gone. "
        "A vacuum removed it, because the version was not among those to keep; name it there next time.",
    ),
    (
        LakeUnreachableError("s3://lake", "http://127.0.0.1:9", "Connection refused"),
        ConnectionError,
        "The lake s3://lake cannot be reached at http://127.0.0.1:9: Connection refused. "
        "Start the store, or correct its address; what was not acknowledged may be sent again, it repeats nothing.",
    ),
    (
        LakeAccessError("s3://lake", "http://127.0.0.1:9", "SignatureDoesNotMatch"),
        PermissionError,
        "The lake s3://lake at http://127.0.0.1:9 refuses access: SignatureDoesNotMatch. "
        "Correct the access key and secret, or the permissions of the bucket or folder.",
    ),
    (
        LakeFullError("/lake", "t", "No space left on device"),
        OSError,
        "The lake /lake has no space for rows of table 't': No space left on device. "
        "Nothing of the batch counts as written; make space, for example by a vacuum, and run it again.",
    ),
    (
        ReaderNotFoundError("file", "orders.csv"),
        LookupError,
        "There is no file orders.csv. Correct the name in the source's read=.",
    ),
    (
        ReaderDamagedError("orders.parquet", "it has 3 bytes"),
        ValueError,
        "orders.parquet cannot be read: it has 3 bytes. Bring the file again, or leave it out; nothing was taken in.",
    ),
    (
        ReaderQueryError("sqlite:///x.db", "syntax error"),
        ValueError,
        "The query cannot be run on sqlite:///x.db: syntax error. Correct the query in the source's read=.",
    ),
    (
        ReaderUnreachableError("postgresql://me:***@host/db", "Connection refused"),
        ConnectionError,
        "The database postgresql://me:***@host/db cannot be used: Connection refused. "
        "Start it, or correct the address, user, password or driver in the source's read=.",
    ),
    (
        MixedZonesError("orders", "at"),
        TypeError,
        "Column 'at' of 'orders' mixes moments with and without a time zone. "
        "Give all of them one, for example UTC, or none and tz= in the source.",
    ),
    (
        ExpectationFailedToRunError("weather", "wind within [0, 1]", "no such column"),
        RuntimeError,
        "Expectation wind within [0, 1] of source 'weather' could not be checked: no such column. "
        "Correct the expectation or the column's type; nothing was appended.",
    ),
    (
        SuiteUnreadableError("expectations/trips.json", "KeyError: 'type'"),
        ValueError,
        "expectations/trips.json cannot be read as a suite of expectations: KeyError: 'type'. "
        "Correct it, or infer it again with: incumbent expect MODEL --write",
    ),
    (
        SumOverflowError(2**63),
        OverflowError,
        "A window's whole numbers add up to 9223372036854775808, which 64 bits cannot hold. "
        "Cast the column to a float in the aggregate, for example col(...).cast(float).sum().",
    ),
    (
        NaiveMomentError("as_of", "2013-01-01"),
        ValueError,
        "as_of is '2013-01-01', which has no time zone. Give a datetime with one, for example in UTC.",
    ),
    (
        SpecNotReadableError("function 'hour'", "is not loaded", "Load the model file first"),
        LookupError,
        "The stored specification cannot be read: function 'hour' is not loaded. Load the model file first.",
    ),
    (
        QuestionTimeError("null in 2 of 9 questions"),
        ValueError,
        "The questions' as_of is null in 2 of 9 questions. "
        "Give every question a moment with a time zone, datetime[us, UTC].",
    ),
    (
        ManifestMismatchError("views", "a", "b"),
        ValueError,
        "The manifest records views a, but this call gives b. "
        "Use the specification and the lake that the training set was made of.",
    ),
]


@pytest.mark.parametrize(("error", "builtin", "message"), EXAMPLES, ids=lambda one: type(one).__name__)
def test_an_error_says_what_happened_and_what_to_do(
    error: FeatureStoreError, builtin: type[Exception], message: str
) -> None:
    assert str(error) == message
    assert isinstance(error, FeatureStoreError)
    assert isinstance(error, builtin)


def test_every_error_is_in_the_tree_and_in_these_examples() -> None:
    classes = {one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, FeatureStoreError)} - {
        FeatureStoreError
    }
    assert {type(error) for error, _, _ in EXAMPLES} == classes
    assert all(one.__name__ in str(errors.__doc__) for one in classes)
