"""A specification comes back from its text, without the file that it was written in."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from polars import col

from feature_store.definitions.expectations import within
from feature_store.definitions.feature_view import derived, latest, recency, request, window
from feature_store.definitions.source import ALL, INGESTED, Source, after, before
from feature_store.definitions.spec_text import spec_digest, spec_text, view_version
from feature_store.definitions.spine import each, every, seen
from feature_store.errors import SpecNotReadableError
from feature_store.offline.labels import Label, ahead
from feature_store.offline.spec_reading import read_spec

FLIGHTS = Source(
    "flights",
    read=lambda: None,
    key=["departure", "carrier"],
    event_time="departure",
    available_at=before("departure", "1d"),
    later={"landed_at": ["arr_delay"]},
    derive={"late": col("arr_delay") >= 15},
    entity="carrier",
    expect=[within("arr_delay", -120, None, otherwise="null")],
    optional="gate",
)
ORDERS = Source(
    "orders",
    read=lambda: None,
    key=ALL,
    event_time="at",
    available_at=INGESTED,
    entity=["shop", "customer"],
    tz="Europe/London",
    keep=col("customer").is_not_null(),
)
PLANES = Source("planes", read=lambda: None, key="tailnum", entity="tailnum", timeless=True)
BOUGHT = ORDERS.where(~col("returned"))


@pytest.mark.parametrize(
    "part",
    [
        FLIGHTS,
        ORDERS,
        PLANES,
        BOUGHT,
        each(FLIGHTS, as_of=before("departure", "2h")),
        every("mon 06:00", seen(BOUGHT, within="180d"), tz="Europe/London"),
        every("06:30", seen(ORDERS, within="1d")),
        Label("late", deadline="2d"),
        ahead(BOUGHT, col("invoice").len() > 0, over="28d", allowed_lateness="1d"),
        (
            request("carrier", "distance"),
            derived(col("departure").dt.convert_time_zone("America/New_York").dt.hour().alias("hour")),
            latest(PLANES, "seats"),
            latest(FLIGHTS, "arr_delay", ttl="6h", ago="1d"),
            window(FLIGHTS, delay=col("arr_delay").mean(), n=pl.len(), over=["6h", "24h"], by=["carrier"]),
            recency(ORDERS),
        ),
        Source("shifted", read=lambda: None, key="id", event_time="at", available_at=after("at", "10m")),
    ],
    ids=lambda part: type(part).__name__,
)
def test_it_comes_back_and_means_the_same(part: Any) -> None:
    text = spec_text(part)

    found = read_spec(text)

    assert spec_text(found) == text
    assert spec_digest(found) == spec_digest(part)
    if isinstance(part, Source):
        assert (found.key, found.available_at) == (part.key, part.available_at)


def test_a_text_of_a_release_without_a_field_is_still_what_it_was() -> None:
    """As a text was written before fields had been added: nothing that is at its default is in it."""
    text = spec_text(latest(PLANES, "seats"))

    assert json.loads(text) == {
        "Latest": {
            "source": {"Source": {"name": "planes", "key": ["tailnum"], "entity": ["tailnum"], "timeless": True}},
            "columns": ["seats"],
            "ttl": None,
            "ago": None,
        }
    }
    assert spec_text(read_spec(text)) == text


def test_what_is_expected_of_rows_on_their_way_in_makes_no_other_view() -> None:
    stricter = replace(FLIGHTS, expect=[within("arr_delay", -60, None)])

    assert view_version(latest(stricter, "arr_delay", ttl="6h")) == view_version(latest(FLIGHTS, "arr_delay", ttl="6h"))


def hour_of_day(frame: pl.DataFrame) -> pl.Series:
    return frame["departure"].dt.hour()


DERIVED = derived(hour_of_day)


def test_a_function_is_found_by_name_and_code_among_those_that_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    text = spec_text([derived(hour_of_day)])
    monkeypatch.delitem(globals(), "hour_of_day")
    with pytest.raises(SpecNotReadableError, match="function 'hour_of_day' is not loaded, or is another one by now"):
        read_spec(text)
    module = ModuleType("a_model_file")
    module.hour_of_day = DERIVED.transforms[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_model_file", module)

    (found,) = read_spec(text)

    assert found.transforms == DERIVED.transforms


def test_a_text_is_never_a_way_to_run_code() -> None:
    harmful = col("a").map_batches(lambda values: values, return_dtype=pl.Int64).alias("a")

    with pytest.raises(SpecNotReadableError, match="an expression holds Python code, which is never run from a text"):
        read_spec(spec_text([derived(harmful)]))


def test_a_text_that_does_not_tell_a_number_is_refused() -> None:
    with pytest.raises(SpecNotReadableError, match=r"fill_null.*holds inf or NaN, which its text does not tell"):
        read_spec(spec_text([derived(col("a").fill_null(math.inf).alias("a"))]))


@pytest.mark.parametrize("text", ['{"Sauce":{"name":"x"}}', '{"Shift":{"column":"x","by":1}}'])
def test_a_word_of_another_release_is_refused(text: str) -> None:
    with pytest.raises(SpecNotReadableError, match="is no word of this release"):
        read_spec(text)


def test_a_source_that_was_read_back_reads_no_rows() -> None:
    with pytest.raises(SpecNotReadableError, match="Ingest with the model file"):
        read_spec(spec_text(PLANES)).read()
