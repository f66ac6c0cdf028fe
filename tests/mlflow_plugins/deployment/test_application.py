"""Who may ask for how much: tokens, limits, a full queue, redaction, many models, and what the pages tell."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest
from asking import Request, ask, split

from lifecycle.errors import IntegrityError
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import Access, Limits
from mlflow_plugins.deployment.routes import NOTHING, Routes
from mlflow_plugins.deployment.served import headers_of
from mlflow_plugins.deployment.tier import Tier

TOKEN = ((b"authorization", b"Bearer secret"),)


@pytest.fixture(scope="module")
def late(small):
    return load_served(small("late").stored)


@pytest.fixture
def good(small):
    return Request(split(small("late").frame.columns, [[100.5, "UA", 3.0]]))


def got(app, *requests):
    async def all_at_once():
        return await asyncio.gather(*(ask(app, request) for request in requests))

    return asyncio.run(all_at_once())


def get(path, **more):
    return Request(b"", None, path, "GET", **more)


def test_without_the_token_only_the_health_addresses_answer(application, late, good):
    app = application(late, access=Access(token="secret"))
    wrong = replace(good, headers=((b"authorization", b"Bearer secre"),))

    refused = got(app, good, wrong, get("/metrics"), get("/models"), get("/v2/models/late-flights"), get("/nothing"))
    allowed = got(app, replace(good, headers=TOKEN), get("/ping"), get("/ready"), get("/v2/health/live"))

    assert {answer.status for answer in refused} == {401}
    assert (b"www-authenticate", b"Bearer") in refused[0].headers
    assert refused[0].json()["error_code"] == "UNAUTHENTICATED"
    assert {answer.status for answer in allowed} == {200}


def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(application, late, good):
    app = application(late, limits=Limits(body=50))

    (answer,) = got(app, good)

    assert answer.status == 413
    assert answer.json()["message"] == (
        "The body is larger than the 50 bytes that this server takes. Send fewer rows at once."
    )
    assert (b"connection", b"close") in answer.headers


def test_a_body_in_parts_is_measured_as_it_comes(application, late):
    app, sent = application(late, limits=Limits(body=50)), []

    async def receive():
        return {"type": "http.request", "body": b"x" * 30, "more_body": True}

    async def send(message):
        sent.append(message)

    asyncio.run(app({**Request().scope(), "headers": []}, receive, send))

    assert sent[0]["status"] == 413


def test_more_than_the_queue_is_asked_to_come_again(application, late, good):
    app = application(late, limits=Limits(queue=3, retry_after=7))

    answers = got(app, *[good] * 8)

    assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 5
    refused = next(answer for answer in answers if answer.status == 503)
    assert (b"retry-after", b"7") in refused.headers
    assert "has 3 requests to answer and takes no more" in refused.json()["message"]
    assert (app.in_flight, app.counts.refused[("queue",)]) == (0, 5)


def test_before_a_model_is_loaded_everything_but_the_health_addresses_waits(application, good):
    app = application()
    app.routes = NOTHING

    scored, ready, live = got(app, good, get("/ready"), get("/v2/health/live"))

    assert (scored.status, ready.status, live.status) == (503, 503, 200)
    assert scored.json()["message"] == "No model is loaded yet. Try again later."


def test_while_draining_answers_are_given_and_connections_closed(application, late, good):
    app = application(late)
    app.draining = True

    scored, ready, v2 = got(app, good, get("/ready"), get("/v2/health/ready"))

    assert (scored.status, ready.status, v2.status) == (200, 503, 503)
    assert (b"connection", b"close") in scored.headers
    assert ready.json()["draining"] is True


def test_redaction_keeps_the_input_out_of_errors_and_leaves_answers_alone(application, late, good, small):
    plain, redacting = application(late), application(late, access=Access(redact=True))
    bad = Request(split(small("late").frame.columns, [["my secret", "UA", 3.0]]))

    (told, fine), (withheld, same) = got(plain, bad, good), got(redacting, bad, good)

    assert b"my secret" in told.body
    assert b"my secret" not in withheld.body
    assert withheld.status == told.status == 400
    assert withheld.json() == {
        "error_code": "BAD_REQUEST",
        "message": (
            "The request could not be answered. This server withholds the details; its operator finds them in the log."
        ),
    }
    assert same == fine


def test_models_and_versions_have_addresses_of_their_own(application, late, small, good):
    other = load_served(small("delay").stored)
    old = replace(late, version=2, headers=headers_of("late-flights", 2, 0))
    app = application(late, old, other)
    paths = ("/invocations", "/models/late-flights/invocations", "/models/late-flights/versions/2/invocations")

    answers = got(app, *(replace(good, path=path) for path in (*paths, "/models/delay/invocations", "/models/no")))

    assert [answer.ours.get("x-incumbent-version") for answer in answers[:3]] == ["3", "3", "2"]
    assert answers[3].ours["x-incumbent-model"] == "delay"
    assert (answers[3].status, answers[4].status) == (400, 404)


def test_a_request_keeps_the_version_it_began_with(application, late, good):
    app = application(late)

    async def swapped_meanwhile():
        waiting = [asyncio.create_task(ask(app, good)) for _ in range(3)]
        await asyncio.sleep(0)
        app.routes = Routes.of([replace(late, version=4, headers=headers_of("late-flights", 4, 9))])
        return [*await asyncio.gather(*waiting), await ask(app, good)]

    answers = asyncio.run(swapped_meanwhile())

    assert [answer.ours["x-incumbent-version"] for answer in answers] == ["3", "3", "3", "4"]


@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_may_be_forced_and_the_bytes_stay_the_same(application, small, late, good, tier):
    stored = small("late").stored
    forced = load_served(
        type(stored)(**{name: getattr(stored, name) for name in stored.__struct_fields__} | {"tier": tier})
    )

    ours, best = got(application(forced), good)[0], got(application(late), good)[0]

    assert forced.tier.rank <= tier.rank
    assert ours == best


def test_hooks_see_each_answer_before_and_after_it_is_sent(application, late, good):
    app, seen = application(late), []
    app.before_answer = lambda answered: seen.append(("before", answered)) or ((b"x-incumbent-id", b"7"),)
    app.after_answer = lambda answered: seen.append(("after", answered))

    fast, fell_back = got(app, good)[0], got(app, Request(b"{}"))[0]

    assert [when for when, _ in seen] == ["before", "after"] * 2
    assert seen[0][1].answer == fast.body
    assert [list(column) for column in seen[0][1].values] == [[100.5], ["UA"], [3.0]]
    assert (seen[2][1].status, seen[2][1].values) == (400, None)
    assert fast.ours["x-incumbent-id"] == fell_back.ours["x-incumbent-id"] == "7"


def test_the_metrics_count_answers_rows_and_refusals(application, late, good, small):
    app = application(late)
    two = Request(split(small("late").frame.columns, [[1.0, "UA", 3.0], [2.0, "B6", 4.0]]))
    got(app, good, two, Request(b"{}"))

    text = got(app, get("/metrics"))[0].body.decode()

    for line in (
        'incumbent_answers_total{model="late-flights",path="fast",status="200",version="3"} 2.0',
        'incumbent_answers_total{model="late-flights",path="mlflow",status="400",version="3"} 1.0',
        'incumbent_rows_total{model="late-flights"} 3.0',
        'incumbent_answer_seconds_count{model="late-flights",path="fast"} 2.0',
        "incumbent_ready 1.0",
        'incumbent_model{epoch="0",model="late-flights",tier="microbatch",version="3"} 1.0',
    ):
        assert line in text.splitlines()
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(told['incumbent_cpu_seconds_total{worker="0"}']) > 0
    assert float(told['incumbent_resident_bytes{worker="0"}']) > 10_000_000


def test_the_description_holds_the_models_own_columns_and_rows_that_it_answers(application, late):
    app = application(late)

    described = got(app, get("/openapi.json"))[0].json()

    assert list(described["components"]["schemas"]["late-flights-3"]["properties"]) == [
        "distance",
        "carrier",
        "dep hour",
    ]
    examples = described["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    answers = got(app, *(Request(json.dumps(example["value"]).encode()) for example in examples.values()))
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body


@pytest.mark.parametrize("name", ["centred", "filled", "squashed"])
def test_models_tells_the_tier_and_why_it_is_not_a_higher_one(application, small, name):
    app = application(load_served(small(name).stored))

    (answer,) = got(app, get("/models"))

    (model,) = answer.json()["models"]
    assert (model["name"], model["tier"]) == (name, "typed")
    assert model["refused"] == {"microbatch": "a row is answered differently alone and among others"}


def test_a_model_that_fails_on_some_of_its_own_rows_is_served_all_the_same(small):
    served = load_served(small("fickle").stored)

    assert served.tier is Tier.TYPED
    assert served.refused == {"microbatch": "it failed on some golden rows: ValueError: three comes third"}


def test_a_version_is_tried_in_a_process_of_its_own_before_it_is_loaded(small, tmp_path):
    stored = msgspec.structs.replace(small("late").stored, trials=str(tmp_path / "trials"))
    other = msgspec.structs.replace(stored, digest="0" * 64)

    with pytest.raises(
        IntegrityError, match=r"Trial of the model in .*: expected a model that loads in a clean process"
    ):
        load_served(other)
    served = load_served(stored)

    assert served.digest == stored.digest
    assert len([mark for mark in (tmp_path / "trials").iterdir() if mark.suffix != ".lock"]) == 1
