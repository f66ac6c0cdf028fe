"""Bad input, given to the real flows: what is refused, what is kept apart, and that nothing else happens."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect.exceptions import ParameterTypeError
from small_data import Shape, ask, week, write_small_model

from feature_store.errors import ColumnTypeError, MissingColumnsError, TableNotFoundError, UntypedColumnError
from flows.by_hand import promote_by_hand, rollback_by_hand
from flows.decide import decide
from flows.errors import BatchRefusedError, ModelNotFoundError, SpecError
from flows.ingest import ingest
from flows.monitor import monitor
from flows.score import score
from flows.settings import Mlflow
from flows.train import train
from flows.wiring import Loop, running
from lifecycle.errors import MomentError, NoChampionError, UnreachableError, VersionNotFoundError
from lifecycle.moments import iso, parse_moment
from lifecycle.ports import Alias
from mlflow_plugins.connection import connect
from mlflow_plugins.registry import MlflowRegistry
from modeling.errors import TooFewRowsError, UndefinedMetricError

NOW, LATER = iso(week(6)), iso(week(7))
Small = Callable[..., Loop]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_small_model(tmp_path))


@pytest.fixture
def closed_port() -> str:
    """An address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def rows(**changes: Any) -> pl.DataFrame:
    return ask(Shape()).with_columns(**changes)


def taken_in(loop: Loop) -> int:
    return loop.lake.read("sources/questions").height if loop.lake.exists("sources/questions") else 0


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (rows().drop("signal"), MissingColumnsError, "lacks ['signal']"),
        (rows().drop("asked_at"), MissingColumnsError, "lacks ['asked_at']"),
        (rows(signal=pl.col("signal").cast(pl.String)), ColumnTypeError, "Column 'signal' of 'questions' is String"),
        (rows(asked_at=pl.lit("noon")), ColumnTypeError, "Column 'asked_at' of 'questions' is String"),
        (rows(signal=pl.lit("high")), ColumnTypeError, "Column 'signal' of 'questions' is String"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_whole(
    model: str, small_loop: Small, frame: pl.DataFrame, error: type[Exception], message: str
) -> None:
    with running(small_loop()) as loop:
        ingest(model, iso(week(1)))
        before = taken_in(loop)
        loop.read = lambda source: frame
        with pytest.raises(error) as caught:
            ingest(model, NOW)
        assert message in str(caught.value)
        assert taken_in(loop) == before

        loop.read = lambda source: rows()  # corrected, the same command goes through
        assert ingest(model, NOW).facts["questions"].endswith("0 quarantined")
        assert taken_in(loop) > before


def test_a_column_without_a_single_value_is_refused_at_first_and_told_later(model: str, small_loop: Small) -> None:
    with running(small_loop()) as loop:
        loop.read = lambda source: rows(signal=pl.lit(None))
        with pytest.raises(UntypedColumnError, match=r"\['signal'\] of 'questions' hold no value"):
            ingest(model, iso(week(1)))
        assert taken_in(loop) == 0

        loop.read = lambda source: rows()
        ingest(model, iso(week(1)))
        loop.read = lambda source: rows(signal=pl.lit(None))
        ingest(model, iso(week(2)))
        stored = loop.lake.read("sources/questions").filter(pl.col("asked_at") > week(1))

    assert stored["signal"].null_count() == stored.height > 0


def test_an_empty_batch_is_nothing_new_and_nothing_to_train_on(model: str, small_loop: Small) -> None:
    with running(small_loop()) as loop:
        loop.read = lambda source: rows().clear()
        assert ingest(model, NOW).facts["questions"] == "0 new rows, 0 quarantined"
        with pytest.raises(TooFewRowsError, match=r"0 rows .*at least 50 are needed"):
            train(model, NOW)
        assert list(loop.ledger.decisions("small")) == []


def test_duplicate_keys_are_kept_apart_with_their_reason(model: str, small_loop: Small) -> None:
    again = rows().head(10).with_columns(signal=pl.col("signal") + 1)
    with running(small_loop()) as loop:
        loop.read = lambda source: pl.concat([rows(), again, rows().tail(5)])
        assert ingest(model, iso(week(8))).facts["questions"].endswith("new rows, 20 quarantined")
        apart = loop.lake.read("quarantine/questions")

    assert set(apart["reason"]) == {"duplicate key with other values"}
    assert apart.height == 20


def test_an_expectation_that_stops_the_batch_holds_the_loop(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path, source='expect=[within("signal", -50, 50, otherwise="stop")]'))
    with running(small_loop()) as loop:
        loop.read = lambda source: rows(signal=pl.when(pl.col("id") == 7).then(1048.0).otherwise("signal"))
        with pytest.raises(BatchRefusedError, match=r"'questions' was refused and nothing of it was stored: .*1048"):
            ingest(model, NOW)
        assert taken_in(loop) == 0


@pytest.mark.parametrize("flow", [ingest, train, score, monitor, decide])
@pytest.mark.parametrize("moment", ["2021-04-12", "2021-04-12T00:00:00", "noon"])
def test_a_moment_without_a_zone_is_refused(model: str, small_loop: Small, flow: Any, moment: str) -> None:
    with running(small_loop()) as loop:
        with pytest.raises(MomentError, match=r"is not a moment with a time zone. Write ISO 8601 with a zone"):
            flow(model, moment)
        assert taken_in(loop) == 0


