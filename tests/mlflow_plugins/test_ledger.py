"""One contract for the ledger on SQLite and on Postgres."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from lifecycle.actions import Hold, Promote
from lifecycle.decisions import Decision, Epoch
from lifecycle.errors import (
    DecisionNotFoundError,
    EpochTakenError,
    IntegrityError,
    NoChampionError,
    UnreachableError,
)
from lifecycle.ports import Journal, Ledger
from mlflow_plugins.errors import AmbiguousDecisionError, LedgerUrlError
from mlflow_plugins.ledger import SqlLedger

DecisionOn = Callable[..., Decision]
NOON = datetime(2013, 1, 8, 12, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SqlLedger]:
    opened = SqlLedger(ledger_url)
    yield opened
    opened.close()


def epoch_of(model: str, epoch: int, decision_id: str = "", version: int = 3) -> Epoch:
    return Epoch(model, epoch, version, "sha256:abc", decision_id or f"decision {epoch}", NOON)


def test_the_ledger_fits_its_ports(ledger: SqlLedger) -> None:
    as_ledger: Ledger = ledger
    as_journal: Journal = ledger

    assert as_ledger.decisions("nobody") == []
    assert as_journal.finished("nothing") is None


def test_a_decision_comes_back_as_it_was_recorded(ledger: SqlLedger, name: str, decision_on: DecisionOn) -> None:
    held = decision_on(name, "window", Hold("too few labels: 3 of 500"))
    promoted = decision_on(name, "challenger:2", Promote(2, "brier: better by 2 %"))

    returned = [ledger.record(held), ledger.record(promoted)]

    assert returned == [held, promoted]
    assert ledger.decisions(name) == [held, promoted]
    assert ledger.find(promoted.decision_id) == promoted


def test_the_same_question_is_decided_once(ledger: SqlLedger, name: str, decision_on: DecisionOn) -> None:
    first = ledger.record(decision_on(name, action=Hold("first")))

    again = ledger.record(decision_on(name, action=Promote(9, "second"), actor="somebody else"))

    assert again == first
    assert ledger.decisions(name) == [first]


def test_a_decision_is_found_by_the_beginning_of_its_id(ledger: SqlLedger, name: str, decision_on: DecisionOn) -> None:
    made = [ledger.record(decision_on(name, f"challenger:{number}")) for number in range(20)]

    assert ledger.find(made[7].decision_id[:12]) == made[7]
    # Twenty ids and sixteen hexadecimal digits: two begin alike.
    firsts = [decision.decision_id[0] for decision in made]
    common = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(AmbiguousDecisionError, match=f"'{common}' is the beginning of several decisions"):
        ledger.find(common)


@pytest.mark.parametrize("wanted", ["zzzz", "", "%", "_"])
def test_a_decision_that_is_not_there_is_not_found(
    ledger: SqlLedger, wanted: str, name: str, decision_on: DecisionOn
) -> None:
    ledger.record(decision_on(name))

    with pytest.raises(DecisionNotFoundError, match="No decision or version"):
        ledger.find(wanted)


def test_there_is_no_champion_before_the_first_epoch(ledger: SqlLedger, name: str) -> None:
    with pytest.raises(NoChampionError, match=f"Model '{name}' has no champion yet"):
        ledger.head(name)
    assert ledger.epochs(name) == []


def test_epochs_follow_one_another(ledger: SqlLedger, name: str) -> None:
    made = [ledger.advance(epoch_of(name, number, version=number)) for number in (1, 2, 3)]

    assert ledger.head(name) == made[-1] == epoch_of(name, 3, version=3)
    assert ledger.epochs(name) == made


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_an_epoch_that_does_not_follow_the_head_is_refused(ledger: SqlLedger, name: str, wrong: int) -> None:
    ledger.advance(epoch_of(name, 1))

    with pytest.raises(EpochTakenError, match=f"epoch {wrong} could not be taken .* the ledger is at 1"):
        ledger.advance(epoch_of(name, wrong, "another decision"))
    assert [each.epoch for each in ledger.epochs(name)] == [1]


def test_a_decision_that_is_carried_out_again_gets_the_epoch_it_made(ledger: SqlLedger, name: str) -> None:
    first = ledger.advance(epoch_of(name, 1, "promote 3"))
    ledger.advance(epoch_of(name, 2, "promote 4"))

    assert ledger.advance(epoch_of(name, 1, "promote 3")) == first
    assert ledger.advance(epoch_of(name, 3, "promote 3")) == first
    assert ledger.head(name).epoch == 2


def test_models_have_epochs_of_their_own(ledger: SqlLedger, name: str) -> None:
    ledger.advance(epoch_of(name, 1))

    assert ledger.advance(epoch_of(f"{name}-other", 1)).epoch == 1


def test_a_finished_step_keeps_its_first_result(ledger: SqlLedger, name: str) -> None:
    assert ledger.finished(name) is None

    assert ledger.finish(name, "version 3") == "version 3"
    assert ledger.finish(name, "version 4") == "version 3"

    assert ledger.finished(name) == "version 3"


def test_everything_is_there_after_opening_again(ledger_url: str, name: str, decision_on: DecisionOn) -> None:
    first = SqlLedger(ledger_url)
    decision = first.record(decision_on(name))
    epoch = first.advance(epoch_of(name, 1, decision.decision_id))
    first.finish(name, "done")
    first.close()

    again = SqlLedger(ledger_url)

    assert (again.decisions(name), again.head(name), again.finished(name)) == ([decision], epoch, "done")
    again.close()


def test_of_several_promoters_exactly_one_wins(ledger_url: str, name: str) -> None:
    """Every thread has a ledger of its own, as every process would."""
    rounds, promoters = 25, 4
    ledgers = [SqlLedger(ledger_url) for _ in range(promoters)]
    together, won, lost = threading.Barrier(promoters), [], []

    def promote(promoter: int) -> None:
        for number in range(1, rounds + 1):
            together.wait()
            try:
                won.append(ledgers[promoter].advance(epoch_of(name, number, f"{promoter} in round {number}")))
            except EpochTakenError:
                lost.append((promoter, number))

    threads = [threading.Thread(target=promote, args=(promoter,)) for promoter in range(promoters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.epoch for each in won) == list(range(1, rounds + 1))
    assert len(lost) == rounds * (promoters - 1)
    assert ledgers[0].epochs(name) == sorted(won, key=lambda each: each.epoch)
    for each in ledgers:
        each.close()


def test_decisions_of_several_processes_make_one_chain(ledger_url: str, name: str) -> None:
    processes = [_recorder(ledger_url, name, who) for who in ("a", "b")]
    for process in processes:
        _, problems = process.communicate(timeout=100)
        assert process.returncode == 0, problems

    ledger = SqlLedger(ledger_url)

    assert len(ledger.decisions(name)) == 30
    assert ledger.verify_chain(name).records == 30
    ledger.close()


def test_nothing_that_was_acknowledged_is_lost_when_the_writer_is_killed(ledger_url: str, name: str) -> None:
    writer = _recorder(ledger_url, name, "killed", count=100_000)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(15)]
    writer.kill()
    acknowledged += writer.communicate()[0].split("\n")[:-1]  # the last line may be half of one

    ledger = SqlLedger(ledger_url)

    kept = {decision.decision_id for decision in ledger.decisions(name)}
    assert len(acknowledged) >= 15
    assert set(acknowledged) <= kept
    assert ledger.verify_chain(name).records == len(kept) <= len(acknowledged) + 1
    ledger.close()


def test_a_kill_between_insert_and_commit_leaves_nothing(ledger_url: str, name: str, decision_on: DecisionOn) -> None:
    code = f"""
