"""How contenders are run and measured."""

from __future__ import annotations

import pytest

from benchmarks.contenders.apart import ContenderFailedError, run_apart
from benchmarks.contenders.meter import least_cost, peak_mb


def test_the_cheapest_round_counts_and_the_last_answer_is_kept():
    answers = iter(["first", "last"])

    cost, found = least_cost(lambda: next(answers), rounds=2)

    assert found == "last"
    assert cost["cpu_s"] >= 0


def test_the_peak_of_memory_holds_what_was_let_go_again():
    before = peak_mb()

    held = bytearray(b"x") * (200 << 20)
    del held

    assert peak_mb() >= max(before, 200)


def test_a_contender_that_fails_is_an_error_that_tells_what_it_said():
    with pytest.raises(ContenderFailedError, match=r"No module named benchmarks\.nothing"):
        run_apart("benchmarks.nothing")
