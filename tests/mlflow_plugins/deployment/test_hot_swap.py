"""A worker follows the ledger: what it takes up, what it refuses, and what it keeps when something is amiss."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager

import msgspec
import pytest
from asking import Request, ask, split
from reigns import Reigns
from small_models import flights

from mlflow_plugins.deployment.hot_swap import HotSwap
from mlflow_plugins.deployment.options import Rollout
from mlflow_plugins.deployment.worker import keep_out_of_collections

COLUMNS = list(flights().columns)
ROW = flights().dropna().head(1)
GOOD = Request(split(COLUMNS, ROW.to_numpy().tolist()))
READY = Request(b"", None, "/ready", "GET")
METRICS = Request(b"", None, "/metrics", "GET")


@pytest.fixture(scope="module")
def trained(embedded, tmp_path_factory):
    """Versions 1, 2 and 3 of one signature, 4 with a column fewer, 5 with one more, and 6 that was altered."""
    embedded.use()
    made = Reigns(embedded, tmp_path_factory.mktemp("reigns"))
    for trees in (3, 5, 7):
        made.register(trees)
    made.register(9, flights().drop(columns="dep hour"))
    made.register(9, flights().assign(seats=150.0))
    made.corrupt(made.register(11))
    return made


@pytest.fixture
def reigns(trained, tmp_path):
    """The same versions under a ledger of their own, in which version 1 reigns."""
    made = Reigns(trained.connection, tmp_path, trained.model, trained.pipelines, trained.digests)
    made.promote(1)
    return made


@asynccontextmanager
async def following(application, options, loaded=None):
    """A worker's application that follows, without a socket."""
    app = application()
    swap = HotSwap(app, options)
    await swap.begin(*([loaded] if loaded else []))
    task = asyncio.create_task(swap.follow())
    try:
        yield app
    finally:
        task.cancel()


async def until(app, holds, request=READY):
    """The answer, once it is as wanted."""
    async with asyncio.timeout(60):
        while True:
            answer = await ask(app, request)
            if holds(answer):
                return answer
            await asyncio.sleep(0.02)


def serves(version, epoch=None):
    def holds(answer):
        first = answer.json()["models"][0]
        return first["version"] == str(version) and epoch in (None, first["epoch"])

    return holds


def tells(part):
    return lambda answer: any(part in problem for problem in answer.json()["problems"])


def test_a_promotion_is_answered_with_and_the_version_before_stays_at_hand(application, reigns):
    async def scene():
        async with following(application, reigns.options(1, 1)) as app:
            before = await ask(app, GOOD)
            reigns.promote(2)
            await until(app, serves(2, 2))
            old = Request(GOOD.body, path=f"/models/{reigns.model}/versions/1/invocations")
            return before, await ask(app, GOOD), await ask(app, old), (await ask(app, METRICS)).body.decode()

    before, after, old, metrics = asyncio.run(scene())

    assert (before.ours["x-incumbent-version"], before.ours["x-incumbent-epoch"]) == ("1", "1")
    assert (after.ours["x-incumbent-version"], after.ours["x-incumbent-epoch"]) == ("2", "2")
    assert after.ours["x-incumbent-variant"] == "champion"
    assert before.json()["predictions"] == reigns.predictions(1, ROW) != after.json()["predictions"]
    assert after.json()["predictions"] == reigns.predictions(2, ROW)
    assert old.body == before.body
    assert f'incumbent_swaps_total{{model="{reigns.model}",outcome="published"}} 1.0' in metrics
    assert f'incumbent_ledger_epoch{{model="{reigns.model}"}} 2.0' in metrics


def test_a_worker_that_starts_late_begins_with_what_the_ledger_says_by_now(application, reigns):
    reigns.promote(3)

    async def scene():
        async with following(application, reigns.options(1, 1)) as app:
            return await ask(app, GOOD)

    assert asyncio.run(scene()).ours["x-incumbent-version"] == "3"


