"""What every online store promises, tried on each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from feature_store.online.errors import (
    ReadOnlyStoreError,
    StoreFullError,
    StoreLockedError,
    StoreUnreachableError,
    StoreVersionError,
)
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.redis_store import RedisStore
from feature_store.online.store import FORMAT_KEY, Changes

KEYS = [b"\x01view" + bytes([one]) * 3 for one in range(256)]


def test_records_come_back_in_the_order_of_the_keys_and_none_for_what_is_not_there(open_store) -> None:
    store = open_store()

    store.write(Changes(put=[(key, key * 2) for key in reversed(KEYS)]))

    assert store.get_many([KEYS[7], b"nowhere", KEYS[255], KEYS[7]]) == [KEYS[7] * 2, None, KEYS[255] * 2, KEYS[7] * 2]
    assert store.get_many([]) == []


def test_a_batch_puts_replaces_and_deletes(open_store) -> None:
    store = open_store()
    store.write(Changes(put=[(b"\x01a", b"1"), (b"\x01b", b"1")]))

    store.write(Changes(put=[(b"\x01b", b"22"), (b"\x01c", b"")], delete=[b"\x01a", b"\x01never"]))

    assert store.get_many([b"\x01a", b"\x01b", b"\x01c"]) == [None, b"22", b""]


def test_a_scan_finds_every_record_that_begins_and_ends_so_whatever_bytes_it_has(open_store) -> None:
    store = open_store()
    odd = [b"\x01*[a-z]?\\", b"\x01*[a-z]?\\more", b"\x01b"]
    store.write(Changes(put=[(key, b"x") for key in [*KEYS, *odd]]))

    assert sorted(store.scan(b"\x01view")) == [(key, b"x") for key in KEYS]
    assert sorted(store.scan(b"\x01*[a-z]?\\")) == [(key, b"x") for key in odd[:2]]
    assert sorted(store.scan(b"\x01", b"?\\")) == [(odd[0], b"x")]
    assert sorted(store.scan(b"\x01*", b"?\\more")) == [(odd[1], b"x")]
    assert list(store.scan(b"\x01nothing")) == []
    assert list(store.scan(b"\x01b", b"nothing")) == []


def test_what_one_writes_another_reads_at_once(open_store) -> None:
    writer, reader = open_store(), open_store(readonly=True)

    writer.write(Changes(put=[(b"\x01a", b"1")]))

    assert reader.get_many([b"\x01a"]) == [b"1"]


def test_a_store_for_reading_refuses_to_write(open_store) -> None:
    open_store()
    reader = open_store(readonly=True)

    with pytest.raises(ReadOnlyStoreError, match="was opened for reading only"):
        reader.write(Changes(put=[(b"\x01a", b"1")]))
    with pytest.raises(ReadOnlyStoreError, match="was opened for reading only"), reader.writing():
        pass


def test_a_second_writer_waits_and_then_says_who_is_in_the_way(open_store) -> None:
    first, second = open_store(), open_store(patience=0.05)

    with (
        first.writing(),
        pytest.raises(StoreLockedError, match=r"held by another writer for 0\.05 s"),
        second.writing(),
    ):
        pass

    with second.writing():
        pass


def test_records_of_another_version_are_refused(open_store) -> None:
    open_store().write(Changes(put=[(FORMAT_KEY, b"999")]))

    with pytest.raises(StoreVersionError, match="has format 999, and this version reads 3"):
        open_store()


def test_a_server_that_does_not_answer_is_an_error_of_its_own_and_keeps_the_password() -> None:
    with pytest.raises(StoreUnreachableError, match=r"RedisStore\('redis://127.0.0.1:1/0'\) cannot be reached"):
        RedisStore("redis://:secret@127.0.0.1:1/0")


def test_a_server_that_goes_away_never_reads_as_missing(mortal_redis) -> None:
    url, server = mortal_redis
    store = RedisStore(url, timeout=0.2)
    server.kill()
    server.wait()

    with pytest.raises(StoreUnreachableError, match="nothing was read as missing"):
        store.get_many([b"\x01a"])
    with pytest.raises(StoreUnreachableError):
        store.write(Changes(put=[(b"\x01a", b"1")]))


def test_a_redis_without_memory_is_full(redis_url: str) -> None:
    store = RedisStore(redis_url, name="full")
    store._client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreFullError, match="has no room"):
            store.write(Changes(put=[(b"\x01a", b"1" * 100)]))
    finally:
        store._client.config_set("maxmemory", 0)


def test_a_file_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="there is no such file"):
        LmdbStore(tmp_path / "nowhere", readonly=True)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no LMDB file" * 1000)

    with pytest.raises(StoreVersionError, match="has format"):
        LmdbStore(tmp_path)


def test_the_map_grows_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_store.online.lmdb_store._FIRST_MAP", 1 << 16)
    store = LmdbStore(tmp_path)

    store.write(Changes(put=[(key, key * 300) for key in KEYS]))

    assert store.get_many(KEYS) == [key * 300 for key in KEYS]
    store.close()


def test_a_limit_is_kept_and_what_was_there_is_whole(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, limit=1 << 17)
    store.write(Changes(put=[(b"\x01a", b"1")]))

    with pytest.raises(StoreFullError, match="its limit of 131072 bytes is reached"):
        store.write(Changes(put=[(key, key * 500) for key in KEYS]))

    assert store.get_many([b"\x01a", KEYS[0]]) == [b"1", None]
    store.close()


IN_ANOTHER = """
import resource, sys
from feature_store.online import lmdb_store
from feature_store.online.errors import StoreFullError
from feature_store.online.store import Changes
store = lmdb_store.LmdbStore(sys.argv[1])
{body}
"""


def in_another_process(path: Path, body: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER.format(body=body), str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_an_error_of_its_own_and_loses_nothing(tmp_path: Path) -> None:
    body = """
store.write(Changes(put=[(b"\\x01a", b"1")]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.write(Changes(put=[(b"\\x01%d" % number, b"x" * 1000) for number in range(1000)]))
except StoreFullError as error:
    print(error)
"""

    told = in_another_process(tmp_path, body)

    assert "has no room" in told
    store = LmdbStore(tmp_path)
    assert store.get_many([b"\x01a", b"\x010"]) == [b"1", None]
    store.close()


def test_a_reader_follows_when_another_process_has_made_the_map_larger(tmp_path: Path) -> None:
    reader = LmdbStore(tmp_path)
    reader._file.resize(1 << 20)
    body = "store.write(Changes(put=[(b'\\x01%d' % number, b'x' * 1000) for number in range(5000)]))"

    in_another_process(tmp_path, body)

    assert reader.get_many([b"\x014999"]) == [b"x" * 1000]
    reader.close()


def test_the_file_opens_for_several_stores_of_one_process(tmp_path: Path) -> None:
    first, second = LmdbStore(tmp_path), LmdbStore(tmp_path)

    first.close()

    assert second.get_many([b"\x01a"]) == [None]
    second.close()
    with pytest.raises((lmdb.Error, StoreUnreachableError)):
        second.get_many([b"\x01a"])
