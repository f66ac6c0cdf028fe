"""The unit that a request names, and who answers it."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from math import sqrt

import pytest
from asking import Request, ask, split
from small_models import flights

from lifecycle.experiments import Experiment, Variant, experiment_of
from mlflow_plugins.deployment.experiments import unit_reader
from mlflow_plugins.deployment.lineup import Lineup, routes_of
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import Rollout

COLUMNS = list(flights().columns)
ROLLOUT = Rollout(canary=0.2, unit=("tail", "leg"), salt="ours")


@pytest.fixture(scope="module")
def lineup(small):
    """Version 3 reigns; the same model as version 4 challenges it."""
    stored = small("late").stored
    served = load_served(stored)
    return Lineup(
        stored, served.appointed("champion", 7), challenger=replace(served, version=4).appointed("challenger", 0)
    )


@pytest.fixture
def app(application, lineup):
    made = application()
    made.routes = routes_of([lineup], ROLLOUT)
    return made


def read(body, *, header=None, columns=("tail", "leg")):
    headers = () if header is None else ((b"x-incumbent-unit", header),)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return unit_reader(columns)(Request(content, headers=headers).scope(), content)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"leg": 2, "distance": 1.5, "tail": "N1"}, {"tail": "N1", "leg": 2.0}]},
        {"instances": [{"tail": "N1", "leg": 2}]},
        {"dataframe_split": {"index": [0], "columns": ["leg", "x", "tail"], "data": [[2, None, "N1"]]}},
    ],
)
def test_the_key_columns_of_a_body_name_its_unit(body):
    assert read(body) == '["N1",2]'


def test_key_columns_with_a_quote_or_a_backslash_in_their_names_name_a_unit_too():
    columns = ('tail "number"', "leg\\no")

    assert read({"instances": [{"leg\\no": 2, 'tail "number"': "N1", "x": [1]}]}, columns=columns) == '["N1",2]'
    assert read({"instances": [{"leg\\no": [2], 'tail "number"': "N1"}]}, columns=columns) is None
    assert read({"instances": [{"leg\\no": 2}]}, columns=columns) is None


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"tail": "N1", "leg": 1}, {"tail": "N1", "leg": 2}]},
        {"dataframe_records": [{"tail": "N1"}]},
        {"dataframe_records": [{"tail": ["N1"], "leg": 1}]},
        {"dataframe_records": []},
        {"dataframe_split": {"columns": ["tail"], "data": [["N1"]]}},
        {"dataframe_split": {"columns": ["tail", "leg"], "data": [["N1"]]}},
        {"inputs": [[1.0]]},
        b"tail,leg\nN1,2",
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_a_body_of_several_units_or_none_names_none(body):
    assert read(body) is None


def test_the_header_goes_before_the_body_and_serves_where_there_are_no_key_columns():
    body = {"dataframe_records": [{"tail": "N1", "leg": 2}]}

    assert read(body, header=b"caller 7") == "caller 7"
    assert read(body, header=b"caller 7", columns=()) == "caller 7"
    assert read(body, header=b"") is None
    assert read(body, columns=()) is None


def test_a_canary_gets_its_share_the_same_after_a_restart_and_as_computed_afterwards(application, lineup):
    units = [b"unit %d" % number for number in range(500)]
    body = split(COLUMNS, [[100.5, "UA", 3.0]])

    async def versions():
        app = application()
        app.routes = routes_of([lineup], ROLLOUT)
        requests = [Request(body, headers=((b"x-incumbent-unit", unit),)) for unit in units]
        return [(await ask(app, request)).ours["x-incumbent-version"] for request in requests]

    first, restarted = asyncio.run(versions()), asyncio.run(versions())

    experiment = Experiment(experiment_of("late-flights", 4), 0.2, "ours")
    assert first == restarted
    assert first == ["4" if experiment.assign(unit.decode()) is Variant.CHALLENGER else "3" for unit in units]
    assert abs(first.count("4") - 100) <= 4 * sqrt(500 * 0.2 * 0.8)


def test_a_version_that_is_asked_for_by_number_is_no_part_of_the_experiment(app):
    body = split(COLUMNS, [[100.5, "UA", 3.0]])
    taken = _a_unit_of_the_challenger()

    async def scene():
        by_name, by_number = (
            Request(body, path=path, headers=((b"x-incumbent-unit", taken),))
            for path in ("/models/late-flights/invocations", "/models/late-flights/versions/3/invocations")
        )
        return await ask(app, by_name), await ask(app, by_number), await ask(app, Request(body))

    by_name, by_number, unnamed = asyncio.run(scene())

    assert [each.ours["x-incumbent-version"] for each in (by_name, by_number, unnamed)] == ["4", "3", "3"]
    assert app.counts.unassigned[("late-flights",)] == 1
    assert by_name.without_ours() == by_number.without_ours()


def test_a_challenger_that_takes_its_time_does_not_hold_up_the_champion(application, lineup):
    asked, go_on = threading.Event(), threading.Event()

    def slow(values):
        asked.set()
        go_on.wait(60)
        return lineup.champion.predict(values)

    app = application()
    app.routes = routes_of([replace(lineup, challenger=replace(lineup.challenger, predict=slow))], ROLLOUT)
    request = Request(split(COLUMNS, [[100.5, "UA", 3.0]]))
    taken = replace(request, headers=((b"x-incumbent-unit", _a_unit_of_the_challenger()),))

    async def scene():
        challenged = asyncio.create_task(ask(app, taken))
        while not asked.is_set():
            await asyncio.sleep(0.01)
        meanwhile = await ask(app, request)
        waiting = not challenged.done()
        go_on.set()
        return waiting, meanwhile, await challenged

    waiting, meanwhile, challenged = asyncio.run(scene())

    assert waiting
    assert [each.ours["x-incumbent-version"] for each in (meanwhile, challenged)] == ["3", "4"]


def test_tensors_are_answered_by_the_same_version_as_frames(app):
    inputs = [
        {"name": name, "shape": [1], "datatype": kind, "data": [value]}
        for name, kind, value in zip(COLUMNS, ("FP64", "BYTES", "FP64"), (100.5, "UA", 3.0), strict=True)
    ]
    request = Request(json.dumps({"inputs": inputs}).encode(), path="/v2/models/late-flights/infer")
    taken = replace(request, headers=((b"x-incumbent-unit", _a_unit_of_the_challenger()),))

    async def scene():
        return await ask(app, taken), await ask(app, request)

    challenged, unnamed = asyncio.run(scene())

    assert [each.ours["x-incumbent-version"] for each in (challenged, unnamed)] == ["4", "3"]
    assert challenged.json()["model_version"] == "4"


def _a_unit_of_the_challenger():
    experiment = Experiment(experiment_of("late-flights", 4), 0.2, "ours")
    return next(b"u%d" % n for n in range(100) if experiment.assign(f"u{n}") is Variant.CHALLENGER)
