"""What the benchmark of joins compares gives the same answers, and it would tell if it did not."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks.asof_join import mismatches
from benchmarks.asof_join_peers import by_incumbent, by_pandas, by_polars, flights, scale
from benchmarks.asof_join_peers.measure_scale import ENGINES, total
from benchmarks.asof_join_peers.question import ALL, FEW
from feature_store.storage.lake import Lake

ONE_OF = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some flights, and the answers of three engines."""
    found = tmp_path_factory.mktemp("asof")
    flights.write(found, every=ONE_OF)
    by_incumbent.ingest(found)
    by_pandas.prepared(found, ALL)().to_parquet(found / f"pandas-{ALL}.parquet")
    by_polars.prepared(found, ALL)().write_parquet(found / f"polars-{ALL}.parquet")
    for questions in (ALL, FEW):
        by_incumbent.prepared(found, questions)().write_parquet(found / f"incumbent-{questions}.parquet")
    return found


@pytest.mark.parametrize(("engine", "questions"), [("incumbent", ALL), ("incumbent", FEW), ("polars", ALL)])
def test_no_cell_differs_from_those_of_pandas(folder: Path, engine: str, questions: str):
    assert mismatches(folder, engine, questions) == 0


def test_a_changed_and_a_missing_cell_and_a_lost_question_are_counted(folder: Path):
    right = pl.read_parquet(folder / f"incumbent-{ALL}.parquet")
    first = pl.int_range(pl.len()) == 0
    changed = right.with_columns(
        carrier_distance=pl.when(first).then(-1.0).otherwise("carrier_distance"),
        delay_24h=pl.col("delay_24h") * (1 + 1e-12),
        weather_temp=pl.when(first).then(None).otherwise("weather_temp"),
    )

    changed.write_parquet(folder / f"changed-{ALL}.parquet")
    right[1:].write_parquet(folder / f"lost-{ALL}.parquet")

    assert mismatches(folder, "changed", ALL) == 2
    assert mismatches(folder, "lost", ALL) == 20 * right.height


def test_the_many_rows_have_the_answers_of_polars_in_whatever_parts(tmp_path: Path):
    scale.ingest(tmp_path, rows=500, entities=20)
    spine = scale.asked(400, entities=20)

    ours, theirs = (total(ENGINES[name](Lake(tmp_path / "lake"), spine)) for name in ("incumbent", "polars"))

    assert scale.differing(ours, theirs) == 0
    assert 0 < ours["view0_v0"][0] < spine.height
    assert scale.differing(ours, theirs | {"view0_v0": [1.0, 1.0]}) == 1
