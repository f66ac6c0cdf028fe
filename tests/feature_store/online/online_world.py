"""A small world with every type, and a strategy for it."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st
from polars import col

from feature_store.definitions.feature_view import Feature, derived, difference, latest, ratio, recency, request, window
from feature_store.definitions.source import ALL, Source, after
from feature_store.definitions.spine import each, every, seen
from feature_store.intake.ingest import ingest_batch
from feature_store.storage.lake import Lake

FOLDERS = tempfile.TemporaryDirectory(prefix="incumbent-online-")
UTC_US = pl.Datetime("us", "UTC")
# The hours around it contain the change of clocks of the source's zone.
START = datetime(2013, 3, 31, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def nothing() -> pl.DataFrame:
    raise AssertionError("batches are given, not read")


TYPES = {
    "flag": pl.Boolean(), "tiny": pl.Int8(), "small": pl.Int16(), "whole": pl.Int32(), "large": pl.Int64(),
    "single": pl.Float32(), "double": pl.Float64(), "text": pl.String(), "day": pl.Date(), "moment": UTC_US,
}  # fmt: skip

readings = Source(
    "readings", read=nothing, key=["number"], event_time="happened", available_at="told", entity=["who", "where"],
    later={"checked": ["double", "large"]},
    derive={"twice": col("double") * 2, "short": col("text").str.slice(0, 1)},
)  # fmt: skip
loud = readings.where(col("flag"))
# The last Sunday of March: in London the hour from 01:00 does not exist, and local times are told.
visits = Source("visits", read=nothing, key=ALL, event_time="came", available_at=after("came", "30m"), entity="who",
                tz="Europe/London")  # fmt: skip
places = Source("places", read=nothing, key="where", entity="where", timeless=True)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "tiny": st.integers(-128, 127),
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "large": st.integers(-(2**52), 2**52),
    "single": st.floats(width=32),
    "double": st.one_of(st.floats(), st.floats(-100, 100), st.sampled_from([0.1, -0.0, 0.0, float("nan")])),
    "text": st.one_of(st.sampled_from(["", "a", "Ä", "日本"]), st.text(max_size=5)),
    "day": st.dates(date(1800, 1, 1), date(2200, 1, 1)),
    "moment": st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1)).map(lambda one: one.replace(tzinfo=UTC)),  # noqa: DTZ001
}
WHO = ["a", "é", "日本", "x" * 500, ""]

a_reading = st.fixed_dictionaries(
    {
        "number": st.integers(1, 9),
        "who": st.sampled_from([*WHO[:3], None]),
        "where": st.one_of(st.none(), st.integers(-1, 1)),
        "happened": st.one_of(st.integers(-30, 60), st.floats(-30, 60)),
        "lag": st.integers(-40, 30),
        "check": st.one_of(st.none(), st.integers(-10, 20)),
        "batch": st.integers(0, 2),
        **{name: st.one_of(st.none(), values) for name, values in VALUES.items()},
    }
)
a_visit = st.fixed_dictionaries(
    {"who": st.sampled_from(WHO), "came": st.integers(-90, 70), "spent": st.one_of(st.none(), st.floats(-9, 9)),
     "batch": st.integers(0, 2)}
)  # fmt: skip
a_place = st.fixed_dictionaries({"where": st.integers(-1, 1), "size": st.one_of(st.none(), st.integers(0, 9))})

some_readings = st.lists(a_reading, max_size=30)
some_visits = st.lists(a_visit, max_size=30)
some_places = st.lists(a_place, max_size=3, unique_by=lambda one: one["where"])


def frame_of_readings(raw: list[dict[str, Any]]) -> pl.DataFrame:
    rows = []
    for one in raw:
        row = {name: one[name] for name in ("number", "who", "where", "batch", *TYPES)}
        row["happened"] = at(one["happened"])
        row["told"] = at(one["happened"] + one["lag"])
        row["checked"] = None if one["check"] is None else row["told"] + timedelta(hours=one["check"])
        rows.append(row)
    times = dict.fromkeys(("happened", "told", "checked"), UTC_US)
    keys = {"number": pl.Int64(), "who": pl.String(), "where": pl.Int16(), "batch": pl.Int64()}
    frame = pl.DataFrame(rows, schema={**keys, **TYPES, **times})
    # Rows that contradict one another are set apart by the batch they came in; here nothing does.
    for moment in ("told", "checked"):
        frame = frame.filter(pl.struct("number", moment).is_first_distinct() | col(moment).is_null())
    return frame


def frame_of_visits(raw: list[dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {"who": one["who"], "came": at(one["came"]).replace(tzinfo=None), "spent": one["spent"], "batch": one["batch"]}
        for one in raw
    ]
    types = {"who": pl.String(), "came": pl.Datetime("us"), "spent": pl.Float64(), "batch": pl.Int64()}
    return pl.DataFrame(rows, schema=types)


def frame_of_places(raw: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(raw, schema={"where": pl.Int16(), "size": pl.Int64()}).with_columns(batch=pl.lit(0))


World = dict[Source, pl.DataFrame]
worlds = st.builds(
    lambda some, more, most: {
        readings: frame_of_readings(some),
        visits: frame_of_visits(more),
        places: frame_of_places(most),
    },
    some_readings,
    some_visits,
    some_places,
)


def new_lake() -> Lake:
    return Lake(Path(tempfile.mkdtemp(dir=FOLDERS.name)) / "lake")


def take_in(world: World, lake: Lake, until: datetime, number: int) -> None:
    """What has arrived with the first `number` batches and is available at a moment."""
    for source, frame in world.items():
        arrived = frame.filter(col("batch") <= number).drop("batch")
        ingest_batch(source, arrived, lake, as_of=until, batch=f"batch {number}")


def minutes(shout: pl.DataFrame) -> pl.Series:
    return shout["as_of"].dt.minute().cast(pl.Int64) + shout["number"].fill_null(0)


asking_itself = each(readings, as_of="told")
asking_others = every("06:00", seen(visits, within="3d"))

number = col("double")
VIEWS: list[Feature] = [
    request("where"),
    latest(readings, "flag", "tiny", "small", "whole", "single", "text", "day", "moment", ttl="20h"),
    latest(readings, "double", "twice", "large", ttl="9h"),
    latest(readings, "short", "flag", ttl="30h", ago="5h"),
    latest(loud, "small", ttl="3d", ago="90m"),
    latest(places, "size"),
    recency(readings),
    recency(visits),
    derived((col("number") * 2).alias("doubled"), minutes),
    window(visits, visits=pl.len(), spent=col("spent").sum(), mean=col("spent").mean(), spread=col("spent").std(),
           least=col("spent").min(), most=col("spent").max(), newest=col("spent").last(), told=col("spent").count(),
           kinds=col("spent").n_unique(), over=["1h", "6h", "3d"]),
    window(readings, r_len=pl.len(), r_flag=col("flag").sum(), r_flag_mean=col("flag").mean(), r_any=col("flag").max(),
           r_text=col("text").last(), r_texts=col("text").n_unique(), r_first=col("day").min(),
           r_last=col("day").last(),
           r_moment=col("moment").max(), r_short=col("short").last(), r_small=col("small").sum(),
           r_small_std=col("small").std(), r_tiny=col("tiny").min(), r_late=(col("tiny") > 3).mean(),
           r_single=col("single").sum(), r_single_mean=col("single").mean(), r_single_std=col("single").std(),
           r_single_min=col("single").min(), r_single_kinds=col("single").n_unique(), over=["5h", "2d"], by="who"),
    window(loud, l_sum=col("whole").sum(), l_len=pl.len(), over="36h", by=[]),
    window(readings, w_sum=number.sum(), w_mean=number.mean(), w_std=number.std(), w_min=number.min(),
           w_max=number.max(), w_last=number.last(), w_kinds=number.n_unique(), w_count=number.count(),
           w_large=col("large").sum(), w_large_mean=col("large").mean(), w_twice=col("twice").max(),
           over=["5h", "50h"], by=["where", "who"]),
    ratio("spent_share", of="spent_6h", to="spent_3d"),
    difference("spent_less", of="spent_6h", to="mean_3d"),
]  # fmt: skip
QUESTIONS = {"number": pl.Int64(), "who": pl.String(), "where": pl.Int16(), "as_of": UTC_US}

a_question = st.tuples(
    st.integers(1, 9),
    st.sampled_from([*WHO, None, "nobody"]),
    st.one_of(st.none(), st.integers(-1, 2)),
    st.one_of(st.integers(0, 120), st.floats(0, 120)),
)
some_questions = st.lists(a_question, min_size=1, max_size=8)


def frame_of_questions(raw: list[tuple[Any, ...]], since: datetime) -> pl.DataFrame:
    rows = [(number, who, where, since + timedelta(hours=hours)) for number, who, where, hours in raw]
    return pl.DataFrame(rows, schema=QUESTIONS, orient="row")


def bits(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    """Values that are equal only where their bits are; all NaN are one."""
    columns = []
    for column in frame.get_columns():
        if column.dtype.is_float():
            width = pl.Float32() if column.dtype == pl.Float32 else pl.Float64()
            texts = [None if one is None else float(one).hex() for one in column.cast(width)]
            columns.append(texts)
        else:
            columns.append(column.to_list())
    return list(zip(*columns, strict=True))
