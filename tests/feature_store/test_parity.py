"""Served against computed: bit by bit, and the same in pieces as in one."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.offline.parity import FeatureParity, compared, differs, merged, ranked

NOT_A_NUMBER = float("nan")


@pytest.mark.parametrize(
    ("served", "offline", "expected"),
    [
        (pl.Series([1.0, None, NOT_A_NUMBER, 0.0]), pl.Series([1.0, None, NOT_A_NUMBER, -0.0]), [0, 0, 0, 1]),
        (pl.Series([None, 1.0, NOT_A_NUMBER]), pl.Series([NOT_A_NUMBER, None, None]), [1, 1, 1]),
        (pl.Series([0.1 + 0.2]), pl.Series([0.3]), [1]),
        (pl.Series(["é", None, "a"]), pl.Series(["e\u0301", None, "a"]), [1, 0, 0]),
        (pl.Series([1.0, 2.5]), pl.Series([1, 2]), [0, 1]),
        (pl.Series([1.0, 0.0]), pl.Series([True, True]), [0, 1]),
        (pl.Series(["1", None]), pl.Series([1, None]), [1, 0]),
        (pl.Series([], dtype=pl.Float64), pl.Series([], dtype=pl.Int64), []),
        (pl.Series([0.1], dtype=pl.Float32), pl.Series([0.1], dtype=pl.Float64), [1]),
    ],
)
def test_cells_differ_bit_by_bit(served: pl.Series, offline: pl.Series, expected: list[int]) -> None:
    assert differs(served, offline).tolist() == [bool(one) for one in expected]


def parity_of(served: list[float | None], offline: list[float | None]) -> FeatureParity:
    columns = [pl.Series("x", values, dtype=pl.Float64) for values in (served, offline)]
    rows = pl.DataFrame({"id": range(len(served))}, schema={"id": pl.Int64})
    return compared(*columns, np.zeros(len(served), bool), rows)


cell = st.none() | st.sampled_from([0.0, -0.0, 1.5, NOT_A_NUMBER, math.inf]) | st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(cell, cell), max_size=30), st.integers(0, 30))
def test_pieces_make_the_same_as_the_whole(cells: list[tuple[float | None, float | None]], cut: int) -> None:
    whole = parity_of(*map(list, zip(*cells, strict=True))) if cells else parity_of([], [])
    parts = [parity_of([a for a, _ in part], [b for _, b in part]) for part in (cells[:cut], cells[cut:])]

    (found,) = merged([[part] for part in parts])

    assert (found.checked, found.differing, found.largest) == (whole.checked, whole.differing, whole.largest)
    assert len(found.examples) == len(whole.examples)
    assert found.mean == pytest.approx(whole.mean)
    assert found.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-6)


def test_more_differing_cells_come_first_and_then_the_larger_difference() -> None:
    few = FeatureParity("few", checked=10, differing=1, largest=100.0, count=10, squares=10.0)
    small = FeatureParity("small", checked=10, differing=5, largest=0.1, count=10, squares=10.0)
    large = FeatureParity("large", checked=10, differing=5, largest=1.0, count=10, squares=10.0)
    text = FeatureParity("text", checked=10, differing=5)

    assert [one.feature for one in ranked([few, text, small, large])] == ["large", "small", "text", "few"]
    assert large.deviations == 1.0
    assert FeatureParity("constant", checked=1, differing=1, largest=1.0, count=1).deviations is None


def test_late_cells_count_apart_and_make_no_example() -> None:
    late = np.array([True, False, True])

    found = compared(pl.Series("x", [1.0, 2.0, 3.0]), pl.Series([0.0, 0.0, 3.0]), late, pl.DataFrame({"id": [7, 8, 9]}))

    assert (found.differing, found.late, found.largest) == (1, 1, 2.0)
    assert [(one.question, one.served, one.offline) for one in found.examples] == [({"id": 8}, 2.0, 0.0)]