def test_an_altered_version_is_not_taken_up_and_the_next_epoch_is(application, reigns):
    async def scene():
        async with following(application, reigns.options(1, 1)) as app:
            reigns.promote(6)
            told = await until(app, tells("model.skops"))
            meanwhile, metrics = await ask(app, GOOD), (await ask(app, METRICS)).body.decode()
            reigns.promote(2)
            return told, meanwhile, metrics, await until(app, serves(2, 3))

    told, meanwhile, metrics, healed = asyncio.run(scene())

    assert told.status == 200
    assert told.json()["problems"][0].startswith(f"The champion of {reigns.model} stays as it is. ")
    assert meanwhile.ours["x-incumbent-version"] == "1"
    assert f'incumbent_swaps_total{{model="{reigns.model}",outcome="failed"}} 1.0' in metrics
    assert healed.json()["problems"] == []


def test_a_rollback_needs_no_load(application, reigns):
    async def scene():
        async with following(application, reigns.options(1, 1)) as app:
            first = weakref.ref(app.routes.default.mlflow)
            reigns.promote(2)
            await until(app, serves(2, 2))
            reigns.promote(1)
            await until(app, serves(1, 3))
            return first() is app.routes.default.mlflow

    assert asyncio.run(scene())


def test_only_the_last_of_several_promotions_during_a_load_is_published(application, reigns):
    seen = []

    async def scene():
        async with following(application, reigns.options(1, 1)) as app:
            reigns.promote(2)
            await until(app, lambda answer: f'epoch{{model="{reigns.model}"}} 2.0' in answer.body.decode(), METRICS)
            assert app.routes.default.epoch == 1  # it is being loaded
            reigns.promote(3)
            reigns.promote(1)
            async with asyncio.timeout(60):
                while app.routes.default.epoch != 4:
                    seen.append(app.routes.default.version)
                    await asyncio.sleep(0.005)
            seen.append(app.routes.default.version)

    asyncio.run(scene())

    assert set(seen) == {1}


def test_an_older_epoch_is_refused(application, reigns, tmp_path):
    reigns.promote(2)
    behind = Reigns(reigns.connection, tmp_path / "copy", reigns.model, reigns.pipelines, reigns.digests)
    behind.promote(1)
    options = reigns.options(2, 2)
    there = msgspec.structs.replace(options.following, ledger_url=behind.ledger_url)

    async def scene():
        async with following(application, msgspec.structs.replace(options, following=there)) as app:
            return await until(app, tells("a ledger never goes back")), await ask(app, GOOD)

    told, answer = asyncio.run(scene())

    assert told.json()["problems"] == [
        f"The champion of {reigns.model} stays as it is. The ledger says epoch 1 of '{reigns.model}', and epoch 2 is "
        f"served: a ledger never goes back. It was restored from a copy, or it is another one. Look at [ledger] url, "
        f"and promote again."
    ]
    assert answer.ours["x-incumbent-version"] == "2"


def test_a_version_that_asks_for_more_is_refused_unless_the_operator_says_otherwise(application, reigns):
    options = reigns.options(1, 1)
    lenient = msgspec.structs.replace(options, following=msgspec.structs.replace(options.following, any_signature=True))

    async def strict_scene():
        async with following(application, options) as app:
            reigns.promote(5)
            told = await until(app, tells("fit the clients"))
            return told, await ask(app, GOOD)

    async def lenient_scene():
        async with following(application, lenient) as app:
            return await ask(app, READY)

    told, answer = asyncio.run(strict_scene())

    assert told.json()["problems"] == [
        f"The champion of {reigns.model} stays as it is. Version 5 of '{reigns.model}' does not fit the clients of the "
        f"one that is served: it needs a column 'seats', which clients do not send. Change the clients first; then "
        f"start the server anew, or set [serving] any_signature = true."
    ]
    assert answer.ours["x-incumbent-version"] == "1"
    assert serves(5, 2)(asyncio.run(lenient_scene()))


def test_a_version_that_asks_for_less_is_taken_up_and_so_is_the_one_before_it_afterwards(application, reigns):
    async def scene():
        async with following(application, reigns.options(1, 1)) as app:
            reigns.promote(4)
            await until(app, serves(4, 2))
            fewer = await ask(app, GOOD)
            reigns.promote(2)
            await until(app, serves(2, 3))
            reigns.promote(1)
            return fewer, await until(app, serves(1, 4))

    fewer, _ = asyncio.run(scene())

    assert (fewer.status, fewer.ours["x-incumbent-version"]) == (200, "4")


