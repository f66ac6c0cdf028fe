"""Our server beside MLflow's own app, in one process: the same status, body and headers for every request."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import mlflow.pyfunc
import pytest
from asking import Answer, Request, ask
from mlflow.pyfunc.scoring_server import init
from odd_requests import every_request, formats

from mlflow_plugins.deployment import application as application_module
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.tier import Tier

MODELS = ("late", "delay", "every_kind", "frames_out", "unusual")
SHARE_OF_FAST_ANSWERS = 0.4


@pytest.fixture(scope="module")
def both(small, application):
    """Ours and MLflow's app for a model; MLflow's is loaded by MLflow's own loader."""
    made = {}

    def get(name):
        if name not in made:
            stored = small(name).stored
            made[name] = (application(load_served(stored)), init(mlflow.pyfunc.load_model(stored.folder)))
        return made[name]

    return get


def compared(ours, theirs, requests):
    """Pairs of answers to the same requests."""

    async def ask_both() -> list[tuple[Request, Answer, Answer]]:
        return [(request, await ask(ours, request), await ask(theirs, request)) for request in requests]

    return asyncio.run(ask_both())


def different(pairs):
    return [(request, ours, theirs) for request, ours, theirs in pairs if ours.without_ours() != theirs]


@pytest.fixture(scope="module")
def answered(small, both):
    """Every request to every model, answered by both."""
    return {name: compared(*both(name), every_request(small(name).frame, at)) for at, name in enumerate(MODELS)}


def fast(app) -> int:
    return sum(count for labels, count in app.counts.answers.items() if labels[2] == "fast")


@pytest.mark.parametrize("name", MODELS)
def test_every_answer_is_mlflows(answered, name):
    differences = different(answered[name])

    assert len(answered[name]) > 350
    assert [(request.body[:300], request.content_type, ours, theirs) for request, ours, theirs in differences] == []


def test_two_thousand_requests_were_compared_and_most_valid_ones_took_the_fast_path(answered, both):
    valid = sum(theirs.status == 200 and r.method == "POST" for name in MODELS for r, _, theirs in answered[name])

    assert sum(map(len, answered.values())) >= 2000
    assert sum(fast(both(name)[0]) for name in MODELS) >= SHARE_OF_FAST_ANSWERS * valid
    assert fast(both("unusual")[0]) == 0


def test_the_requests_meet_every_kind_of_answer(answered):
    statuses = Counter(theirs.status for pairs in answered.values() for _, _, theirs in pairs)

    assert {200, 307, 400, 404, 405, 415, 500} <= statuses.keys()


def test_a_linear_plan_answers_any_number_of_rows_as_mlflow_does(small, both):
    ours, theirs = both("distance")
    frame = small("distance").frame
    bodies = [text for rows in (1, 2, 5, 64) for text in formats(frame.sample(rows, random_state=rows))]

    pairs = compared(ours, theirs, [Request(body.encode()) for body in bodies])

    assert different(pairs) == []
    assert ours.routes.default.tier is Tier.COMPILED
    assert fast(ours) == len(bodies)


def test_our_headers_name_who_answered(answered):
    _, ours, _ = answered["late"][0]

    assert ours.ours == {"x-incumbent-model": "late-flights", "x-incumbent-version": "3", "x-incumbent-epoch": "0"}


def test_the_comparison_notices_other_separators(small, both, monkeypatch):
    def compact(predictions):
        return json.dumps({"predictions": predictions.tolist()}, separators=(",", ":")).encode()

    ours, theirs = both("late")
    before = fast(ours)
    monkeypatch.setattr(application_module, "encode", compact)

    pairs = compared(ours, theirs, every_request(small("late").frame, 0))

    assert len(different(pairs)) == fast(ours) - before > 100


def test_the_comparison_notices_an_added_header(both):
    ours, theirs = both("late")

    async def chatty(scope, receive, send):
        async def sending(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"server", b"x")]}
            await send(message)

        await ours(scope, receive, sending)

    assert len(different(compared(chatty, theirs, [Request(b"{}"), Request(b"", path="/ping", method="GET")]))) == 2
