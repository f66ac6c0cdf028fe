"""Every field of the specification, as a model file says it: what it means, its default, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import incumbent
from feature_store.errors import FeatureStoreError, LeakError
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.features import features
from feature_store.offline.labels import labels
from feature_store.offline.questions import questions
from feature_store.storage.lake import Lake
from flows.errors import SpecError
from incumbent import (
    ALL,
    INGESTED,
    Gate,
    Label,
    Model,
    Policy,
    Source,
    after,
    ahead,
    before,
    col,
    derived,
    drifted,
    each,
    every,
    latest,
    not_null,
    older,
    one_of,
    recency,
    request,
    seen,
    tune,
    window,
    within,
    worse,
)
from lifecycle.errors import LifecycleError

DAY = timedelta(days=1)
START = datetime(2021, 3, 1, tzinfo=UTC)


def at(days: float) -> datetime:
    return START + days * DAY


def rows(**columns: list[Any]) -> pl.DataFrame:
    """Rows at `at`, one a day unless said otherwise; `id` counts them."""
    count = len(next(iter(columns.values())))
    usual = {"id": list(range(count)), "at": [at(day) for day in range(count)]}
    return pl.DataFrame(usual | columns, strict=False)


def source(frame: pl.DataFrame | None = None, **fields: Any) -> Source:
    usual = {"read": lambda: frame, "key": "id", "event_time": "at", "available_at": "at"}
    return Source("things", **(usual | fields))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def taken_in(
    lake: Lake, thing: Source, frame: pl.DataFrame, when: datetime = START + 100 * DAY, batch: str = "1"
) -> Any:
    return ingest_batch(thing, frame, lake, as_of=when, batch=batch)


def model(**fields: Any) -> Model:
    thing = source(later={"known_at": ["won"]})
    usual = {
        "name": "small",
        "owner": "ops@example.com",
        "purpose": "a test",
        "task": "binary",
        "spine": each(thing, as_of="at"),
        "label": Label("won", deadline="1d"),
        "features": [request("x")],
        "gate": Gate("brier"),
        "policy": Policy(every="7d"),
    }
    return Model(**(usual | fields))


def refused(make: Any, *parts: str) -> None:
    """What is refused names the field and says what to do."""
    with pytest.raises((FeatureStoreError, SpecError, LifecycleError)) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


# Source


@pytest.mark.parametrize("field", ["event_time", "available_at"])
def test_both_times_must_be_written(field: str) -> None:
    refused(lambda: source(**{field: None}), f"{field} is not given", f"Write {field}=")


def test_the_key_must_be_written() -> None:
    with pytest.raises(TypeError, match="key"):
        Source("things", read=rows, event_time="at", available_at="at")  # type: ignore[call-arg]
    refused(lambda: source(key=[]), "key is empty", "Name the columns that identify a row, or write key=ALL")


def test_all_makes_the_whole_row_the_key(lake: Lake) -> None:
    told = taken_in(lake, source(key=ALL), rows(id=[1, 1, 1], at=[START] * 3, x=[1.0, 2.0, 2.0]))

    assert (told.appended, told.already_known, told.quarantined) == (2, 1, 0)


@pytest.mark.parametrize(("available", "hours"), [("at", 0), (after("at", "2h"), 2), (INGESTED, None)])
def test_a_row_may_be_used_from_available_at_on(lake: Lake, available: Any, hours: float | None) -> None:
    known = at(100) if hours is None else START + timedelta(hours=hours)
    thing = source(available_at=available)
    taken_in(lake, thing, rows(x=[1.0]))
    asked = pl.DataFrame({"as_of": [known - timedelta(seconds=1), known]}).cast(pl.Datetime("us", "UTC"))

    spine = each(source(), as_of="at")
    found = features([latest(thing, "x", ttl="365d")], asked, lake, spine=each_of_others(spine))

    assert found["x"].to_list() == [None, 1.0]


def each_of_others(spine: Any) -> Any:
    """A spine over another source, so that no question is a row of the one looked at."""
    return each(Source("questions", read=rows, key="id", event_time="at", available_at="at"), as_of="at")


def test_later_columns_are_null_before_their_time_and_count_as_happening_then(lake: Lake) -> None:
    thing = source(later={"known_at": ["won"]})
    taken_in(lake, thing, rows(x=[1.0], known_at=[at(5)], won=[True]))
    asked = pl.DataFrame({"as_of": [at(4), at(5), at(7), at(8)]}).cast(pl.Datetime("us", "UTC"))

    found = features(
        [latest(thing, "x", "won", ttl="2d"), window(thing, wins=col("won").sum(), over="3d")],
        asked,
        lake,
        spine=each_of_others(None),
    )

    assert found["won"].to_list() == [None, True, True, None]  # two days counted from when it was known
    assert [value or 0 for value in found["wins_3d"]] == [0, 1, 1, 0]
    assert found["x"].to_list() == [None] * 4


def test_later_refuses_what_identifies_or_times_the_row() -> None:
    refused(lambda: source(later={"known_at": ["id"]}), "['id']", "Take them out of later, or of the key")
    refused(lambda: source(key=ALL, later={"known_at": ["won"]}), "later needs a key", "Name the columns")
    refused(lambda: source(later={"a": ["won"], "b": ["won"]}), "names ['won'] twice", "Give every column one moment")


def test_an_entity_is_never_guessed(lake: Lake) -> None:
    frame = rows(shop=["a", "b"], x=[1.0, 2.0])
    asked = pl.DataFrame({"as_of": [at(9)] * 2, "shop": ["a", "b"]}).cast({"as_of": pl.Datetime("us", "UTC")})
    taken_in(lake, source(), frame)

    one_series = features([latest(source(), "x", ttl="30d")], asked, lake, spine=each_of_others(None))
    by_shop = features([latest(source(entity="shop"), "x", ttl="30d")], asked, lake, spine=each_of_others(None))

    assert one_series["x"].to_list() == [2.0, 2.0]
    assert by_shop["x"].to_list() == [1.0, 2.0]


def test_a_timeless_source_is_the_same_at_every_moment_and_a_changed_value_is_refused(lake: Lake) -> None:
    planes = Source("planes", read=rows, key="tail", entity="tail", timeless=True)
    taken_in(lake, planes, pl.DataFrame({"tail": ["n1"], "seats": [100]}))
    asked = pl.DataFrame({"as_of": [datetime(1990, 1, 1, tzinfo=UTC)], "tail": ["n1"]})

    found = features(
        [latest(planes, "seats")], asked.cast({"as_of": pl.Datetime("us", "UTC")}), lake, spine=each_of_others(None)
    )
    changed = taken_in(lake, planes, pl.DataFrame({"tail": ["n1"], "seats": [200]}), batch="2")

    assert found["seats"].to_list() == [100]
    assert (changed.quarantined, changed.reasons) == (1, {"a timeless row changed": 1})
    refused(
        lambda: Source("planes", read=rows, key="tail", timeless=True, event_time="at"),
        "a timeless source has no event_time",
        "leave out timeless=True",
    )


def test_naive_moments_are_of_the_sources_zone_and_utc_without_one(lake: Lake) -> None:
    naive = [datetime(2021, 3, 27, 12), datetime(2021, 3, 28, 1, 30), datetime(2021, 10, 31, 1, 30)]  # noqa: DTZ001
    london = source(tz="Europe/London")
    told = taken_in(lake, london, rows(at=naive, x=[1.0, 2.0, 3.0]), when=at(400))

    stored = lake.read("sources/things")["at"].to_list()
    assert stored == [datetime(2021, 3, 27, 12, tzinfo=UTC), datetime(2021, 10, 31, 0, 30, tzinfo=UTC)]
    assert told.quarantined == 1  # 01:30 on the day the clocks went forward does not exist
    assert told.reasons["at in a repeated hour, read as the first"] == 1
    assert source().tz == "UTC"
    refused(lambda: source(tz="London"), "tz 'London' is no time zone", "Write an IANA name")


def test_keep_and_where_drop_rows_that_are_not_the_sources_business(lake: Lake) -> None:
    thing = source(keep=col("x") > 0)
    told = taken_in(lake, thing, rows(x=[1.0, -1.0, None, 5.0]))
    asked = pl.DataFrame({"as_of": [at(9)]}).cast(pl.Datetime("us", "UTC"))
    counts = {"n": col("x").len()}

    found = features(
        [window(thing, over="30d", **counts), window(thing.where(col("x") > 2), over="31d", **counts)],
        asked,
        lake,
        spine=each_of_others(None),
    )

    assert (told.appended, told.dropped, told.quarantined) == (2, 2, 0)
    assert found.row(0)[1:] == (2, 1)


def test_a_batch_may_lack_an_optional_column_only(lake: Lake) -> None:
    thing = source(optional="y")
    taken_in(lake, thing, rows(x=[1.0], y=[1.0]))

    assert taken_in(lake, thing, rows(id=[2], x=[1.0]), batch="2").appended == 1
    refused(lambda: taken_in(lake, thing, rows(id=[3], y=[1.0]), batch="3"), "lacks ['x']", "optional=[...]")


def test_a_new_column_is_reported_and_used_by_nothing(lake: Lake) -> None:
    taken_in(lake, source(), rows(x=[1.0]))

    told = taken_in(lake, source(), rows(id=[2], x=[1.0], z=[1.0]), batch="2")

    assert told.unexpected_columns == ("z",)
    assert "z" not in lake.schema("sources/things")


@pytest.mark.parametrize(
    ("rule", "kept", "apart"), [("quarantine", [], 2), ("first", [1.0], 0), ("last", [1.0, 2.0], 0)]
)
def test_one_key_and_moment_with_two_values(lake: Lake, rule: Any, kept: list[float], apart: int) -> None:
    told = taken_in(lake, source(duplicates=rule), rows(id=[1, 1, 2], at=[START] * 3, x=[1.0, 2.0, 9.0]))

    assert lake.read("sources/things").filter(pl.col("id") == 1)["x"].to_list() == kept
    assert told.quarantined == apart
    refused(lambda: source(duplicates="newest"), "duplicates is 'newest'", "Write quarantine, first or last")


def test_a_newer_row_of_the_same_key_is_a_correction(lake: Lake) -> None:
    thing = source(available_at="told_at")
    taken_in(lake, thing, rows(id=[1, 1], at=[START] * 2, told_at=[at(1), at(3)], x=[1.0, 2.0]))
    asked = pl.DataFrame({"as_of": [at(2), at(4)]}).cast(pl.Datetime("us", "UTC"))

    found = features([latest(thing, "x", ttl="30d")], asked, lake, spine=each_of_others(None))

    assert found["x"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("otherwise", "stored", "apart", "stopped"),
    [("quarantine", [1.0], 1, False), ("null", [1.0, None], 0, False), ("stop", [], 0, True)],
)
def test_what_is_not_as_expected(lake: Lake, otherwise: Any, stored: list[Any], apart: int, stopped: bool) -> None:
    thing = source(expect=[within("x", 0, 200, otherwise=otherwise)])
    told = taken_in(lake, thing, rows(x=[1.0, 1048.0]))

    assert (told.quarantined, told.stopped is not None) == (apart, stopped)
    assert (lake.read("sources/things")["x"].to_list() if lake.exists("sources/things") else []) == stored
    refused(lambda: within("x", 0, 1, otherwise="drop"), "otherwise is 'drop'", "Write null (the cell), quarantine")


def test_expectations_quarantine_unless_told_otherwise() -> None:
    assert {one.otherwise for one in (within("x", 0, 1), not_null("x"), one_of("x", [1]))} == {"quarantine"}
    refused(lambda: within("x", None, None), "within has no bound", "Give a low or a high bound")
    refused(lambda: not_null("x", otherwise="null"), "a null cannot be made null", "otherwise='quarantine'")


# Spine and labels


def test_each_asks_once_a_row_and_the_row_never_feeds_itself(lake: Lake) -> None:
    thing = source(available_at=before("at", "1d"))
    taken_in(lake, thing, rows(x=[1.0, 2.0, 3.0]))
    spine = each(thing, as_of=before("at", "2h"))

    asked = questions(spine, lake, None, at(100))
    found = features([latest(thing, "x", ttl="30d", ago=None)], asked.drop("x"), lake, spine=spine)

    assert asked["as_of"].to_list() == [at(day) - timedelta(hours=2) for day in range(3)]
    assert found["x"].to_list()[0] != 1.0
    assert found["x"].to_list()[1] != 2.0
    refused(
        lambda: each(source(later={"known_at": ["won"]}), as_of="known_at"), "'known_at'", "Ask at a moment that comes"
    )


def test_every_asks_each_entity_of_the_population_at_each_tick(lake: Lake) -> None:
    thing = source(entity="who")
    taken_in(lake, thing, rows(at=[at(0), at(0.1), at(20)], who=["a", "b", "a"]))

    asked = questions(every("mon 06:00", seen(thing, within="10d"), tz="Europe/London"), lake, None, at(30))

    monday = at(0) + timedelta(hours=6)
    summer = at(28) + timedelta(hours=5)  # the clocks went forward the day before
    assert asked.rows() == [
        (monday, "a"),
        (monday, "b"),
        (monday + 7 * DAY, "a"),
        (monday + 7 * DAY, "b"),
        (at(21) + timedelta(hours=6), "a"),
        (summer, "a"),
    ]
    refused(
        lambda: every("monday", seen(thing, within="10d")),
        "'monday' cannot be read",
        "a weekday before it for weekly, mon 06:00",
    )
    refused(lambda: every("06:00", seen(thing, within="10d"), tz="London"), "tz 'London'", "Write an IANA name")
    refused(lambda: seen(source(), within="10d"), "no entity", "Give it entity=")


def test_a_label_that_is_missing_after_its_deadline_is_final(lake: Lake) -> None:
    thing = source(later={"known_at": ["won"]})
    frame = rows(x=[1.0, 1.0], known_at=[at(0.5), None], won=[True, None])
    taken_in(lake, thing, frame)
    spine, label = each(thing, as_of="at"), Label("won", deadline="2d")
    asked = questions(spine, lake, None, at(50))

    states = [labels(label, spine, asked, lake, when)["label_state"].to_list() for when in (at(0.4), at(2), at(3))]

    assert states == [["waiting", "waiting"], ["known", "waiting"], ["known", "never"]]
    refused(lambda: Label("won", deadline="0d"), "deadline is no time at all", 'deadline="2d"')
    with pytest.raises(TypeError, match="deadline"):
        Label("won")  # type: ignore[call-arg]


def test_ahead_knows_yes_and_no_at_the_close_alike(lake: Lake) -> None:
    thing = source(entity="who")
    taken_in(lake, thing, rows(at=[at(0), at(0), at(5)], who=["a", "b", "a"]))
    spine = every("mon 06:00", seen(thing, within="7d"))
    label = ahead(thing, col("id").len() > 0, over="7d", allowed_lateness="1d")
    asked = questions(spine, lake, None, at(5))

    close = at(0) + timedelta(hours=6) + 8 * DAY
    early = labels(label, spine, asked, lake, close - timedelta(seconds=1))
    late = labels(label, spine, asked, lake, close)

    assert early["label_state"].to_list() == ["waiting", "waiting"]
    assert late["label"].to_list() == [True, False]
    assert set(late["label_available_at"]) == {close}
    refused(lambda: ahead(source(), col("id").len(), over="7d"), "no entity", "Give it entity=")
    refused(lambda: ahead(thing, col("id").len(), over="0d"), "over is no time at all", 'over="28d"')


# Features


def test_latest_takes_the_newest_event_among_what_was_known_within_the_ttl(lake: Lake) -> None:
    thing = source(available_at="told_at")
    taken_in(lake, thing, rows(id=[1, 2], at=[at(2), at(1)], told_at=[at(2), at(3)], x=[2.0, 1.0]))
    asked = pl.DataFrame({"as_of": [at(4), at(6)]}).cast(pl.Datetime("us", "UTC"))

    found = features(
        [latest(thing, "x", ttl="3d"), latest(thing, "x", ttl="30d", ago="3d")], asked, lake, spine=each_of_others(None)
    )

    assert found["x"].to_list() == [2.0, None]  # the late arrival of an older row displaces nothing; 4 days is too old
    assert found["x_3d_ago"].to_list() == [None, 2.0]
    refused(lambda: latest(thing, "x"), "ttl is not given", 'ttl="6h"')
    refused(lambda: latest(thing, ttl="6h"), "no column is named", "Name the columns")


def test_a_window_is_by_the_entity_or_by_one_composite(lake: Lake) -> None:
    frame = rows(shop=["a", "a", "b"], kind=["s", "t", "s"], at=[at(0), at(1), at(1)], x=[1.0, 2.0, 4.0])
    thing = source(entity="shop")
    taken_in(lake, thing, frame)
    asked = pl.DataFrame({"as_of": [at(1)], "shop": ["a"], "kind": ["s"]}).cast({"as_of": pl.Datetime("us", "UTC")})

    found = features(
        [
            window(thing, by_shop=col("x").sum(), over=["1d", "2d"]),
            window(thing, both=col("x").sum(), over="2d", by=["shop", "kind"]),
        ],
        asked,
        lake,
        spine=each_of_others(None),
    )

    assert found["by_shop_1d"].to_list() == [2.0]  # (as_of - 1d, as_of]: the row of a day ago is out
    assert (found["by_shop_2d"].item(), found["both_2d"].item()) == (3.0, 1.0)
    refused(lambda: window(thing, over="1d"), "nothing is aggregated", "name=col(")


def test_recency_counts_days(lake: Lake) -> None:
    thing = source(entity="shop")
    taken_in(lake, thing, rows(shop=["a"]))
    asked = pl.DataFrame({"as_of": [at(1.5)] * 2, "shop": ["a", "b"]}).cast({"as_of": pl.Datetime("us", "UTC")})

    found = features([recency(thing)], asked, lake, spine=each_of_others(None))

    assert found["things_recency_days"].to_list() == [1.5, None]


# Gate, policy and model


def test_a_gates_block_is_at_least_the_labels_horizon() -> None:
    thing = source(entity="who")
    spine = every("mon 06:00", seen(thing, within="7d"))
    monthly = model(spine=spine, label=ahead(thing, col("id").len() > 0, over="28d"), features=[recency(thing)])

    assert monthly.block == 28 * DAY
    assert model().block == DAY
    asked = {"spine": spine, "label": ahead(thing, col("id").len() > 0, over="28d"), "features": [recency(thing)]}
    refused(lambda: model(**asked, gate=Gate("brier", block="7d")), "Gate.block is '7 days", "make it at least that")
    refused(lambda: Gate("brier", at_least=0.2), "lower is better", "Use at_most")
    refused(lambda: Gate("auc", at_most=0.2), "higher is better", "Use at_least")


def test_weekly_questions_make_weekly_blocks() -> None:
    thing = source(entity="who")
    label = ahead(thing, col("id").len() > 0, over="3d")
    weekly = model(spine=every("mon 06:00", seen(thing, within="7d")), label=label, features=[recency(thing)])
    daily = model(spine=every("06:00", seen(thing, within="7d")), label=label, features=[recency(thing)])

    assert (weekly.block, daily.block) == (7 * DAY, 3 * DAY)


def test_a_policy_has_the_defaults_of_the_design() -> None:
    policy = Policy(every="7d", retrain=drifted().for_(2) | worse("2%") | older("60d"), rollback=worse("5%"))

    assert policy.min_labels == 500
    assert policy.cooldown_after(2 * DAY) == 7 * DAY
    assert policy.cooldown_after(28 * DAY) == 31 * DAY
    refused(lambda: Policy(every="7d", cooldown="7d").cooldown_after(28 * DAY), "28 days", "Make it at least 31 days")


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"name": "late flights"}, ("Model.name is 'late flights'", "Use letters, digits, - and _ only")),
        ({"name": ""}, ("Model.name is ''",)),
        ({"owner": " "}, ("Model.owner", "Say the owner")),
        ({"purpose": ""}, ("Model.purpose", "Say the purpose")),
        ({"task": "multiclass"}, ("Model.task is 'multiclass'", "Choose one of ['binary', 'regression']")),
        ({"features": []}, ("Model.features", "Name at least one feature")),
        ({"features": ["x"]}, ("Model.features", "request(")),
        ({"spine": source()}, ("Model.spine", "each(...) or every(...)")),
        ({"label": "won"}, ("Model.label", "Label(...) or ahead(...)")),
        ({"gate": "brier"}, ("Model.gate", "Gate")),
        ({"policy": "weekly"}, ("Model.policy", "Policy")),
        ({"gate": Gate("rmse")}, ("Model.gate is 'rmse'", "A binary task is judged by")),
        ({"task": "regression"}, ("Model.gate is 'brier'", "A regression is judged by mae, rmse or r2")),
        ({"features": [request("x"), request("x")]}, ("feature 'x'", "Leave one out")),
        ({"recent": "a month"}, ("'a month' is not a length of time",)),
        ({"gate": Gate("brier", slices=["y"])}, ("Model.gate", "'y'", "Name a feature")),
        ({"gate": Gate("brier", groups=["y"])}, ("Model.gate", "groups=['y']", "Name a feature")),
        ({"policy": Policy(every="7d", client="y")}, ("Model.policy", "client='y'", "Name a column of the questions")),
        ({"label": Label("x", deadline="1d"), "features": [request("y")]}, ("'x'", "later={...}")),
    ],
)
def test_a_model_that_contradicts_itself_names_the_field_and_the_fix(fields: dict[str, Any], parts: Any) -> None:
    refused(lambda: model(**fields), *parts)


def test_one_feature_or_lists_of_them_will_do() -> None:
    assert model(features=request("x")).features == model(features=[[request("x")]]).features == (request("x"),)


def test_the_questions_own_outcome_is_no_feature() -> None:
    for leaking in (request("won"), derived((col("won") * 2).alias("twice"))):
        with pytest.raises(LeakError, match=r"'won'.* becomes known at known_at, after the question is asked"):
            model(features=[leaking])


def test_questions_that_are_rows_need_a_key() -> None:
    thing = source(key=ALL, entity="who")
    refused(
        lambda: model(spine=each(thing, as_of="at"), label=ahead(thing, col("id").len() > 0, over="7d")),
        "Model.spine",
        "Name the columns that identify a row",
    )


@pytest.mark.parametrize("name", ["version", "epoch", "model", "prediction", "served_at"])
def test_a_key_may_not_have_the_name_of_a_column_of_predictions(name: str) -> None:
    thing = source(key=name, later={"known_at": ["won"]})
    refused(lambda: model(spine=each(thing, as_of="at")), "Model.spine", f"['{name}']", "Rename")


def test_fit_takes_an_estimator_or_a_decorated_function() -> None:
    from flows.errors import NotFittedError

    one = model()
    with pytest.raises(NotFittedError, match=r"nothing to fit. Give it an estimator"):
        _ = one.fitting

    @one.fit
    def fit(X: Any, y: Any, learning_rate: float = tune(0.1, 0.02, 0.3, log=True)) -> None: ...

    assert one.fitting is fit
    refused(lambda: one.fit("forest"), "Model.fit(...) is 'forest'", "Give an estimator with fit")


def test_the_public_names_are_nouns_and_words_and_an_unknown_one_says_so() -> None:
    assert {"Source", "Model", "Gate", "Policy"} <= set(dir(incumbent))
    for name in incumbent.__all__:
        assert getattr(incumbent, name) is not None
    with pytest.raises(AttributeError, match="incumbent has no 'Sauce'; it has"):
        _ = incumbent.Sauce
