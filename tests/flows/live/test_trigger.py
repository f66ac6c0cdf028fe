"""A deployment that is started by hand, where nobody is there to run it, and where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_data import week, write_small_model

from flows import schedules
from flows.errors import UnknownDeploymentError
from flows.model import Model, load_model
from flows.wiring import running


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
    assert set(deployed.ids) == {"train", "monitor", "score"}


@pytest.mark.parametrize("verb", ["train", "promote"])
def test_what_is_not_deployed_is_refused(model: Model, small_loop: Callable[..., Any], verb: str) -> None:
    model.name = "never-deployed"
    with running(small_loop()) as loop, pytest.raises(UnknownDeploymentError) as refused:
        schedules.trigger(loop, model, verb, week(7))

    assert str(refused.value) == (
        f"Model 'never-deployed' has no deployment of '{verb}'. "
        f"Run incumbent deploy first; it makes ['monitor', 'score', 'train']."
    )