@pytest.mark.parametrize("moment", [20210412, 1618185600.0, datetime(2021, 4, 12)])  # noqa: DTZ001 - to be refused
def test_a_moment_that_is_no_text_is_not_coerced(model: str, small_loop: Small, moment: Any) -> None:
    with running(small_loop()) as loop:
        with pytest.raises((MomentError, ParameterTypeError)):
            ingest(model, moment)
        assert taken_in(loop) == 0


def test_a_run_without_a_moment_is_about_its_scheduled_start(model: str, small_loop: Small) -> None:
    with running(small_loop()):
        told = ingest(model)

    assert parse_moment(told.as_of) > week(8)
    assert told.facts["questions"] == "4,000 new rows, 0 quarantined"


def test_naive_moments_are_of_the_sources_zone(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path, source='tz="America/New_York"'))
    naive = rows().with_columns(pl.col("asked_at", "answered_at").dt.replace_time_zone(None))
    with running(small_loop()) as loop:
        loop.read = lambda source: naive
        ingest(model, LATER)
        first = loop.lake.read("sources/questions")["asked_at"].min()

    assert first == rows()["asked_at"].min() + timedelta(hours=5)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("absent.py", "there is no such file. Name a .py file"),
        ("{model}:other", "it has no Model 'other'; it holds ['small']"),
        ("{folder}/sub", "there is no such file"),
        ("{folder}/empty.py", "it holds no Model"),
    ],
)
def test_an_unknown_model_is_refused(
    tmp_path: Path, model: str, small_loop: Small, reference: str, message: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "empty.py").write_text('"""Nothing."""\n')
    with running(small_loop()), pytest.raises(ModelNotFoundError) as caught:
        train(reference.format(model=model, folder=tmp_path), NOW)
    assert message in str(caught.value)


def test_without_a_champion_nothing_is_scored_and_the_policy_trains_one(model: str, small_loop: Small) -> None:
    with running(small_loop()) as loop:
        ingest(model, NOW)
        for flow in (score, monitor):
            with pytest.raises(NoChampionError, match=r"has no champion yet.*Train one"):
                flow(model, NOW)
        assert not loop.lake.exists("predictions/small")
        with pytest.raises(SpecError, match="no earlier champion to go back to"):
            rollback_by_hand(model, NOW, "try")
        with pytest.raises(VersionNotFoundError, match="has no version 7"):
            promote_by_hand(model, NOW, 7, "try")
        assert list(loop.ledger.epochs("small")) == []
        assert decide(model, NOW).facts["reason"] == "no champion yet"
        assert [epoch.version for epoch in loop.ledger.epochs("small")] == [1]


def test_training_before_ingesting_says_so(model: str, small_loop: Small) -> None:
    with running(small_loop()), pytest.raises(TableNotFoundError, match="Ingest the source first"):
        train(model, NOW)


def test_labels_of_one_class_are_nothing_to_train_on(model: str, small_loop: Small) -> None:
    with running(small_loop()) as loop:
        loop.read = lambda source: rows(won=pl.lit(True))
        ingest(model, NOW)
        with pytest.raises((UndefinedMetricError, ValueError)):
            train(model, NOW)
        assert list(loop.ledger.decisions("small")) == []


@pytest.mark.timeout(120)
def test_an_unreachable_mlflow_ends_every_step_in_bounded_time_and_promotes_nothing(
    tmp_path: Path, model: str, small_loop: Small, closed_port: str
) -> None:
    state = tmp_path / "state"
    with running(small_loop(state)) as loop:
        ingest(model, NOW)
        train(model, NOW)
        before = [epoch.version for epoch in loop.ledger.epochs("small")], len(loop.ledger.decisions("small"))
        settings = loop.settings.model_copy(update={"mlflow": Mlflow(tracking_uri=closed_port)})
        from flows.retraining import train_here
        from flows.wiring import build

        cut_off = build(settings, start_training=train_here)
        with running(cut_off):
            for flow in (ingest, train, score, monitor, decide):
                with pytest.raises(UnreachableError, match=rf"{closed_port} did not answer: .*Nothing was promoted"):
                    flow(model, LATER)
            with pytest.raises(UnreachableError):
                promote_by_hand(model, LATER, 1, "try")

        assert ([e.version for e in loop.ledger.epochs("small")], len(loop.ledger.decisions("small"))) == before


@pytest.mark.timeout(120)
def test_a_registry_that_goes_away_in_between_never_reads_as_no_champion(
    model: str, small_loop: Small, closed_port: str, tmp_path: Path
) -> None:
    with running(small_loop()) as loop:
        ingest(model, NOW)
        train(model, NOW)
        ingest(model, LATER)
        known = loop.registry
        loop.registry = MlflowRegistry(connect(closed_port), tmp_path / "downloads")
        loop.loaded.clear()
        for flow in (train, score, decide):
            with pytest.raises(UnreachableError):
                flow(model, LATER)
        assert [epoch.version for epoch in loop.ledger.epochs("small")] == [1]
        loop.registry = known
        assert loop.registry.pointed("small", Alias.CHAMPION) == 1
        assert train(model, LATER).facts["version"] == 2  # the same command again, once the registry is back
