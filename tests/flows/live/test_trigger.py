"""A deployment that is started by hand, where nobody is there to run it, and where there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from small_data import week, write_small_model

from flows import schedules
from flows.errors import UnknownDeploymentError
from flows.settings import OnlineTable
from flows.wiring import running
from incumbent.model import Model, load_model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_small_model(tmp_path, name="by-hand"))


def test_a_run_that_no_worker_takes_says_so(
    model: Model, small_loop: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_PATIENCE", 0.2)
    with running(small_loop()) as loop:
        deployed = schedules.deploy(loop, model, week(8))

        started = schedules.trigger(loop, model, "monitor", week(7))

    assert started.facts["state"] == "Scheduled"
    assert started.facts["note"] == "it waits for a worker: is `incumbent up` running?"
    assert started.links["Prefect run"].endswith(f"/runs/flow-run/{started.ids['flow_run_id']}")
    assert schedules.registered_anchor(model) == week(8)
    assert set(deployed.ids) == {"train", "monitor", "score", "requests"}


def test_features_that_are_looked_up_get_a_deployment_whose_schedule_is_on_where_settings_say_how_often(
    tmp_path: Path, small_loop: Callable[..., Any]
) -> None:
    busy = 'request("signal"), window(questions, busy=col("signal").mean(), over="24h", by="origin")'
    model = load_model(write_small_model(tmp_path, name="looking", features=busy))
    found = []
    with running(small_loop()) as loop:
        for every in (None, "10m"):
            loop.settings = loop.settings.model_copy(update={"online": OnlineTable(every=every)})
            told = schedules.deploy(loop, model, week(8)).facts["materialize"]
            with get_client(sync_client=True) as client:
                known = client.read_deployment_by_name("refresh/looking materialize")
            found.append((told, [(each.active, each.schedule.interval) for each in known.schedules]))

    off = "every 1h: ingest, and bring online, once you set `[online] every` or switch its schedule on"
    assert found == [
        (off, [(False, timedelta(hours=1))]),
        ("every 10m: ingest, and bring online", [(True, timedelta(minutes=10))]),
    ]


@pytest.mark.parametrize("verb", ["train", "promote", "materialize"])
def test_what_is_not_deployed_is_refused(model: Model, small_loop: Callable[..., Any], verb: str) -> None:
    model.name = "never-deployed"
    with running(small_loop()) as loop, pytest.raises(UnknownDeploymentError) as refused:
        schedules.trigger(loop, model, verb, week(7))

    assert str(refused.value) == (
        f"Model 'never-deployed' has no deployment of '{verb}'. "
        f"Run incumbent deploy first; it makes ['monitor', 'requests', 'score', 'train']."
    )
