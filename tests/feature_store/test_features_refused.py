"""Features and questions that cannot be answered are refused by name, and never answered wrongly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from polars import col

from feature_store.definitions.feature_view import Feature, derived, latest, ratio, request, window
from feature_store.definitions.source import Source
from feature_store.definitions.spine import every, seen
from feature_store.errors import ColumnTypeError, MissingColumnsError, QuestionTimeError, SpecError
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.offline.partitions import features_in_parts
from feature_store.storage.lake import Lake

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


weather = Source(
    "weather", read=nothing, key=["origin", "hour"], event_time="hour", available_at="hour", entity="origin"
)
spine = every("06:00", seen(weather, within="9d"))


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake")
    rows = pl.DataFrame({"origin": ["JFK"], "hour": [NOON], "wind": [5.0], "sky": ["clear"]})
    ingest_batch(weather, rows.cast({"hour": UTC_US}), lake, as_of=NOON, batch="1")
    return lake


asked = pl.DataFrame({"origin": ["JFK", "JFK"], "as_of": [NOON, NOON]}).cast({"as_of": UTC_US})
wind = latest(weather, "wind", ttl="6h")
mean = window(weather, mean=col("wind").mean(), over="6h")


def shorter(questions: pl.DataFrame) -> pl.Series:
    return questions["origin"].head(1)


def number(questions: pl.DataFrame) -> Any:
    return questions.height


def carriers(questions: pl.DataFrame) -> pl.Series:
    return questions["carrier"]


@pytest.mark.parametrize(
    ("view", "kind", "message"),
    [
        (
            latest(weather, "wnd", ttl="6h"),
            MissingColumnsError,
            r"'weather' lacks \['wnd'\]; it has \['hour', 'origin'",
        ),
        (window(weather, mean=col("wnd").mean(), over="6h"), MissingColumnsError, r"'weather' lacks \['wnd'\]"),
        (window(weather, mean=col("wind").mean(), over="6h", by="dest"), MissingColumnsError, r"lacks \['dest'\]"),
        (latest(weather.where(col("gust") > 1), "wind", ttl="6h"), MissingColumnsError, r"'weather' lacks \['gust'\]"),
        (request("dest"), MissingColumnsError, r"'questions for request\(dest\)' lacks \['dest'\]"),
        (derived(col("dest").alias("to")), MissingColumnsError, r"'questions for derived\(to\)' lacks \['dest'\]"),
        (derived(carriers), MissingColumnsError, r"'questions for derived\(carriers\)' lacks \['\"carrier\" not found"),
        (derived(shorter), SpecError, r"derived\(shorter\): it gives 1 values for 2 questions\. Give one value a row"),
        (derived(number), SpecError, r"derived\(number\): it gives int\. Give a Polars series, one value a row"),
        (derived(col("origin").n_unique().alias("n")), SpecError, r"derived\(n\): it gives 1 values for 2 questions"),
        (
            window(weather, sky=col("sky").mean(), over="6h"),
            SpecError,
            "window feature 'sky': `mean` operation not supported for dtype `str`. Aggregate columns of a type",
        ),
        (
            window(weather, wind=col("wind"), over="6h"),
            SpecError,
            "window feature 'wind': it is no aggregate, but a value for each row. Write for example",
        ),
    ],
    ids=lambda one: getattr(one, "told", None),
)
def test_a_feature_that_cannot_be_computed_is_named(
    lake: Lake, view: Feature, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        features([view], asked, lake, spine=spine)


def test_a_ratio_of_text_is_refused_where_its_type_is_known(lake: Lake) -> None:
    views = [latest(weather, "wind", "sky", ttl="6h"), ratio("share", of="sky", to="wind")]

    with pytest.raises(ColumnTypeError, match=r"Column 'sky' of 'ratio\(sky, wind\)' is String, expected a number"):
        features(views, asked, lake, spine=spine)


@pytest.mark.parametrize("view", [wind, mean], ids=["latest", "window"])
@pytest.mark.parametrize("key", [pl.lit(3), pl.lit("JFK", dtype=pl.Categorical)], ids=["number", "category"])
def test_a_key_of_another_type_than_the_sources_is_refused(lake: Lake, view: Feature, key: pl.Expr) -> None:
    with pytest.raises(ColumnTypeError, match=r"Column 'origin' of 'questions' is \w+, expected String"):
        features([view], asked.with_columns(origin=key), lake, spine=spine)


@pytest.mark.parametrize(
    ("as_of", "problem"),
    [
        (pl.lit(datetime(2013, 1, 1)), "a column of moments without a time zone"),  # noqa: DTZ001 - to be refused
        (pl.lit("2013-01-01T00:00Z"), "a column of String"),
        (pl.lit(datetime(2013, 1, 1).date()), "a column of Date"),  # noqa: DTZ001 - to be refused
        (pl.Series([None, NOON], dtype=UTC_US), "null in 1 of 2 questions"),
    ],
    ids=["naive", "text", "date", "null"],
)
@pytest.mark.parametrize("ask", [features, lambda *given, **named: next(features_in_parts(*given, **named))])
def test_questions_without_a_moment_that_can_be_asked_about_are_refused(
    lake: Lake, as_of: Any, problem: str, ask: Callable[..., pl.DataFrame]
) -> None:
    with pytest.raises(QuestionTimeError, match=f"The questions' as_of is {problem}. Give every question a moment"):
        ask([wind, mean], asked.with_columns(as_of=as_of), lake, spine=spine)


def test_questions_without_as_of_are_refused(lake: Lake) -> None:
    with pytest.raises(QuestionTimeError, match=r"as_of is not among \['origin'\]"):
        features([wind], asked.drop("as_of"), lake, spine=spine)


@pytest.mark.parametrize("dtype", [pl.Datetime("ns", "UTC"), pl.Datetime("ms", "UTC"), pl.Datetime("us", "Asia/Tokyo")])
def test_a_moment_is_the_same_in_every_zone_and_unit(lake: Lake, dtype: pl.DataType) -> None:
    told = asked.with_columns(col("as_of").dt.convert_time_zone(dtype.time_zone).cast(dtype))  # type: ignore[attr-defined]

    found = features([wind, mean], told, lake, spine=spine)

    assert found.equals(features([wind, mean], asked, lake, spine=spine))
    assert found["wind"].to_list() == [5.0, 5.0]
