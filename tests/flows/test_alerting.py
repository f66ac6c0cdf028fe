"""The owner is told once of each cause, with the way to look: by scheduled windows, and by runs that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from small_data import START, WEEK, Shape, ask, week, write_small_model

from feature_store.definitions.feature_view import derived, difference, latest, recency, request, window
from feature_store.definitions.source import Source
from feature_store.definitions.spine import each
from feature_store.offline.labels import Label
from flows.automations import automate, tells
from flows.errors import AlertBlockNotFoundError, BatchRefusedError
from flows.events import ALERT_EVENT
from flows.expecting import expect
from flows.ingest import ingest
from flows.model import Model, load_model
from flows.places import places_of
from flows.train import train
from flows.watch import watch
from flows.wiring import Loop, running
from lifecycle.alerts import Alert
from lifecycle.gates import Gate
from lifecycle.moments import iso
from lifecycle.policies import Policy

Small = Callable[..., Any]
TREES = "HistGradientBoostingClassifier(max_iter=20)"
FEATURES = 'request("signal", "noise", "origin")'
SHAPE = Shape(weeks=9, rows=3000)


class Inbox(list[tuple[Alert, Mapping[str, str]]]):
    """What an owner was told, and the pages with it."""

    def __call__(self, alert: Alert, links: Mapping[str, str]) -> None:
        self.append((alert, links))

    @property
    def titles(self) -> list[str]:
        return [alert.title for alert, _ in self]


@contextmanager
def watched_by(small_loop: Small, model: str) -> Iterator[tuple[Loop, Inbox]]:
    """A loop that has taken six weeks in, with a reviewed suite, and an owner who listens; it trains when told to."""
    with running(small_loop(start_training=lambda *_: None)) as loop:
        inbox = Inbox()
        loop.tell_owner = inbox
        ingest(model, iso(week(6)))
        expect(loop, loop.model(model), week(6), write=True)
        yield loop, inbox


def changed(folder: Path, since: float, change: pl.Expr, shape: Shape = SHAPE) -> None:
    late = pl.col("asked_at") > START + since * WEEK
    name = change.meta.output_name()
    frame = ask(shape).with_columns(pl.when(late).then(change).otherwise(pl.col(name)).alias(name))
    frame.write_parquet(folder / "questions.parquet")


@pytest.mark.timeout(900)  # a walk of the whole loop, which waits long on a busy machine
def test_a_renamed_category_is_told_once_with_everything_that_was_seen_of_it(tmp_path: Path, small_loop: Small) -> None:
    shape = Shape(weeks=9, rows=9000)  # so many that no other column drifts by chance
    model = str(write_small_model(tmp_path, shape, features=FEATURES, estimator=TREES))
    with watched_by(small_loop, model) as (_, inbox):
        train(model, iso(week(6)))
        quiet = watch(model, iso(week(7))).facts
        changed(tmp_path, 7, pl.col("origin").replace("north", "NORTH"), shape)
        told = watch(model, iso(week(8))).facts
        going_on = watch(model, iso(week(9))).facts
        again = watch(model, iso(week(8))).facts

    ((alert, links),) = inbox
    assert alert.owner == "ops@example.com"
    assert alert.places == ("questions.origin",)
    assert {one.detector for one in alert.symptoms} >= {"validation", "drift"}
    assert set(links) >= {"Validation", "MLflow run", "Prefect run"}
    assert told["alerts"] == again["alerts"] == [alert.title]
    assert "alerts" not in quiet
    assert "alerts" not in going_on


def test_a_refused_batch_is_told_once_although_it_is_tried_again_and_comes_again(
    tmp_path: Path, small_loop: Small
) -> None:
    model = str(write_small_model(tmp_path, SHAPE))
    with watched_by(small_loop, model) as (loop, inbox):
        changed(tmp_path, 6, pl.col("signal") * 1000)
        for moment in (week(7), week(7), week(8)):
            with pytest.raises(BatchRefusedError):
                watch(model, iso(moment))

        changed(tmp_path, 20, pl.col("signal"))
        watch(model, iso(week(9)))

    assert inbox.titles == ["small: questions.signal (validation)"]
    assert inbox[0][0].symptoms[0].told.startswith("refused: signal: ")
    assert loop.ledger.decisions("small")[-1].as_of == week(9)


def test_a_run_that_fails_is_told_by_its_error(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path, SHAPE))
    with watched_by(small_loop, model) as (_, inbox):
        (tmp_path / "questions.parquet").unlink()
        for moment in (week(7), week(8)):
            with pytest.raises(FileNotFoundError):
                watch(model, iso(moment))

    assert inbox.titles == ["small: flow watch (health)"]
    assert inbox[0][0].symptoms[0].told.startswith("FileNotFoundError: ")


def test_what_each_try_of_a_failing_window_saw_is_told_once(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path, SHAPE))
    with watched_by(small_loop, model) as (_, inbox):
        changed(tmp_path, 6, pl.col("signal") * 1000)
        with pytest.raises(BatchRefusedError):
            watch(model, iso(week(7)))
        (tmp_path / "questions.parquet").unlink()
        for moment in (week(7), week(7), week(8)):
            with pytest.raises(FileNotFoundError):
                watch(model, iso(moment))

    assert inbox.titles == ["small: questions.signal (validation)", "small: flow watch (health)"]


def test_without_somebody_to_tell_nothing_is_told_nor_noted(tmp_path: Path, small_loop: Small) -> None:
    model = str(write_small_model(tmp_path, SHAPE))
    with watched_by(small_loop, model) as (loop, inbox):
        loop.tell_owner = None
        changed(tmp_path, 6, pl.col("signal") * 1000)
        with pytest.raises(BatchRefusedError):
            watch(model, iso(week(7)))
        loop.tell_owner = inbox
        with pytest.raises(BatchRefusedError):
            watch(model, iso(week(7)))

    assert len(inbox) == 1


def test_an_owner_is_told_by_the_block_that_is_named_for_him(tmp_path: Path, small_loop: Small) -> None:
    model = load_model(write_small_model(tmp_path, name="told"))
    with running(small_loop()):
        block = CustomWebhookNotificationBlock(name="ops", url="http://127.0.0.1:9/alerts")
        saved = block.save("ops", overwrite=True, _sync=True)
        mine, everybody = {"ops@example.com": "custom-webhook/ops"}, {"*": "custom-webhook/ops"}
        wanted = tells(model, mine)
        assert wanted is not None
        automate(wanted)
        automate(wanted)
        with get_client(sync_client=True) as client:
            (known,) = client.read_automations_by_name("told: tell ops@example.com")

    assert known.trigger.expect == {ALERT_EVENT}  # type: ignore[union-attr]  # made as an event trigger above
    assert known.actions[0].block_document_id == saved  # type: ignore[union-attr]  # as above
    assert tells(model, everybody) == wanted
    assert tells(model, {"somebody@else": "custom-webhook/ops"}) is None


def test_a_block_that_prefect_does_not_have_is_named(tmp_path: Path, small_loop: Small) -> None:
    model = load_model(write_small_model(tmp_path))
    with running(small_loop()), pytest.raises(AlertBlockNotFoundError) as refused:
        tells(model, {"*": "slack-webhook/nobody"})

    assert str(refused.value) == (
        "Alerts for 'ops@example.com' go to the block 'slack-webhook/nobody', which Prefect does not have. "
        "Make it in Prefect's UI under Blocks, or correct [alerts] blocks, which names it TYPE/NAME."
    )


def test_every_feature_has_the_columns_it_is_made_of() -> None:
    weather = Source(
        "weather", read=ask, key=["origin", "at"], event_time="at", available_at="at", entity="origin",
        derive={"chill": pl.col("wind") * pl.col("frost")},
    )  # fmt: skip
    trips = Source("trips", read=ask, key="id", event_time="left", available_at="left", entity="origin",
                   later={"arrived": ["minutes"]})  # fmt: skip
    model = Model(
        "m", owner="a", purpose="b", task="regression", spine=each(trips, as_of="left"),
        label=Label("minutes", deadline="1d"), gate=Gate("mae"), policy=Policy(every="7d"),
        features=[
            request("miles"), derived(pl.col("left").dt.hour().alias("hour")),
            latest(weather, "wind", "chill", ttl="6h"),
            window(trips, mean=pl.col("miles").mean(), rows=pl.len(), over=["6h", "24h"]), recency(trips, name="since"),
            difference("gap", of="miles", to="wind"),
        ],
    )  # fmt: skip

    assert places_of(model) == {
        "miles": ("trips.miles",),
        "hour": ("trips.left",),
        "wind": ("weather.wind",),
        "chill": ("weather.wind", "weather.frost"),
        "mean_6h": ("trips.miles",),
        "rows_6h": ("trips",),
        "mean_24h": ("trips.miles",),
        "rows_24h": ("trips",),
        "since": ("trips",),
        "gap": ("trips.miles", "weather.wind"),
    }
