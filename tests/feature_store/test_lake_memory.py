"""How much of a table a lake keeps in memory, and how much a read takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from feature_store.errors import TableDamagedError
from feature_store.storage.lake import Lake, Limits

ROWS = pl.DataFrame({"a": list(range(1000)), "b": [f"row {number}" for number in range(1000)]})


def held(lake: Lake) -> set[str]:
    return {name for name, one in lake._held.items() if one.rows is not None}


def test_a_table_below_the_bound_is_kept_and_one_above_it_is_not(tmp_path: Path) -> None:
    for bound, kept in ((1_000_000, {"t"}), (1_000, set())):
        lake = Lake(tmp_path, limits=Limits(hold_bytes=bound))
        lake.append("t", ROWS, batch="1")
        lake.append("t", ROWS, batch="2")
        assert lake.read("t").height == 2000
        assert lake.read("t", ["a"]).columns == ["a"]
        assert held(lake) == kept


def test_of_two_tables_that_do_not_fit_together_the_one_used_last_is_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path, limits=Limits(hold_bytes=12_000))
    numbers = ROWS.select("a")
    for name in ("t", "u"):
        lake.append(name, numbers, batch="1")
        assert held(lake) == {name}
    assert lake.read("t").sort("a").equals(numbers)
    assert held(lake) == {"t"}


def test_a_scan_shows_the_table_as_it_was_when_it_was_asked_for(tmp_path: Path) -> None:
    for bound in (1_000_000, 1_000):
        lake = Lake(tmp_path / str(bound), limits=Limits(hold_bytes=bound))
        lake.append("t", ROWS, batch="1")
        before = lake.scan("t", ["a"])
        lake.append("t", ROWS, batch="2")
        assert before.collect().height == 1000
        assert lake.scan("t").collect().height == 2000
        assert lake.at({"t": 0}).scan("t").collect().equals(ROWS)
        assert (lake.height("t"), lake.schema("t")) == (2000, dict(ROWS.schema))


def test_what_goes_wrong_when_a_scan_is_collected_is_one_of_our_errors(tmp_path: Path) -> None:
    lake = Lake(tmp_path, limits=Limits(hold_bytes=0))
    lake.append("t", ROWS, batch="1")
    rows = lake.scan("t")
    next((tmp_path / "t").glob("*.parquet")).unlink()

    with pytest.raises(TableDamagedError, match=r"part-.*\.parquet is missing"), lake.reading("t"):
        rows.collect()


MEASURED = """
import json, re
from pathlib import Path
import polars as pl
from feature_store.storage.lake import Lake, Limits
lake = Lake({root!r}, limits=Limits(hold_bytes={hold}))
lake.exists("t")
pl.DataFrame({{"x": [1.0]}}).lazy().select(pl.col("x").sum()).collect()
def peak():  # not ru_maxrss: it counts the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
before = peak()
total = {read}
print(json.dumps({{"grew_mb": (peak() - before) / 1024, "total": total}}))
"""


def measured(root: Path, hold: int, read: str) -> dict[str, float]:
    script = MEASURED.format(root=str(root), hold=hold, read=read)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_reading_one_column_of_a_large_table_takes_the_memory_of_one_column(tmp_path: Path) -> None:
    lake = Lake(tmp_path, limits=Limits(hold_bytes=0))
    rows = 500_000
    for number in range(8):
        wide = {f"f{column}": pl.int_range(rows, eager=True).cast(pl.Float64) * (column + 0.1) for column in range(12)}
        lake.append("t", pl.DataFrame({"n": pl.int_range(number * rows, (number + 1) * rows, eager=True), **wide}),
                    batch=str(number))  # fmt: skip
    count, whole_mb = 8 * rows, 8 * rows * 13 * 8 / 2**20
    expected = count * (count - 1) // 2

    one = measured(tmp_path, 64 << 20, 'int(lake.read("t", ["n"])["n"].sum())')
    lazy = measured(
        tmp_path, 64 << 20, 'int(lake.scan("t").select(pl.col("n").sum()).collect(engine="streaming").item())'
    )
    whole = measured(tmp_path, 2 << 30, 'int(lake.read("t", ["n"])["n"].sum())')

    assert one["total"] == lazy["total"] == whole["total"] == expected
    assert whole["grew_mb"] > 0.9 * whole_mb, "a table below the bound is kept whole, so this measures something"
    assert one["grew_mb"] < 0.5 * whole_mb
    assert lazy["grew_mb"] < 0.5 * whole_mb
