from __future__ import annotations

import math
import subprocess
import sys
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars import col

from feature_store.definitions.expectations import not_null, within
from feature_store.definitions.feature_view import (
    check_features,
    derived,
    difference,
    feature_names,
    latest,
    named_views,
    ratio,
    recency,
    request,
    window,
    with_operands,
)
from feature_store.definitions.source import ALL, Source, before
from feature_store.definitions.spec_text import spec_digest, spec_text, view_version
from feature_store.definitions.spine import each, every, seen
from feature_store.errors import (
    ColumnTypeError,
    FeatureNameClashError,
    LeakError,
    ScheduleTextError,
    SpanTextError,
    SpecError,
)
from feature_store.offline.labels import Label, ahead, check_label
from feature_store.offline.partitions import Partitioning
from feature_store.span import parse_span


def nothing() -> pl.DataFrame:
    raise AssertionError("a specification reads nothing")


def source(**changed: Any) -> Source:
    fields: dict[str, Any] = {
        "name": "flights",
        "read": nothing,
        "key": ["departs_at", "flight"],
        "event_time": "departs_at",
        "available_at": before("departs_at", "30d"),
        "later": {"left_at": ["dep_delay"], "landed_at": ["arr_delay"]},
        "derive": {"late": col("arr_delay") > 15, "gained": col("dep_delay") - col("arr_delay"), "later": ~col("late")},
    }
    return Source(**fields | changed)


flights = source()
planes = Source("planes", read=nothing, key="tailnum", entity="tailnum", timeless=True)
orders = Source("orders", read=nothing, key=ALL, event_time="at", available_at="at", entity="customer")
spine = each(flights, as_of=before("departs_at", "2h"))


def test_a_derived_column_is_known_with_its_last_input() -> None:
    known = {name: flights.known_with(name) for name in ("late", "gained", "later", "dep_delay", "landed_at", "flight")}
    assert known == {
        "late": ("landed_at",),
        "gained": ("left_at", "landed_at"),
        "later": ("landed_at",),
        "dep_delay": ("left_at",),
        "landed_at": ("landed_at",),
        "flight": (),
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"event_time": None}, r"source 'flights': event_time is not given. Write event_time="),
        ({"available_at": None}, r"source 'flights': available_at is not given. Write available_at="),
        ({"timeless": True}, "a timeless source has no event_time, available_at or later"),
        ({"key": []}, "key is empty. Name the columns"),
        ({"key": ALL}, "later needs a key, and key is ALL"),
        ({"name": "fli.ghts"}, "the name holds other characters"),
        ({"tz": "Mars/Base"}, "tz 'Mars/Base' is no time zone"),
        ({"duplicates": "mean"}, "duplicates is 'mean'. Write quarantine, first or last"),
        ({"later": {"a": ["x"], "b": ["x"]}, "derive": {}}, r"later names \['x'\] twice"),
        ({"later": {"a": ["flight"]}, "derive": {}}, r"\['flight'\] are filled in later, but identify or time the row"),
        ({"derive": {"a": col("b"), "b": col("flight")}}, r"'a' uses \['b'\] before it is made"),
        ({"derive": {"flight": col("x")}}, "derived column 'flight' has the name of a column"),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        source(**changed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: request("carrier", "arr_delay"),
            "column 'arr_delay': it becomes known at landed_at, after the question",
        ),
        (lambda: request("gained"), "'gained': it becomes known at left_at and landed_at"),
        (lambda: derived((col("arr_delay") + 1).alias("x")), "'arr_delay': it becomes known at landed_at"),
        (lambda: derived(col("late").alias("x")), "'late': it becomes known at landed_at"),
    ],
)
def test_a_questions_own_outcome_is_no_feature(make: Any, message: str) -> None:
    with pytest.raises(LeakError, match=message):
        check_features([make()], spine)


def test_other_rows_outcomes_are_features() -> None:
    views = [window(flights, delay=col("arr_delay").mean(), over=["6h", "1d"], by="carrier"), request("carrier")]
    assert check_features(views, spine) == ("delay_6h", "delay_1d", "carrier")


def test_features_are_named_by_column_window_and_source() -> None:
    ago = latest(orders, "item", ttl="2d", ago="1d")
    assert feature_names([ago, recency(orders), latest(planes, "seats")]) == (
        "item_24h_ago",
        "orders_recency_days",
        "seats",
    )


