"""Tables of values by key: replaced as a whole, in LMDB and in Redis alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import polars as pl
import pytest

from feature_store.errors import ColumnTypeError
from feature_store.online.errors import NoKeyedTableError
from feature_store.online.keyed_table import KeyedTable, replace_table
from feature_store.online.store import Changes, OnlineStore

TYPES = {"user": pl.String(), "item": pl.Int64()}


@pytest.fixture
def store(open_store: Callable[..., OnlineStore]) -> OnlineStore:
    return open_store()


def rows(value: bytes, count: int = 5) -> list[tuple[pl.DataFrame, list[bytes]]]:
    keys = pl.DataFrame({"user": ["ada", "bob", None, "ada", "eve"][:count], "item": [1, 1, 1, 2, -3][:count]})
    return [(keys, [value + str(n).encode() for n in range(count)])]


def test_values_are_read_by_their_whole_key_with_what_was_told_of_the_table(store: OnlineStore) -> None:
    replace_table(store, "scores", rows(b"a"), TYPES, {"version": 3})

    head, found = KeyedTable(store, "scores").read([
        {"user": "ada", "item": 2}, {"user": "eve", "item": -3}, {"user": "ada", "item": 9}, {"user": None, "item": 1},
    ])  # fmt: skip

    assert found == [b"a3", b"a4", None, None]
    assert (head.rows, head.types, head.facts) == (4, {"user": "String", "item": "Int64"}, {"version": 3})


def test_a_table_takes_the_place_of_the_one_before_and_nothing_of_that_is_left(store: OnlineStore) -> None:
    replace_table(store, "scores", rows(b"a"), TYPES, {})
    replace_table(store, "others", rows(b"o"), TYPES, {})
    table = KeyedTable(store, "scores")
    before = table.read([{"user": "ada", "item": 1}, {"user": "eve", "item": -3}])[1]

    replace_table(store, "scores", rows(b"b", count=2), {"user": pl.String(), "item": pl.Int64()}, {"version": 2})
    head, after = table.read([{"user": "ada", "item": 1}, {"user": "eve", "item": -3}])

    assert (before, after) == ([b"a0", b"a4"], [b"b0", None])
    assert head.facts == {"version": 2}
    assert len(list(store.scan(b"\x03"))) == 2 + 4
    assert KeyedTable(store, "others").read([{"user": "ada", "item": 1}])[1] == [b"o0"]


def test_a_table_that_was_never_written_is_no_empty_one(store: OnlineStore) -> None:
    with pytest.raises(NoKeyedTableError, match="holds no table 'scores'"):
        KeyedTable(store, "scores").head()
    with pytest.raises(NoKeyedTableError):
        KeyedTable(store, "scores").read([])


def test_what_a_killed_run_left_is_removed_by_the_next_and_was_never_read(store: OnlineStore) -> None:
    replace_table(store, "scores", rows(b"a"), TYPES, {})
    table = KeyedTable(store, "scores")

    def killed() -> object:
        yield rows(b"b")[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_table(store, "scores", killed(), TYPES, {})  # type: ignore[arg-type]
    still = table.read([{"user": "ada", "item": 1}])[1]
    left = len(list(store.scan(b"\x03")))
    replace_table(store, "scores", rows(b"c"), TYPES, {})

    assert (still, left) == ([b"a0"], 8)
    assert len(list(store.scan(b"\x03"))) == 4


def test_a_reader_sees_one_table_or_the_next_while_it_is_replaced(store: OnlineStore) -> None:
    replace_table(store, "scores", rows(b"0"), TYPES, {"turn": 0})
    ended = threading.Event()
    seen: list[tuple[int, list[bytes | None]]] = []

    def read() -> None:
        table = KeyedTable(store, "scores")
        while not ended.is_set():
            head, found = table.read([{"user": "ada", "item": 1}, {"user": "eve", "item": -3}])
            seen.append((head.facts["turn"], found))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1, 30):
        replace_table(store, "scores", rows(str(turn).encode()), TYPES, {"turn": turn})
    ended.set()
    reader.join()

    assert len({turn for turn, _ in seen}) > 1
    assert all(found == [b"%d0" % turn, b"%d4" % turn] for turn, found in seen)


class Overtaken:
    """A store in which, once a reader has made its keys, somebody replaces the table and another reader sees it."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self.meanwhile: Callable[[], object] | None = None

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self._store.get_many(keys)


def test_two_threads_that_share_a_reader_mix_no_two_tables(store: OnlineStore) -> None:
    replace_table(store, "scores", rows(b"a"), TYPES, {"version": 1})
    shared = Overtaken(store)
    table = KeyedTable(shared, "scores")  # type: ignore[arg-type]
    table.head()

    def overtake() -> None:
        replace_table(store, "scores", rows(b"b"), TYPES, {"version": 2})
        table.head()

    shared.meanwhile = overtake
    head, found = table.read([{"user": "ada", "item": 1}])

    assert (head.facts, found) == ({"version": 2}, [b"b0"])


def test_questions_follow_the_key_of_a_table_that_was_replaced(store: OnlineStore) -> None:
    replace_table(store, "scores", rows(b"a"), TYPES, {})
    table = KeyedTable(store, "scores")
    table.head()
    replace_table(store, "scores", [(pl.DataFrame({"day": [5]}), [b"c"])], {"day": pl.Int64()}, {})

    asked = {"user": "ada", "item": 1, "day": 5}
    found = table.answer(lambda head: [{name: asked[name] for name in head.types}])[1]

    assert found == [b"c"]
    with pytest.raises(ColumnTypeError):
        table.read([{"day": "monday"}])
    assert table.read([{"day": 5}])[1] == [b"c"]


def test_moments_are_keys_too(store: OnlineStore) -> None:
    moment = datetime(2021, 3, 1, 5, tzinfo=UTC)
    keys = pl.DataFrame({"at": [moment]}, schema={"at": pl.Datetime("us", "UTC")})
    replace_table(store, "by moment", [(keys, [b"1"])], {"at": pl.Datetime("us", "UTC")}, {})

    assert KeyedTable(store, "by moment").read([{"at": moment}])[1] == [b"1"]
    assert store.get_many([b"\x03"]) == [None]
    store.write(Changes())
