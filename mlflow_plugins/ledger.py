"""The ledger in SQL: decisions, epochs and finished steps, on SQLite or Postgres.

One row per (model, epoch): inserting epoch + 1 after looking at the head, in one transaction, is the
compare-and-set and the fence. Decisions are chained by hashes for each model, so a record that was altered,
removed or reordered shows. Versions and runs are named by value, so this database stands alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from lifecycle.actions import Promote, Rollback
from lifecycle.decisions import Decision, Epoch
from lifecycle.errors import (
    DecisionNotFoundError,
    EpochTakenError,
    IntegrityError,
    NoChampionError,
    UnreachableError,
)
from lifecycle.moments import iso, parse_moment
from lifecycle.records import from_plain, to_bytes
from mlflow_plugins.answers import without_secret
from mlflow_plugins.errors import AmbiguousDecisionError, LedgerUrlError

_BUSY_SECONDS = 15
_CONNECT_SECONDS = 10
_WRITE = "incumbent_write"

_tables = sa.MetaData()

_decisions = sa.Table(
    "decisions",
    _tables,
    sa.Column("decision_id", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(256), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("as_of", sa.String(40), nullable=False),
    sa.Column("stage", sa.String(256), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("canonical", sa.LargeBinary, nullable=False),
    sa.Column("links", sa.LargeBinary, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("record_hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("model", "position"),
)

_epochs = sa.Table(
    "epochs",
    _tables,
    sa.Column("model", sa.String(256), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(128), nullable=False),
    sa.Column("decision_id", sa.String(64), nullable=False),
    sa.Column("as_of", sa.String(40), nullable=False),
    sa.UniqueConstraint("model", "decision_id"),
)

_steps = sa.Table(
    "steps",
    _tables,
    sa.Column("step", sa.String(512), primary_key=True),
    sa.Column("result", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of decisions that holds.

    Attributes:
        head: hash of the newest record. Kept elsewhere, it shows that records were cut off the end.
    """

    records: int
    head: str


