"""The future cannot change the past: what is decided depends on what was known then, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from walking import LIMIT, ROOT, Walk

pytestmark = pytest.mark.timeout(LIMIT)

EXAMPLE = ROOT / "examples" / "flights"
WALK = ("2013-03-01T00:00:00Z", "2013-03-22T00:00:00Z")


def test_deleting_a_future_month_changes_no_earlier_record(tmp_path: Path) -> None:
    whole = Walk(tmp_path / "whole", model_without(tmp_path / "a", "nothing", "pl.lit(False)"), *WALK)
    cut = Walk(tmp_path / "cut", model_without(tmp_path / "b", "april", APRIL), *WALK)

    whole.finish()
    cut.finish()

    assert len(whole.records()) >= 4
    assert cut.records() == whole.records()


def test_deleting_a_past_week_does_change_the_records(tmp_path: Path) -> None:
    """The control: the comparison above would notice."""
    until = ("2013-03-01T00:00:00Z", "2013-03-08T00:00:00Z")
    whole = Walk(tmp_path / "whole", model_without(tmp_path / "a", "nothing_more", "pl.lit(False)"), *until)
    cut = Walk(tmp_path / "cut", model_without(tmp_path / "b", "february", FEBRUARY), *until)

    whole.finish()
    cut.finish()

    assert cut.records() != whole.records()


APRIL = "pl.first().dt.month() == 4"
FEBRUARY = "(pl.first().dt.month() == 2) & (pl.first().dt.day() > 20)"


def model_without(folder: Path, name: str, dropped: str) -> Path:
    """The flights example, reading the same package without some of its rows, and one airport of it to be quick."""
    folder.mkdir()
    reading = (EXAMPLE / "flights_data.py").read_text()
    reading += f"""

def _without(read, time):
    def cut():
        frame = read()
        moments = frame.select(time)
        frame = frame.filter(~moments.select({dropped}).to_series())
        return frame.filter(pl.col("origin") == "JFK")
    return cut


read_flights = _without(read_flights, "scheduled_departure")
read_weather = _without(read_weather, "observed_at")
"""
    (folder / f"flights_without_{name}.py").write_text(reading)
    model = (EXAMPLE / "model.py").read_text().replace("from flights_data", f"from flights_without_{name}")
    (folder / "model.py").write_text(model)
    return folder
