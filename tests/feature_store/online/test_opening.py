"""An address names a store: a folder, or a Redis server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from feature_store.online.errors import ReadOnlyStoreError, StoreAddressError, StoreUnreachableError
from feature_store.online.opening import open_store
from feature_store.online.store import Changes


def test_a_folder_and_a_redis_address_open_stores_that_take_and_give(tmp_path: Path, redis_url: str) -> None:
    name = uuid4().hex
    for address in (str(tmp_path / "online"), redis_url):
        writer = open_store(address, name=name)
        writer.write(Changes(put=[(b"\x01a", b"1")]))
        reader = open_store(address, readonly=True, name=name)

        assert reader.get_many([b"\x01a"]) == [b"1"]
        with pytest.raises(ReadOnlyStoreError):
            reader.write(Changes())

        reader.close()
        writer.close()


def test_stores_of_two_names_share_a_server_and_nothing_else(redis_url: str) -> None:
    one, other = (open_store(redis_url, name=uuid4().hex) for _ in range(2))

    one.write(Changes(put=[(b"\x01a", b"1")]))

    assert other.get_many([b"\x01a"]) == [None]


def test_an_address_of_another_scheme_is_refused_without_telling_its_password() -> None:
    with pytest.raises(StoreAddressError, match="begins with memcached://, which is no store") as refused:
        open_store("memcached://:secret@host:11211")

    assert "secret" not in str(refused.value)


def test_a_folder_in_which_nothing_was_written_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="there is no such file"):
        open_store(str(tmp_path / "online"), readonly=True)

    assert not (tmp_path / "online").exists()


def test_a_folder_is_opened_without_the_library_of_redis(tmp_path: Path) -> None:
    code = (
        "import sys; from feature_store.online.opening import open_store; "
        f"open_store({str(tmp_path)!r}); sys.exit('redis' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