def test_a_ledger_that_is_away_changes_nothing_and_is_told_of(application, reigns, tmp_path):
    away = tmp_path / "not" / "yet"
    options = reigns.options(1, 1)
    there = msgspec.structs.replace(options.following, ledger_url=f"sqlite:///{away / 'ledger.db'}")

    async def scene():
        async with following(application, msgspec.structs.replace(options, following=there)) as app:
            told, meanwhile = await until(app, tells("did not answer")), await ask(app, GOOD)
            back = Reigns(reigns.connection, away, reigns.model, reigns.pipelines, reigns.digests)
            back.promote(1)
            back.promote(2)
            return told, meanwhile, await until(app, serves(2, 2))

    told, meanwhile, back = asyncio.run(scene())

    assert (told.status, meanwhile.ours["x-incumbent-version"]) == (200, "1")
    assert back.json()["problems"] == []


@pytest.mark.services
def test_a_challenger_is_tried_in_a_clean_process_before_it_is_promoted(application, reigns, tmp_path):
    options = reigns.options(1, 1)
    stored = msgspec.structs.replace(options.models[0], trials=str(tmp_path / "trials"))

    async def scene():
        async with following(application, msgspec.structs.replace(options, models=(stored,))) as app:
            reigns.challenge(3)
            async with asyncio.timeout(120):
                while len(_passed(tmp_path)) < 2:
                    await asyncio.sleep(0.05)
            version = app.routes.default.version
            reigns.promote(3)
            await until(app, serves(3, 2))
            return version

    assert asyncio.run(scene()) == 1
    assert len(_passed(tmp_path)) == 2


def _passed(folder):
    return [path for path in (folder / "trials").iterdir() if path.suffix != ".lock"]


def test_versions_that_went_by_are_freed_the_first_too_which_no_collection_looks_at(application, reigns):
    looked_at = []

    def loaded():
        keep_out_of_collections()
        looked_at.append(len(gc.get_objects()))

    async def scene():
        async with following(application, reigns.options(1, 1), loaded) as app:
            refs = [weakref.ref(app.routes.default.mlflow.pyfunc)]
            for epoch, version in enumerate((2, 3, 4, 2, 3), start=2):
                reigns.promote(version)
                await until(app, serves(version, epoch))
                refs.append(weakref.ref(app.routes.default.mlflow.pyfunc))
            async with asyncio.timeout(30):
                while sum(ref() is not None for ref in refs) > 2:
                    await asyncio.sleep(0.05)
            return [ref() is not None for ref in refs]

    try:
        alive = asyncio.run(scene())
    finally:
        gc.unfreeze()

    assert alive == [False] * 4 + [True] * 2
    assert looked_at[0] < 1_000


def test_no_request_is_let_in_before_all_is_loaded(application, reigns):
    async def scene():
        app = application()
        swap = HotSwap(app, reigns.options(1, 1))
        let_in = []
        await swap.begin(lambda: let_in.append(bool(app.routes.all())))
        return let_in, bool(app.routes.all())

    assert asyncio.run(scene()) == ([False], True)


def test_the_challenger_behind_the_alias_takes_its_share_until_it_is_champion(application, reigns):
    rollout = Rollout(canary=0.5, salt="test")
    asked = [Request(GOOD.body, headers=((b"x-incumbent-unit", b"unit %d" % number),)) for number in range(40)]

    async def scene():
        reigns.challenge(2)
        async with following(application, reigns.options(1, 1, rollout=rollout)) as app:
            first = [await ask(app, request) for request in asked]
            again = [await ask(app, request) for request in asked]
            reigns.promote(2)
            await until(app, serves(2, 2))
            return first, again, [await ask(app, request) for request in asked]

    first, again, after = asyncio.run(scene())

    versions = [answer.ours["x-incumbent-version"] for answer in first]
    assert set(versions) == {"1", "2"}
    assert versions == [answer.ours["x-incumbent-version"] for answer in again]
    for answer in first:
        version = int(answer.ours["x-incumbent-version"])
        assert answer.ours["x-incumbent-variant"] == {1: "champion", 2: "challenger"}[version]
        assert answer.json()["predictions"] == reigns.predictions(version, ROW)
    assert {answer.ours["x-incumbent-version"] for answer in after} == {"2"}
