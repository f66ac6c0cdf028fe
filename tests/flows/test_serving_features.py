"""A question that brings its key alone: completed online, logged as it was completed, and never skewed."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import server_process
from served_world import NOW, answer, offline, questions, records, serve
from small_data import week

from flows.evidence import labelled_predictions, predictions
from flows.features.parity import parity
from flows.requests import batch_types, compact
from flows.serving import Chosen, server_options
from lifecycle.moments import Window, iso
from mlflow_plugins.deployment.tier import Tier


@pytest.mark.parametrize("tier", [None, Tier.TYPED])
def test_a_question_with_its_key_alone_answers_the_bytes_of_the_full_request(trained: Any, tier: Tier | None) -> None:
    loop, path, stored = trained
    application = serve(stored, tier)
    as_of = week(7) + timedelta(hours=5)
    asked = questions(9)

    by_key = answer(application, records(asked), as_of)
    full = answer(application, records(offline(loop, path, asked, as_of)), as_of)
    one = answer(application, records(asked[:1]), as_of)
    many = answer(application, records(asked * 60), as_of)

    assert (by_key.status, by_key.body) == (200, full.body)
    assert one.json()["predictions"][0] == full.json()["predictions"][0]
    assert many.json()["predictions"] == full.json()["predictions"] * 60
    assert application.counts.lookups == {("small", "found"): 10 + 540}
    assert {labels[2] for labels in application.counts.answers} == {"fast"}


def test_a_request_with_every_column_is_never_looked_up_with_its_key_or_without(trained: Any, tmp_path: Path) -> None:
    loop, path, stored = trained
    application = serve(stored, store=str(tmp_path / "nowhere"))
    full = offline(loop, path, questions(3), week(7))
    with_key = [{**row, "id": n} for n, row in enumerate(full)]

    plain, keyed = answer(application, records(full)), answer(application, records(with_key))

    assert (plain.status, keyed.status, keyed.body) == (200, 200, plain.body)
    assert not application.counts.lookups
    assert {labels[2] for labels in application.counts.answers} == {"fast"}


def test_a_column_spelled_with_escapes_is_read_as_any_other(trained: Any, tmp_path: Path) -> None:
    loop, path, stored = trained
    nowhere, application = serve(stored, store=str(tmp_path / "nowhere")), serve(stored)
    full = offline(loop, path, questions(3), week(7))
    plain = answer(application, records(full))

    escaped = records(full).replace(b"_24h", b"\\u005f24h").replace(b"o", b"\\u006f")
    escaped = escaped.replace(b"dataframe_rec\\u006frds", b"dataframe_records")
    answered = answer(nowhere, escaped)
    by_key = answer(application, records(questions(3)).replace(b"origin", b"\\u006frigin"))

    assert (answered.status, answered.body) == (200, plain.body)
    assert (by_key.status, by_key.body) == (200, plain.body)
    assert not nowhere.counts.lookups
    assert {labels[2] for labels in (nowhere.counts.answers | application.counts.answers)} == {"fast"}


def test_what_is_missing_is_a_gap_or_refused_as_the_operator_says_and_counted(trained: Any) -> None:
    loop, path, stored = trained
    unknown = [{**questions(1)[0], "origin": "nowhere"}]
    gaps, strict = serve(stored), serve(stored, missing="refuse")

    answered, refused = answer(gaps, records(unknown)), answer(strict, records(unknown))

    assert answered.body == answer(gaps, records(offline(loop, path, unknown, week(7)))).body
    assert gaps.counts.lookups == {("small", "missing"): 1}
    assert refused.status == 422
    assert refused.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "['asked_24h', 'busy_24h'] of id 100000 are missing" in refused.json()["message"]
    assert strict.counts.refused == {("question",): 1}
    assert answer(strict, records(questions(1))).status == 200


def test_what_is_stale_is_a_gap_or_refused_as_the_operator_says_and_counted(trained: Any) -> None:
    loop, path, stored = trained
    later = week(7) + timedelta(days=3)
    gaps, strict = serve(stored), serve(stored, stale="refuse", missing="refuse")

    answered, refused = answer(gaps, records(questions(2)), later), answer(strict, records(questions(2)), later)

    assert answered.body == answer(gaps, records(offline(loop, path, questions(2), later))).body
    assert gaps.counts.lookups == {("small", "stale"): 2}
    assert (refused.status, "are stale" in refused.json()["message"]) == (422, True)


def test_a_store_that_is_away_is_never_read_as_missing(trained: Any, tmp_path: Path) -> None:
    _, _, stored = trained
    strict = serve(stored, store=str(tmp_path / "nowhere"), missing="null")
    gaps = serve(stored, store=str(tmp_path / "nowhere"), unreachable="null")

    refused, answered = answer(strict, records(questions(1))), answer(gaps, records(questions(2)))

    assert (refused.status, dict(refused.headers)[b"retry-after"]) == (503, b"1")
    assert "cannot be reached" in refused.json()["message"]
    assert strict.counts.refused == {("features",): 1}
    assert answered.status == 200
    assert gaps.counts.lookups == {("small", "unreachable"): 2}


def test_what_a_question_brings_itself_is_no_gap_while_the_store_is_away(trained: Any, tmp_path: Path) -> None:
    _, _, stored = trained
    gaps = serve(stored, store=str(tmp_path / "nowhere"), unreachable="null")
    lost = dict.fromkeys(["loud", "busy_24h", "asked_24h"])
    known = [{name: row[name] for name in ("signal", "noise", "origin")} | lost for row in questions(2)]

    answered = answer(gaps, records(questions(2)))

    assert answered.body == answer(gaps, records(known)).body


def test_a_store_on_the_network_that_does_not_answer_in_time_keeps_nobody_waiting(trained: Any) -> None:
    _, _, stored = trained
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        strict, gaps = serve(stored, store=store), serve(stored, store=store, unreachable="null")

        refused, answered = answer(strict, records(questions(1))), answer(gaps, records(questions(1)))

    assert (refused.status, "it took longer than 0.05 s" in refused.json()["message"]) == (503, True)
    assert answered.status == 200
    assert gaps.counts.lookups == {("small", "late"): 1}


def test_a_question_about_the_past_of_the_store_is_refused(trained: Any) -> None:
    refused = answer(serve(trained[2]), records(questions(1)), week(6))

    assert refused.status == 503
    assert "the online store was written as of" in refused.json()["message"]


@pytest.mark.parametrize("moment", ["yesterday", "2021-04-19T00:00:00"])
def test_a_moment_without_a_zone_is_refused(trained: Any, moment: str) -> None:
    refused = answer(serve(trained[2]), records(questions(1)), moment)

    assert (refused.status, "x-incumbent-as-of" in refused.json()["message"]) == (422, True)


def test_an_answer_to_nobody_knows_which_question_waits_for_no_label(trained: Any) -> None:
    """A full request without its key is looked at for drift, and can never be labelled."""
    loop, path, _ = trained
    model, window = loop.model(path), Window(week(30), week(31))
    names = ["signal", "noise", "origin", "loud", "busy_24h", "asked_24h"]
    row = {"id": None, "as_of": week(30.5), "served_at": week(30.5), "prediction_id": "none.0.0", "prediction": 0.5,
           "model": "small", "version": 1, "epoch": 1, "variant": "champion", "origin": "server"}  # fmt: skip
    features = {f"feature.{name}": "east" if name == "origin" else 3 if name == "asked_24h" else 0.5 for name in names}
    frame = pl.DataFrame([{**row, **features}], schema_overrides={"id": pl.Int64, "feature.asked_24h": pl.UInt32})
    types = batch_types(model, loop.lake)
    frame = frame.with_columns(
        pl.col("as_of", "served_at").cast(pl.Datetime("us", "UTC")),
        *(pl.col(name).cast(dtype) for name, dtype in types.items()),
    )
    loop.lake.append("predictions/small", frame, batch="nobody", allow_new=frame.columns)

    assert predictions(loop, model, window).height == 1
    assert labelled_predictions(loop, model, window, week(32)).height == 0


def compacted(loop: Any, path: str, predictions: int) -> Counter[str]:
    """What was brought into the lake, once that many predictions were; segments are finished by their age."""
    found = Counter[str]()
    waiting = threading.Event()
    while found["predictions"] < predictions and not waiting.wait(0.05):
        facts = compact(loop, path, week(7)).facts
        found.update({name: facts[name] for name in ("predictions", "requests", "torn")})
    return +found


@pytest.mark.services
def test_what_a_server_completed_is_what_the_lake_computes_and_a_planted_skew_is_named_first(trained: Any) -> None:
    loop, path, _ = trained
    options = server_options(loop.settings, ["small"], Chosen(workers=1))
    as_of = week(7) + timedelta(minutes=30)
    headers = {"x-incumbent-as-of": iso(as_of)}
    asked = questions(40, first=200_000)
    wrong = [{**row, "id": 300_000 + n, "busy_24h": row["busy_24h"] + 0.25}
             for n, row in enumerate(offline(loop, path, questions(12), as_of))]  # fmt: skip

    options = msgspec.structs.replace(options, log=msgspec.structs.replace(options.log, roll_seconds=0.2))
    with server_process.running(options, loop.settings.folder / "server.log") as server:
        first = [server.post("/invocations", records([row]), headers)[0] for row in asked]
        told = compacted(loop, path, 40)
        same = parity(path, iso(as_of), NOW).facts
        second = server.post("/invocations", records(wrong), headers)[0]
        compacted(loop, path, 12)
    skewed = parity(path, iso(as_of), NOW).facts

    assert {*first, second} == {200}
    assert told == {"predictions": 40}
    rows = {row["feature"]: row for row in same["features"]}
    assert (same["rows"], same["skewed"]) == (40, [])
    assert (rows["busy_24h"]["checked"], rows["asked_24h"]["checked"]) == (40, 40)
    assert (skewed["rows"], skewed["skewed"]) == (52, ["busy_24h"])
    assert skewed["features"][0]["feature"] == "busy_24h"
    assert (skewed["features"][0]["differing"], skewed["features"][0]["checked"]) == (12, 52)
    assert skewed["features"][0]["largest"] == pytest.approx(0.25)