import os, sqlalchemy
from datetime import UTC, datetime
from lifecycle.decisions import Epoch
from mlflow_plugins.ledger import SqlLedger
ledger = SqlLedger({ledger_url!r})
sqlalchemy.event.listen(ledger._engine, "commit", lambda connection: os.kill(os.getpid(), 9))
ledger.advance(Epoch({name!r}, 1, 3, "d", "decision", datetime(2013, 1, 8, tzinfo=UTC)))
"""
    SqlLedger(ledger_url).close()
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr

    ledger = SqlLedger(ledger_url)

    assert ledger.epochs(name) == []
    assert ledger.advance(epoch_of(name, 1)).epoch == 1
    ledger.close()


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE decisions SET canonical = CAST(replace(canonical, 'better', 'b3tter') AS BLOB)",
        "UPDATE decisions SET links = CAST(replace(links, 'loop', 'l00p') AS BLOB)",
        "DELETE FROM decisions",
        "UPDATE decisions SET decision_id = 'another'",
        "UPDATE decisions SET previous_hash = ''",
        "UPDATE decisions SET position = 7",
    ],
)
def test_a_forged_record_is_noticed(tmp_path: Path, forgery: str, decision_on: DecisionOn) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for number in range(3):
        ledger.record(decision_on("late-flights", f"challenger:{number}"))
    assert ledger.verify_chain("late-flights").records == 3

    with sa.create_engine(f"sqlite:///{tmp_path / 'ledger.db'}").begin() as connection:
        connection.execute(sa.text(f"{forgery} WHERE position = 2"))

    with pytest.raises(IntegrityError, match="of 'late-flights'"):
        ledger.verify_chain("late-flights")
    ledger.close()


@pytest.mark.parametrize(
    ("forgery", "found"),
    [("UPDATE epochs SET version = 9 WHERE epoch = 2", "version 9"), ("DELETE FROM epochs WHERE epoch = 1", "a gap")],
)
def test_a_forged_epoch_is_noticed(tmp_path: Path, forgery: str, found: str, decision_on: DecisionOn) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for number in (1, 2):
        decision = ledger.record(decision_on("late-flights", f"challenger:{number}", Promote(number, "better")))
        ledger.advance(epoch_of("late-flights", number, decision.decision_id, version=number))
    assert ledger.verify_chain("late-flights").records == 2

    with sa.create_engine(f"sqlite:///{tmp_path / 'ledger.db'}").begin() as connection:
        connection.execute(sa.text(forgery))

    with pytest.raises(IntegrityError, match=f"Epoch 2 of 'late-flights': expected .*, found {found}"):
        ledger.verify_chain("late-flights")
    ledger.close()


def test_a_chain_that_was_cut_off_shows_in_its_head(tmp_path: Path, decision_on: DecisionOn) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.record(decision_on("late-flights", "challenger:1"))
    before = ledger.verify_chain("late-flights")

    ledger.record(decision_on("late-flights", "challenger:2"))

    after = ledger.verify_chain("late-flights")
    assert (before.records, after.records) == (1, 2)
    assert before.head != after.head
    assert ledger.verify_chain("nobody").records == 0
    ledger.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://ops:hunter2@db/ledger"])
def test_an_address_that_keeps_nothing_is_refused(url: str) -> None:
    with pytest.raises(LedgerUrlError) as refused:
        SqlLedger(url)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://ops:hunter2@127.0.0.1:1/ledger", "sqlite:////no/such/folder/ledger.db"])
def test_a_ledger_that_cannot_be_reached_is_told_without_its_password(url: str) -> None:
    with pytest.raises(UnreachableError, match=r"Ledger at .* did not answer") as refused:
        SqlLedger(url)

    assert "hunter2" not in str(refused.value)


def test_a_ledger_that_somebody_keeps_locked_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow_plugins.ledger._BUSY_SECONDS", 1)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = SqlLedger(url)
    ledger.advance(epoch_of("late-flights", 1))
    blocker = sa.create_engine(url, isolation_level="AUTOCOMMIT").connect()
    blocker.exec_driver_sql("BEGIN IMMEDIATE")

    with pytest.raises(UnreachableError, match="database is locked"):
        ledger.advance(epoch_of("late-flights", 2))

    assert ledger.head("late-flights").epoch == 1  # reading goes on
    blocker.exec_driver_sql("ROLLBACK")
    blocker.close()
    ledger.close()


def _recorder(url: str, model: str, who: str, count: int = 15) -> subprocess.Popen[str]:
    """A process that records decisions and prints the id of each that was acknowledged."""
    code = f"""
from datetime import UTC, datetime, timedelta
from lifecycle.actions import Hold
from lifecycle.decisions import Decision, Links
from lifecycle.evidence import Evidence
from lifecycle.moments import Window
from mlflow_plugins.ledger import SqlLedger
ledger, noon = SqlLedger({url!r}), datetime(2013, 1, 8, 12, tzinfo=UTC)
evidence = Evidence({model!r}, noon, Window.before(noon, timedelta(days=7)))
for number in range({count}):
    stage = f"by hand:{who}:{{number}}"
    decision = Decision({model!r}, noon, stage, Hold("waiting"), evidence, "never()", None, Links(noon, {who!r}))
    print(ledger.record(decision).decision_id, flush=True)
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
