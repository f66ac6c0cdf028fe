"""The stores that the online benchmarks read and write answer what was written, ours and those by hand alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import materialize, online_read
from benchmarks.contenders.local_redis import local_redis
from benchmarks.contenders.meter import call_cost
from benchmarks.online_peers import by_incumbent, by_raw, materializing
from benchmarks.online_peers.measure import WrongAnswerError, check
from benchmarks.online_peers.question import SIZES, WRITTEN, calls, values
from benchmarks.online_peers.stores import window_views, write_latest, write_windows
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.redis_store import RedisStore

KEYS, FEW = 40, 4
EVERYBODY = [{"entity": entity} for entity in range(KEYS)]


def test_ours_and_by_hand_read_what_was_written_from_lmdb_and_redis(tmp_path: Path):
    with local_redis() as url:
        store = LmdbStore(tmp_path / "online")
        write_latest(KEYS, tmp_path, [store, RedisStore(url)])
        store.close()

        for engine in (by_raw, by_incumbent):
            for kind in ("lmdb", "redis"):
                check(EVERYBODY, getattr(engine, kind)(tmp_path, url, KEYS)(EVERYBODY))


def test_at_the_full_hour_windows_are_the_tiles_summed_by_hand(tmp_path: Path):
    store = LmdbStore(tmp_path / "online")
    length = write_windows(KEYS, FEW, tmp_path, store)
    by_raw.write_tiles(KEYS, FEW, tmp_path, length)

    ours = by_incumbent.answering(window_views(), store, WRITTEN)(EVERYBODY)
    by_hand = by_raw.windows_lmdb(tmp_path, "", KEYS)(EVERYBODY)
    store.close()

    assert ours == by_hand
    assert {type(one) for one in ours[0]} == {float, int}
    assert len(set(ours)) == FEW


def test_an_answer_that_is_not_what_was_written_stops_the_benchmark():
    with pytest.raises(WrongAnswerError, match="nothing was measured"):
        check([{"entity": 1}], [values(2)])


def test_a_million_keys_are_asked_for_at_random_and_the_same_in_every_process():
    asked = calls(100, 1_000_000, 3)

    assert [len(one) for one in asked] == [100, 100, 100]
    assert asked == calls(100, 1_000_000, 3)
    assert len({one["entity"] for call in asked for one in call}) > 290


def test_a_call_has_a_cost_and_a_tail():
    cost = call_cost(lambda one: sum(range(one)), [1000] * 50, seconds=0.01, rounds=2)

    assert set(cost) == {"cpu_us", "p99_us"}
    assert cost["p99_us"] > 0


def test_the_result_of_reading_has_every_figure_by_size_and_contender():
    costs = {name: {str(size): {"cpu_us": 2.0, "p99_us": 9.0} for size in SIZES} for name in online_read.CONTENDERS}

    found = online_read.result(costs)

    assert set(found["cpu_us"]["100"]) == set(found["p99_us"]["1"]) == set(online_read.CONTENDERS)
    assert found["ratios"]["1"]["incumbent_lmdb / raw_lmdb"] == 1.0


def test_both_writers_write_every_entity_and_a_reader_beside_loses_no_read(tmp_path: Path):
    write_latest(KEYS, tmp_path, [])
    for contender in ("incumbent", "raw"):
        materializing.CONTENDERS[contender](tmp_path)()
    LmdbStore(tmp_path / "online").close()

    beside = materialize.read_beside(tmp_path, KEYS)

    check(EVERYBODY, by_incumbent.lmdb(tmp_path, "", KEYS)(EVERYBODY))
    assert beside["reads"] > 0
    assert beside["lost"] == 0


def test_a_reader_that_fails_is_no_reader(tmp_path: Path):
    write_latest(KEYS, tmp_path, [])

    with pytest.raises(subprocess.CalledProcessError, match=str(sys.executable)):
        materialize.read_beside(tmp_path, KEYS)


def test_the_result_of_writing_has_the_ratios():
    cost = {"cpu_s": 1.0, "entities": 1_000_000, "peak_mb": 9.0}

    found = materialize.told({"incumbent": cost, "raw": cost, "feast": {**cost, "start_up_cpu_s": 0.5, "cpu_s": 40.0}})

    assert (found["incumbent_to_raw"], found["feast_to_incumbent"]) == (1.0, 40.0)
    assert found["cpu_us_an_entity"]["feast"] == 40.0
