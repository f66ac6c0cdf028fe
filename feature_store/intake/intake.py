"""One batch on its way in: which of its rows exist by now, are new and are as expected; and the writing of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from feature_store.definitions.source import Arrival, Source
from feature_store.definitions.suite import NOTE, NULL, STOP, Check
from feature_store.digest import content_digest
from feature_store.errors import UntypedColumnError
from feature_store.intake.arrivals import Arrivals
from feature_store.intake.validation import CheckResult, Expected, Outcome, Pace, validate
from feature_store.storage.lake import Lake
from feature_store.storage.tables import BATCH, KEY, ROW, SEQUENCE, source_digest, table_of

_UTC = pl.Datetime("us", "UTC")
_PLACE = "_place"
_JSON = json.JSONEncoder(default=str, sort_keys=True)
_IDENTITY = {ROW: pl.Int64(), KEY: pl.Int64(), "available_at": _UTC, SEQUENCE: pl.Int64()}


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a batch.

    Attributes:
        rows: rows that existed at `as_of`.
        appended: of those, rows appended.
        filled: rows whose later columns became known and were appended.
        quarantined: rows, or later parts of rows, kept apart with a reason.
        dropped: rows outside the source's `keep`.
        already_known: exact repeats of rows that were taken in (or kept apart) before, or of one another.
        unexpected_columns: columns that no stored table has; they are not stored.
        reasons: how many rows each reason struck, whatever was done about it.
        stopped: why nothing was appended at all; None when all went well.
        digest: of everything the source knew at `as_of`, afterwards.
        suite: version of the suite it was checked against; empty where the source has none.
        checks: what became of each expectation that could be asked.
    """

    rows: int = 0
    appended: int = 0
    filled: int = 0
    quarantined: int = 0
    dropped: int = 0
    already_known: int = 0
    unexpected_columns: tuple[str, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None
    digest: str = ""
    suite: str = ""
    checks: tuple[CheckResult, ...] = ()


def quarantine_of(source: Source) -> str:
    """The table of rows that were kept apart."""
    return f"quarantine/{source.name}"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a batch is taken in, its id, and the versions of the source's tables on which it is decided.

    Attributes:
        days: since the batch before; none for the first.
    """

    as_of: datetime
    batch: str
    versions: Mapping[str, int]
    days: float | None = None


class Intake:
    """One batch on its way in: decided in full before anything is written."""

    def __init__(self, source: Source, lake: Lake, moment: Moment, arrived: Arrivals) -> None:
        self.source, self.lake, self.arrived = source, lake, arrived
        self.as_of, self.batch, self.versions = moment.as_of, moment.batch, moment.versions
        self.pace = Pace(moment.as_of, moment.days)
        self.checks: list[CheckResult] = []
        self.reasons: dict[str, int] = dict(arrived.notes)
        self.apart: list[pl.DataFrame] = []
        self.stops: list[str] = []
        self.known_apart = self._known_apart(own=False)

    def run(self) -> IngestResult:
        """Decide what becomes of every row, then write it, unless an expectation stops the batch."""
        rows = self._existing()
        kept = rows.filter("_kept")
        readable = kept.filter(pl.col("_unreadable").is_null())
        unreadable = self._unseen_apart(kept.filter(pl.col("_unreadable").is_not_null()), "")
        self._set_apart(self._wide(unreadable, None), unreadable["_unreadable"], None, "")
        fresh, known = self._fresh(readable, None)
        good = self._checked(self._wide(fresh, None), None)
        appending = {table_of(self.source): good}
        here = pl.concat([self._stored(None, own=True)[ROW], good[ROW]])
        for time in self.source.later:
            due = self._due(readable, time).filter(pl.col("_base").is_in(here.implode()))
            due = self._fresh(due, time)[0]
            appending[table_of(self.source, time)] = self._checked(self._wide(due, time), time)
        suite = self.source.suite.version if self.source.suite else ""
        checks = tuple(self.checks)
        if self.stops:
            stopped = "; ".join(self.stops)
            return IngestResult(rows.height, reasons=self.reasons, stopped=stopped, suite=suite, checks=checks)
        self._write(appending)
        return IngestResult(
            rows=rows.height,
            appended=good.height,
            filled=sum(frame.height for frame in appending.values()) - good.height,
            quarantined=sum(frame.height for frame in self.apart),
            dropped=rows.height - kept.height,
            already_known=known + kept.height - readable.height - unreadable.height,
            unexpected_columns=self.arrived.unexpected,
            reasons=self.reasons,
            digest=source_digest(self.source, self.lake, self.as_of),
            suite=suite,
            checks=checks,
        )

    def _existing(self) -> pl.DataFrame:
        """The rows that exist by now, without their values: those are looked at when a row is new."""
        later = [column for time in self.source.later for column in (time, f"{ROW}.{time}")]
        narrow = ["event_time", "available_at", ROW, KEY, "_kept", "_unreadable"]
        rows = self.arrived.rows.select(*dict.fromkeys([*narrow, *later])).with_row_index(_PLACE)
        if self.source.timeless:
            return rows
        if isinstance(self.source.availability, Arrival):
            return rows.with_columns(pl.lit(self.as_of).cast(_UTC).alias("available_at"))
        broken = pl.col("_unreadable").is_not_null() & pl.col("available_at").is_null()
        return rows.filter((pl.col("available_at") <= self.as_of) | broken)

    def _wide(self, rows: pl.DataFrame, time: str | None) -> pl.DataFrame:
        """Rows with their values."""
        own = ["event_time", "available_at", ROW, KEY]
        columns = [name for name in self._columns(time) if name not in own]
        return pl.concat([self.arrived.rows.select(columns)[rows[_PLACE]], rows.select(own)], how="horizontal")

    def _due(self, readable: pl.DataFrame, time: str) -> pl.DataFrame:
        """The later parts of rows that are known by now."""
        due = readable.filter(pl.col(time) <= self.as_of)
        own = pl.col(f"{ROW}.{time}").alias(ROW)
        moment = pl.col(time)
        return due.select(
            _PLACE, KEY, own, pl.col(ROW).alias("_base"), moment.alias("event_time"), moment.alias("available_at")
        )

    def _fresh(self, rows: pl.DataFrame, time: str | None) -> tuple[pl.DataFrame, int]:
        """Rows that were not taken in before, and how many were."""
        stored = self._stored(time, own=False)
        taken = stored
        if isinstance(self.source.availability, Arrival) and time is None:
            # A value may come back to what it was before, so only the newest version counts as known.
            taken = stored.sort("available_at", SEQUENCE).unique(KEY, keep="last")
        fresh = rows.filter(~pl.col(ROW).is_in(taken[ROW].implode()))
        fresh = self._unseen_apart(fresh, time or "")
        return self._without_clashes(fresh, stored, time), rows.height - fresh.height

    def _without_clashes(self, fresh: pl.DataFrame, stored: pl.DataFrame, time: str | None) -> pl.DataFrame:
        """Apply the rule for rows with one key and one `available_at` but other values."""
        if fresh.is_empty():
            return fresh
        same = [KEY, "available_at"]
        taken = fresh.join(stored.select(same), on=same, how="semi")[ROW]
        against_stored = pl.col(ROW).is_in(taken.implode())
        clash = fresh.select((against_stored | pl.struct(same).is_duplicated()).alias("clash"))["clash"]
        if not clash.any() or (self.source.duplicates == "last" and not self.source.timeless):
            return fresh
        told = "a timeless row changed" if self.source.timeless else "duplicate key with other values"
        if self.source.duplicates == "first":
            loses = fresh.select((against_stored | ~pl.struct(same).is_first_distinct()).alias("loses"))["loses"]
            self._count(told, int(loses.sum()))
            return fresh.filter(~loses)
        self._count(told, int(clash.sum()))
        self._set_apart(self._wide(fresh.filter(clash), time), told, None, time or "")
        return fresh.filter(~clash)

    def _checked(self, fresh: pl.DataFrame, time: str | None) -> pl.DataFrame:
        """Rows as expected; the others are nulled, set apart, or stop the batch."""
        bad: set[int] = set()
        blank: list[tuple[str, tuple[int, ...]]] = []
        for found in validate(table_of(self.source, time), self._expected(fresh, time), fresh, self.pace):
            self.checks.append(CheckResult.of(found))
            one, rows = found.expectation, found.rows
            self._count(f"{one.column} not {one.told}", len(rows))
            if one.otherwise == STOP:
                self.stops.extend(_why_stopped(found, fresh))
            elif one.otherwise == NULL:
                blank.append((one.column, rows))
            elif one.otherwise != NOTE:
                new = [row for row in rows if row not in bad]
                bad |= set(new)
                reasons = pl.Series([_told(value, one, 1) for value in fresh[one.column].gather(new)], dtype=pl.String)
                self._set_apart(fresh[new], reasons, one.column, time or "")
        for column, rows in blank:
            fresh = fresh.with_columns(fresh[column].set(pl.Series(range(fresh.height)).is_in(list(rows)), None))
        return fresh[[row for row in range(fresh.height) if row not in bad]] if bad else fresh

    def _expected(self, fresh: pl.DataFrame, time: str | None) -> list[Expected]:
        """What the model file and the suite expect of a part of the rows, and what its columns can be asked for."""
        own = {*self._columns(time)} & {*fresh.columns}
        written = [one for one in self.source.expect if one.column in own]
        checks: Sequence[Check] = self.source.suite.checks if self.source.suite else ()
        listed = [one for one in checks if one.part == (time or "")]
        known = {*fresh.columns, ""}
        missing = dict.fromkeys(one.column for one in listed if one.column not in known)
        self.checks.extend(CheckResult(name, "a column", "missing", passed=False, otherwise=NOTE) for name in missing)
        return [*written, *(one for one in listed if one.column in known)]

    def _columns(self, time: str | None) -> list[str]:
        if time is None:
            return list(self.arrived.base)
        columns = [name for name in self.source.later[time] if name in self.arrived.rows.columns]
        return [*(self.source.key_columns or ()), time, *columns]

    def _stored(self, time: str | None, *, own: bool) -> pl.DataFrame:
        """What is stored of the keys of this batch; without its own rows, when a crash has left some and not `own`."""
        table = table_of(self.source, time)
        if not self.lake.exists(table):
            return pl.DataFrame(schema=_IDENTITY)
        rows = self.lake.scan(table, [*_IDENTITY, BATCH])
        if not own and self.lake.has_batch(table, self.batch):
            rows = rows.filter(pl.col(BATCH) != self.batch)
        if self.lake.height(table) > 2 * self.arrived.rows.height:
            # A small batch for a large table: only its own keys are brought into memory.
            rows = rows.join(self.arrived.rows.lazy().select(KEY).unique(), on=KEY, how="semi")
        with self.lake.reading(table):
            return rows.select(*_IDENTITY).collect(engine="streaming")

    def _known_apart(self, *, own: bool) -> pl.DataFrame:
        """What was set apart: by other batches, or by this one in an earlier try."""
        table = quarantine_of(self.source)
        if not self.lake.exists(table):
            return pl.DataFrame(schema={ROW: pl.Int64, "part": pl.String})
        which = (pl.col("batch") == self.batch) if own else (pl.col("batch") != self.batch)
        with self.lake.reading(table):
            return self.lake.scan(table).filter(which).select(ROW, "part").collect()

    def _unseen_apart(self, rows: pl.DataFrame, part: str) -> pl.DataFrame:
        """Each row once, without those that were set apart before."""
        apart = self.known_apart.filter(pl.col("part") == part)[ROW]
        rows = rows.unique(ROW, keep="first", maintain_order=True)
        return rows.filter(~pl.col(ROW).is_in(apart.implode())) if len(apart) else rows

    def _count(self, reason: str, rows: int) -> None:
        if rows:
            self.reasons[reason] = self.reasons.get(reason, 0) + rows

    def _set_apart(self, rows: pl.DataFrame, reason: pl.Series | str, column: str | None, part: str) -> None:
        if rows.is_empty():
            return
        if column is None and isinstance(reason, pl.Series):
            for told, count in reason.value_counts().iter_rows():
                self._count(told, count)
        columns = self._columns(part or None)
        texts = [_JSON.encode(row) for row in rows.select(columns).iter_rows(named=True)]
        values = [""] * rows.height if column is None else ["" if one is None else str(one) for one in rows[column]]
        self.apart.append(
            pl.DataFrame(
                {
                    "row": pl.Series(texts, dtype=pl.String),
                    "reason": reason if isinstance(reason, pl.Series) else pl.Series([reason] * rows.height),
                    "column": pl.Series([column or ""] * rows.height),
                    "value": pl.Series(values, dtype=pl.String),
                    "part": pl.Series([part] * rows.height),
                    ROW: rows[ROW],
                }
            ).with_columns(as_of=pl.lit(self.as_of).cast(_UTC), batch=pl.lit(self.batch))
        )

    def _write(self, appending: dict[str, pl.DataFrame]) -> None:
        """Append what was decided; each append happens once, so that a crash between two does no harm."""
        self._write_apart()
        for time in (None, *self.source.later):
            table = table_of(self.source, time)
            rows = appending[table]
            # A table is made before its first row, so that the types of nothing known are those of something.
            if rows.is_empty() and (self.lake.exists(table) or pl.Null in rows.dtypes):
                continue
            self._append(table, rows, self._columns(time))

    def _write_apart(self) -> None:
        """Append what was set apart, but not what an earlier try of this batch has appended already."""
        if not self.apart:
            return
        table, earlier = quarantine_of(self.source), self._known_apart(own=True)
        rows = pl.concat(self.apart).join(earlier, on=[ROW, "part"], how="anti", nulls_equal=True)
        if rows.is_empty():
            return
        # A try after other rows came between sets other rows apart, which one id would hide.
        batch = self.batch if earlier.is_empty() else f"{self.batch}+{content_digest(rows[ROW])}"
        self.lake.append(table, rows, batch=batch, decided_on=self.versions[table])

    def _append(self, table: str, rows: pl.DataFrame, columns: Sequence[str]) -> None:
        untyped = [name for name in columns if rows.schema[name] == pl.Null]
        if untyped:
            raise UntypedColumnError(self.source.name, untyped)
        height = self.lake.height(table) if self.lake.exists(table) else 0
        kept = rows.select(*dict.fromkeys([*columns, "event_time", "available_at", ROW, KEY])).with_columns(
            pl.int_range(height, height + rows.height, dtype=pl.Int64).alias(SEQUENCE),
            pl.lit(self.batch).alias(BATCH),
        )
        new = [name for name in columns if name in self.source.optional]
        self.lake.append(table, kept, batch=self.batch, allow_new=new, decided_on=self.versions[table])


def _why_stopped(found: Outcome, fresh: pl.DataFrame) -> list[str]:
    one, rows = found.expectation, found.rows
    if rows:
        return [_told(fresh[one.column][rows[0]], one, len(rows))]
    return [] if found.passed else [f"{one.column or 'the batch'}: {found.observed}, expected {one.told}"]


def _told(value: Any, expectation: Expected, count: int) -> str:
    more = f" (and {count - 1} more rows)" if count > 1 else ""
    return f"{expectation.column} is {value}, expected {expectation.told}{more}"
