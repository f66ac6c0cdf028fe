"""DuckDB: ASOF joins, and prefix sums joined at both ends of a window; run by the Python of .venv-peers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb  # type: ignore[import-not-found]  # of .venv-peers

from benchmarks.asof_join_peers.question import ALL, COLUMNS, JOINS, WINDOWS

_SUMS = """
    create or replace temp table sums as
    select carrier, origin, event_time,
        sum(carrier_arr_delay) over own as total, row_number() over own as number
    from carrier window own as (partition by carrier, origin order by event_time)
"""


def prepared(folder: Path, questions: str) -> Callable[[], Any]:
    """What answers the questions of a file with 20 features, from tables of DuckDB's own."""
    assert questions == ALL
    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    for name in (ALL, *JOINS):
        database.execute(f"create table {name} as from read_parquet('{folder / name}.parquet')")
    return lambda: _features(database)


def _features(database: Any) -> Any:
    database.execute(_SUMS)
    return database.sql(
        f"select * from {_joined()} join {_windowed()} using (question) order by question"
    ).to_arrow_table()


def _joined() -> str:
    found = ALL
    for table, (keys, ttl) in JOINS.items():
        young = f"asked.as_of - newest.event_time <= interval {ttl} hour"
        values = ", ".join(
            f"case when {young} then newest.{table}_{column} end as {table}_{column}" for column in COLUMNS[table]
        )
        found = f"(select asked.*, {values} from {found} asked {_newest(table, keys, 0)})"
    return found


def _windowed() -> str:
    """The sums at the question, and with narrow rows those at each window's start."""
    found = f"""(select question, asked.carrier, asked.origin, as_of,
            coalesce(total, 0) as total, coalesce(number, 0) as number
        from {ALL} asked {_newest("sums", ["carrier", "origin"], 0)})"""
    for hours in WINDOWS:
        mean = "(asked.total - coalesce(newest.total, 0)) / nullif(asked.number - coalesce(newest.number, 0), 0)"
        found = f"""(select asked.*, {mean} as delay_{hours}h
            from {found} asked {_newest("sums", ["carrier", "origin"], hours)})"""
    return f"(select question, {', '.join(f'delay_{hours}h' for hours in WINDOWS)} from {found})"


def _newest(table: str, keys: list[str], hours: int) -> str:
    same = " and ".join(f"asked.{key} = newest.{key}" for key in keys)
    return f"asof left join {table} newest on {same} and asked.as_of - interval {hours} hour >= newest.event_time"