class SqlLedger:
    """Append-only decisions, epochs and steps. Fits `lifecycle.ports.Ledger` and `lifecycle.ports.Journal`.

    Safe for any number of threads and processes. What a method returned is on disk.

    Raises:
        LedgerUrlError: the address is neither a SQLite file nor Postgres.
        UnreachableError: the database does not answer, from every method.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = _engine(url)
        with self._writing("") as connection:
            _tables.create_all(connection)

    def record(self, decision: Decision) -> Decision:
        """Append a decision; one with the same id is returned as it was first recorded."""
        canonical, links = decision.canonical(), to_bytes(decision.links)
        with self._writing(decision.model) as connection:
            known = connection.execute(
                sa.select(_decisions).where(_decisions.c.decision_id == decision.decision_id)
            ).first()
            if known is not None:
                return _decision(known)
            newest = connection.execute(_chain_of(decision.model).order_by(_decisions.c.position.desc())).first()
            previous = newest.record_hash if newest else ""
            connection.execute(
                _decisions.insert().values(
                    decision_id=decision.decision_id,
                    model=decision.model,
                    position=newest.position + 1 if newest else 1,
                    as_of=iso(decision.as_of),
                    stage=decision.stage,
                    action=type(decision.action).__name__,
                    canonical=canonical,
                    links=links,
                    previous_hash=previous,
                    record_hash=_record_hash(previous, canonical, links),
                )
            )
        return decision

    def decisions(self, model: str) -> Sequence[Decision]:
        """Every decision on a model, in the order they were recorded."""
        with self._reading() as connection:
            rows = connection.execute(_chain_of(model).order_by(_decisions.c.position)).all()
        return [_decision(row) for row in rows]

    def find(self, decision_id: str) -> Decision:
        """One decision by its id or the beginning of it.

        Raises:
            DecisionNotFoundError: no decision begins like this.
            AmbiguousDecisionError: more than one does.
        """
        condition = _decisions.c.decision_id.startswith(decision_id, autoescape=True)
        with self._reading() as connection:
            found = connection.execute(sa.select(_decisions).where(condition).limit(5)).all()
            if not decision_id or not found:
                count = connection.execute(sa.select(sa.func.count()).select_from(_decisions)).scalar_one()
                raise DecisionNotFoundError(decision_id, count)
        if len(found) > 1:
            raise AmbiguousDecisionError(decision_id, [row.decision_id for row in found])
        return _decision(found[0])

    def head(self, model: str) -> Epoch:
        """The newest epoch.

        Raises:
            NoChampionError: there is none.
        """
        with self._reading() as connection:
            found = _head(connection, model)
        if found is None:
            raise NoChampionError(model)
        return _epoch(found)

    def epochs(self, model: str) -> Sequence[Epoch]:
        """Every epoch of a model, oldest first."""
        query = sa.select(_epochs).where(_epochs.c.model == model).order_by(_epochs.c.epoch)
        with self._reading() as connection:
            return [_epoch(row) for row in connection.execute(query).all()]

    def advance(self, epoch: Epoch) -> Epoch:
        """Insert an epoch after its predecessor (the first is 1); a decision gets the epoch it already made.

        Raises:
            EpochTakenError: another promotion came first.
        """
        made_by_it = sa.select(_epochs).where(
            _epochs.c.model == epoch.model, _epochs.c.decision_id == epoch.decision_id
        )
        with self._writing(epoch.model) as connection:
            made = connection.execute(made_by_it).first()
            if made is not None:
                return _epoch(made)
            head = _head(connection, epoch.model)
            newest = head.epoch if head else 0
            if newest != epoch.epoch - 1:
                raise EpochTakenError(epoch.model, epoch.epoch - 1, newest)
            connection.execute(_epochs.insert().values(**_epoch_row(epoch)))
        return epoch

    def finished(self, step: str) -> str | None:
        """The result that was noted for a step, or none when it is not finished."""
        with self._reading() as connection:
            return _result_of(connection, step)

    def finish(self, step: str, result: str) -> str:
        """Note a step as finished; a step that is already finished keeps its first result."""
        with self._writing(step) as connection:
            known = _result_of(connection, step)
            if known is not None:
                return known
            connection.execute(_steps.insert().values(step=step, result=result))
        return result

    def verify_chain(self, model: str) -> Chain:
        """Recompute every hash of a model's decisions, and hold its epochs against them.

        Raises:
            IntegrityError: a record was altered, removed or put elsewhere; the message names the first one.
        """
        with self._reading() as connection:
            rows = connection.execute(_chain_of(model).order_by(_decisions.c.position)).all()
        decisions = [_decision(row) for row in rows]
        _check_epochs(self.epochs(model), decisions)
        previous = ""
        for position, (row, decision) in enumerate(zip(rows, decisions, strict=True), start=1):
            expected = _record_hash(previous, row.canonical, row.links)
            found = row.record_hash if (row.position, row.previous_hash) == (position, previous) else "a gap"
            if found != expected or decision.decision_id != row.decision_id:
                what = f"Decision {row.decision_id} (record {position}) of {model!r}"
                raise IntegrityError(what, expected, found)
            previous = expected
        return Chain(len(rows), previous)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _writing(self, lock: str) -> Iterator[Connection]:
        """One transaction at a time: SQLite locks the file at its beginning, Postgres what `lock` names."""
        with self._translated(), self._engine.execution_options(**{_WRITE: True}).begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(lock, 0))))
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.OperationalError as error:
            if not _is_away(error):
                raise
            problem = (str(error.orig).splitlines() or ["no answer"])[0]
            raise UnreachableError("Ledger", without_secret(self._url), problem) from error


def _engine(url: str) -> Engine:
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///") and ":memory:" not in url:
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.startswith(("postgresql://", "postgresql+psycopg2://")):
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_SECONDS})
    raise LedgerUrlError(without_secret(url))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions by itself, and too late
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit that was acknowledged outlives a power cut


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_away(error: sa.exc.OperationalError) -> bool:
    """Whether the database cannot be reached at all, as opposed to having answered with an error."""
    problem = str(error.orig)
    locked_or_absent = "database is locked" in problem or "unable to open database file" in problem
    # psycopg2 gives an error of the server its SQLSTATE, and one of the connection none.
    lost = getattr(error.orig, "pgcode", "") is None
    return locked_or_absent or lost or bool(error.connection_invalidated)


def _record_hash(previous: str, canonical: bytes, links: bytes) -> str:
    return hashlib.sha256(previous.encode() + canonical + links).hexdigest()


def _check_epochs(epochs: Sequence[Epoch], decisions: Sequence[Decision]) -> None:
    """Epochs count from 1, and each has the version that its decision named."""
    decided = {decision.decision_id: decision.action for decision in decisions}
    for number, epoch in enumerate(epochs, start=1):
        what = f"Epoch {epoch.epoch} of {epoch.model!r}"
        if epoch.epoch != number:
            raise IntegrityError(what, f"epoch {number}", "a gap")
        match decided.get(epoch.decision_id):
            case Promote(version=version) | Rollback(to_version=version) if version != epoch.version:
                raise IntegrityError(what, f"version {version}", f"version {epoch.version}")
            case _:
                pass


def _chain_of(model: str) -> sa.Select[Any]:
    return sa.select(_decisions).where(_decisions.c.model == model)


def _decision(row: Row[Any]) -> Decision:
    return _read(bytes(row.canonical), bytes(row.links))


@lru_cache(maxsize=4096)  # a loop looks at all its past decisions at every step, and they never change
def _read(canonical: bytes, links: bytes) -> Decision:
    return from_plain(Decision, {"type": "Decision", **json.loads(canonical), "links": json.loads(links)})


def _head(connection: Connection, model: str) -> Row[Any] | None:
    query = sa.select(_epochs).where(_epochs.c.model == model).order_by(_epochs.c.epoch.desc()).limit(1)
    return connection.execute(query).first()


def _epoch(row: Row[Any]) -> Epoch:
    return Epoch(row.model, row.epoch, row.version, row.digest, row.decision_id, parse_moment(row.as_of))


def _epoch_row(epoch: Epoch) -> dict[str, object]:
    return {
        "model": epoch.model,
        "epoch": epoch.epoch,
        "version": epoch.version,
        "digest": epoch.digest,
        "decision_id": epoch.decision_id,
        "as_of": iso(epoch.as_of),
    }


def _result_of(connection: Connection, step: str) -> str | None:
    return connection.execute(sa.select(_steps.c.result).where(_steps.c.step == step)).scalar()