def test_two_features_of_one_name_are_refused() -> None:
    with pytest.raises(FeatureNameClashError, match=r"'year': both request\(year\) and latest\(planes\) make it"):
        feature_names([request("year"), latest(planes, "year")])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: latest(orders, "item"), r"latest\(orders\): ttl is not given"),
        (lambda: latest(planes, "seats", ttl="2d"), r"latest\(planes\): a timeless source does not age"),
        (lambda: latest(orders, ttl="2d"), "no column is named"),
        (lambda: latest(orders, "item", ttl=timedelta(hours=-1)), r"latest\(orders\): ttl is below zero\. Say how old"),
        (lambda: latest(orders, "item", ttl="0h"), "ttl is zero, so that every row is too old at once"),
        (lambda: latest(orders, "item", ttl="2d", ago=timedelta(hours=-1)), "ago is below zero. A question is not"),
        (lambda: window(orders, n=pl.len(), over="0h"), r"window\(orders\): over is 0h, no time at all"),
        (lambda: window(orders, n=pl.len(), over=["2h", timedelta(hours=-1)]), "over is -1h, no time at all"),
        (
            lambda: check_features([ratio("trend", of="item", to="price")], spine),
            r"ratio\(item, price\) as trend: no feature before it is called \['item', 'price'\]. Name item before it",
        ),
        (lambda: Partitioning(buckets=0), "Partitioning: buckets is 0. Write 1 or more"),
        (lambda: window(planes, n=pl.len(), over="2d"), r"window\(planes\): a timeless source has no events"),
        (lambda: window(orders, over="2d"), "nothing is aggregated"),
        (lambda: window(flights, n=pl.len(), over="2d", by="late"), "'late': it becomes known at landed_at"),
        (lambda: recency(planes), "a timeless source has no events"),
        (lambda: derived(lambda frame: frame["x"]).names, "a function without a name"),
        (lambda: each(planes, as_of="x"), "a timeless source asks no questions"),
        (lambda: each(flights, as_of="landed_at"), "'landed_at': it becomes known at landed_at"),
        (lambda: each(flights.where(col("late")), as_of="departs_at"), "it becomes known at landed_at"),
        (lambda: seen(flights, within="2d"), r"seen\(flights\): the source has no entity"),
        (lambda: every("06:00", seen(orders, within="2d"), tz="Mars"), "every: tz 'Mars' is no time zone"),
        (lambda: Label("late", deadline="0d"), "the deadline is no time at all"),
        (lambda: ahead(flights, pl.len(), over="2d"), r"ahead\(flights\): the source has no entity"),
        (lambda: check_label(Label("flight", deadline="2d"), spine), "does not say when it becomes known"),
        (
            lambda: check_label(Label("late", deadline="2d"), every("06:00", seen(orders, within="2d"))),
            "the questions are no rows of a source",
        ),
        (lambda: within("x", None, None), "within has no bound"),
        (lambda: within("x", 2, 1), "2 exceeds 1"),
        (lambda: within("x", 0, 1, otherwise="ignore"), "otherwise is 'ignore'"),  # type: ignore[arg-type]
        (lambda: not_null("x", otherwise="null"), "a null cannot be made null"),
    ],
)
def test_what_contradicts_itself_is_refused_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make()


def test_a_ratio_or_difference_is_of_two_features_named_before_it() -> None:
    views = [latest(orders, "item", "price", ttl="2d"), ratio("trend", of="item", to="price")]

    assert check_features([*views, difference("gap", of="trend", to="price")], spine)[-2:] == ("trend", "gap")
    assert with_operands([views[1]], [request("x"), *views]) == views


numbers = st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float))


@given(numbers, numbers)
def test_a_ratio_or_difference_of_one_question_is_that_of_many(of, to) -> None:
    columns = [pl.Series("of", [of], pl.Float64), pl.Series("to", [to], pl.Float64)]
    for one in (ratio("trend", of="of", to="to"), difference("gap", of="of", to="to")):
        value = one.value(of, to)

        assert one.values(*columns).equals(pl.Series(one.name, [value], pl.Float64), null_equal=True)
        if of is None or to is None or (to == 0 and one.how == "ratio"):
            assert value is None


def test_a_ratio_of_text_is_refused() -> None:
    with pytest.raises(ColumnTypeError, match=r"'item' of 'ratio\(item, price\)' is String, expected a number"):
        ratio("trend", of="item", to="price").values(pl.Series("item", ["a"]), pl.Series("price", [1]))


def test_versions_are_by_content_and_every_view_has_a_name() -> None:
    views = [latest(orders, "item", ttl="2d"), latest(orders, "price", ttl="2d"), recency(orders)]

    assert list(named_views(views)) == ["latest(orders): item", "latest(orders): price", "recency(orders)"]
    assert view_version(views[0]) == view_version(latest(orders, "item", ttl=timedelta(days=2)))
    assert len({view_version(view) for view in [*views, latest(orders, "item", ttl="3d")]}) == 4


@pytest.mark.parametrize("text", ["noon", "funday 06:00", "24:00", "6:00"])
def test_a_moment_of_the_week_must_be_readable(text: str) -> None:
    with pytest.raises(ScheduleTextError, match="mon 06:00"):
        every(text, seen(orders, within="2d"))


def test_spans_are_whole_numbers_with_a_unit() -> None:
    assert [parse_span(text) for text in ("2h", "10m", "1w")] == [
        timedelta(hours=2),
        timedelta(minutes=10),
        timedelta(weeks=1),
    ]
    with pytest.raises(SpanTextError, match="for example 2h"):
        parse_span("1.5h")


def test_one_specification_has_one_text_and_another_another() -> None:
    assert spec_digest(flights) == spec_digest(source())
    assert spec_digest(flights) != spec_digest(source(derive={"late": col("arr_delay") > 16}))
    assert spec_digest([latest(orders, "item", ttl="2d")]) != spec_digest([latest(orders, "item", ttl="3d")])
    doubles = [math.inf, -math.inf, math.nan, 1.0]
    assert (
        len({spec_digest(col("item").fill_null(pl.lit(one, dtype))) for one in doubles for dtype in (None, pl.Float64)})
        == 8
    )
    assert '"later":{"in_order":[["left_at",["dep_delay"]],["landed_at",["arr_delay"]]]}' in spec_text(flights)


def test_a_specification_imports_neither_great_expectations_nor_delta() -> None:
    code = (
        "import sys\n"
        "from feature_store.definitions import expectations, feature_view, spine\n"
        "print([name for name in ('great_expectations', 'deltalake', 'pandas') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
