"""`init` on tables as people have them: the file it writes loads, and asks what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_data import write_small_model

import incumbent
from flows.checking import check
from flows.errors import GuessError, ModelFileError
from flows.guessing import Guess, Named, guess
from flows.ingest import ingest
from flows.model import Model, load_model
from flows.model_text import read_table, write_model_file
from flows.monitor import monitor
from flows.score import score
from flows.train import train
from flows.wiring import running

ROWS = 400
START = datetime(2023, 1, 2, 8)  # noqa: DTZ001 - as CSV files have it


def table(rows: int = ROWS, days: float = 70, **columns: Any) -> pl.DataFrame:
    """Orders: a column given as None is left out."""
    rng = np.random.default_rng(5)
    amount = rng.normal(50, 10, rows).round(2)
    usual = {
        "order_id": np.arange(rows),
        "created_at": [START + timedelta(minutes=int(m)) for m in np.sort(rng.uniform(0, days * 1440, rows))],
        "amount": amount,
        "channel": rng.choice(["app", "shop", "web"], rows),
        "churned": (rng.random(rows) < 1 / (1 + np.exp((50 - amount) / 5))).astype(int),
    }
    return pl.DataFrame({name: values for name, values in (usual | columns).items() if values is not None})


def text_of(frame: pl.DataFrame, column: str, shape: str) -> list[str]:
    return frame[column].dt.strftime(shape).to_list()


def initialised(folder: Path, frame: pl.DataFrame, name: str = "orders.csv", **named: Any) -> Model:
    data = folder / name
    frame.write_parquet(data) if name.endswith("parquet") else frame.write_csv(data)
    write_model_file(data, Named(**named))
    return load_model(folder / "model.py")


def guessed(frame: pl.DataFrame, **named: Any) -> Guess:
    return guess(frame, Named(**named))


FRAME = table()
TIMES = {
    "ISO": text_of(FRAME, "created_at", "%Y-%m-%dT%H:%M:%S"),
    "ISO with Z": text_of(FRAME, "created_at", "%Y-%m-%dT%H:%M:%SZ"),
    "ISO with an offset": text_of(FRAME, "created_at", "%Y-%m-%d %H:%M:%S+02:00"),
    "UTC in words": text_of(FRAME, "created_at", "%Y-%m-%d %H:%M:%S UTC"),
    "no seconds": text_of(FRAME, "created_at", "%Y-%m-%d %H:%M"),
    "fractions": text_of(FRAME, "created_at", "%Y-%m-%d %H:%M:%S.250"),
    "American": text_of(FRAME, "created_at", "%m/%d/%Y %H:%M"),
    "American, twelve hours": text_of(FRAME, "created_at", "%m/%d/%Y %I:%M %p"),
    "British": text_of(FRAME, "created_at", "%d/%m/%Y %H:%M:%S"),
    "German": text_of(FRAME, "created_at", "%d.%m.%Y %H:%M"),
    "spoken": text_of(FRAME, "created_at", "%b %d, %Y"),
    "dates": text_of(FRAME, "created_at", "%Y-%m-%d"),
    "dates as numbers": [int(text) for text in text_of(FRAME, "created_at", "%Y%m%d")],
    "seconds since 1970": FRAME["created_at"].dt.epoch("s"),
    "milliseconds since 1970": FRAME["created_at"].dt.epoch("ms"),
}


@pytest.mark.parametrize("written", TIMES)
@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
def test_times_are_read_as_they_are_written(tmp_path: Path, written: str, name: str) -> None:
    model = initialised(tmp_path, table(created_at=TIMES[written]), name)

    read = model.sources[0].read()["created_at"].dt.replace_time_zone(None)
    days = {"spoken", "dates", "dates as numbers"}
    behind = timedelta(hours=2) if written == "ISO with an offset" else timedelta(0)
    for moment, given in zip(read, FRAME["created_at"], strict=True):
        if written in days:
            assert moment == datetime.combine(given.date(), datetime.min.time())
        else:
            assert abs(moment + behind - given) < timedelta(minutes=1)


def test_parquet_times_with_zone_and_dates_are_read(tmp_path: Path) -> None:
    zoned = table().with_columns(pl.col("created_at").dt.replace_time_zone("Europe/Berlin"))
    model = initialised(tmp_path, zoned, "zoned.parquet")
    assert model.sources[0].read()["created_at"][0] == zoned["created_at"][0]

    (tmp_path / "model.py").unlink()
    dates = table().with_columns(pl.col("created_at").dt.date())
    model = initialised(tmp_path, dates, "dates.parquet")
    assert model.sources[0].read()["created_at"][0].date() == date(2023, 1, 2)


@pytest.mark.parametrize(
    ("values", "task", "answers"),
    [
        ([True, False], "binary", {True, False}),
        ([1, 0], "binary", {True, False}),
        ([1.0, 0.0], "binary", {True, False}),
        ([2, 1], "binary", {True, False}),
        (["Yes", "No"], "binary", {True, False}),
        (["True", "False"], "binary", {True, False}),
        (["stayed", "Churned"], "binary", {True, False}),
        (['say "yes"', "it's no"], "binary", {True, False}),
        ([True, None], "error", None),
        ([1.5, 2.5, 9.0], "regression", {1.5, 2.5, 9.0}),
        ([3, 4, 5], "regression", {3.0, 4.0, 5.0}),
        (["low", "middle", "high"], "error", None),
    ],
)
def test_a_label_of_two_values_or_of_numbers_is_taken(
    tmp_path: Path, values: list[Any], task: str, answers: Any
) -> None:
    frame = table(churned=[values[n % len(values)] for n in range(ROWS)])
    if task == "error":
        with pytest.raises(GuessError, match=r"'churned' .*--label COLUMN"):
            initialised(tmp_path, frame, label="churned")
        return
    model = initialised(tmp_path, frame, label="churned")

    source = model.sources[0]
    read = source.read().select(source.derive["answer"].alias("answer"))["answer"]
    assert model.task == task
    assert set(read) == answers
    if values[0] == "Yes":
        assert read[0] is True


def test_the_word_that_means_yes_is_found() -> None:
    told = {}
    for values in (["won", "lost"], ["active", "gone"], ["rare", "usual", "usual", "usual"]):
        found = guessed(table(churned=[values[n % len(values)] for n in range(ROWS)]))
        told[values[0]] = found.yes
    assert told == {"won": "won", "active": "gone", "rare": "rare"}


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        ({}, "churned"),
        ({"churned": None, "isFraud": [0, 1] * 200, "vip": [True, False] * 200}, "isFraud"),
        ({"churned": None, "vip": [True, False] * 200}, "vip"),
        ({"churned": None, "target": np.linspace(0, 9, ROWS), "vip": [True, False] * 200}, "target"),
        ({"churned": None, "vip": [True, False] * 200, "sale_price": np.linspace(0, 9, ROWS)}, "sale_price"),
        ({"churned": None}, "amount"),
    ],
)
def test_the_label_is_guessed_by_name_and_values(columns: dict[str, Any], label: str) -> None:
    assert guessed(table(**columns)).label == label


def test_features_leave_out_what_identifies_varies_not_or_tells_the_answer() -> None:
    frame = table(
        customer_id=[n % 40 for n in range(ROWS)],
        country=["uk"] * ROWS,
        note=[f"text {n}" for n in range(ROWS)],
        delivered_at=[START] * ROWS,
        vip=[True, False] * 200,
    ).with_columns(churn_reason=pl.when(pl.col("churned") == 1).then(pl.lit("price")))

    found = guessed(frame)

    assert found.features == ("amount", "channel", "vip")
    assert found.entity == "customer_id"
    assert "churn_reason" in found.reasons["left out"]


def test_the_key_is_what_no_two_rows_share() -> None:
    assert guessed(table()).key == ("order_id",)
    assert guessed(table(order_id=None, customer_id=[n % 40 for n in range(ROWS)])).key == ("customer_id", "created_at")
    assert guessed(table(order_id=None)).key in {("created_at",), ()}
    assert guessed(table(order_id=None, created_at=[START] * ROWS)).key == ()
    twice = guessed(table(order_id=[n // 2 for n in range(ROWS)]), key=("order_id",))
    assert "400 rows share one" in twice.reasons["key"]


def test_rows_without_a_key_are_numbered(tmp_path: Path) -> None:
    model = initialised(
        tmp_path, table(order_id=None, created_at=[START + timedelta(days=n // 4) for n in range(ROWS)])
    )

    assert model.sources[0].key_columns == ("row_number",)
    assert check(model).facts["source orders"] == "400 rows, 0 quarantined"


NAMES = ["order id", 'say "amount"', "channel\\kind", "größe (€)", "it's, here", "was churned?"]


@pytest.mark.parametrize("name", ["orders.csv", "2023 orders (final).parquet", "größe.csv"])
def test_odd_names_are_no_hindrance(tmp_path: Path, name: str) -> None:
    frame = table(size=np.arange(ROWS) % 7, vip=[True, False] * 200)
    columns = dict(zip(["order_id", "amount", "channel", "size", "vip", "churned"], NAMES, strict=True))
    model = initialised(tmp_path, frame.rename(columns), name)

    facts = check(model).facts

    assert facts["features"] == 4
    assert facts["leaks"] == "none found"
    assert model.label.column == "answer"


@pytest.mark.parametrize("name", ["as_of", "event_time", "available_at", "_time", "version"])
def test_a_time_may_have_a_name_that_the_loop_uses(tmp_path: Path, name: str) -> None:
    model = initialised(tmp_path, table().rename({"created_at": name}), event_time=name if name == "version" else None)

    assert check(model).facts["questions tried"] == "400, 400 with a label"


@pytest.mark.parametrize("name", ["version", "model", "label", "prediction", "origin", "as_of", "_id", "answer"])
def test_any_other_column_may_have_a_name_that_the_loop_uses(tmp_path: Path, name: str) -> None:
    for column in ("order_id", "amount", "churned"):
        folder = tmp_path / column
        folder.mkdir()
        key = (name,) if column == "order_id" else ("order_id",)
        label = name if column == "churned" else "churned"
        model = initialised(folder, table().rename({column: name}), key=key, label=label)
        assert check(model).facts["questions tried"] == "400, 400 with a label"


@pytest.mark.parametrize(
    "options",
    [{"separator": ";"}, {"separator": "\t"}, {"separator": "|"}, {"include_bom": True}, {"quote_style": "always"}],
)
def test_csv_files_of_many_kinds_are_read(tmp_path: Path, options: dict[str, Any]) -> None:
    data = tmp_path / "orders.csv"
    table().write_csv(data, **options)
    write_model_file(data)

    assert load_model(tmp_path).features[0].names == ("amount", "channel")


def test_decimal_commas_and_old_encodings_are_read(tmp_path: Path) -> None:
    data = tmp_path / "orders.csv"
    frame = table(created_at=TIMES["German"]).with_columns(channel=pl.lit("Geschäft") + pl.col("channel"))
    text = frame.with_columns(pl.col("amount").cast(pl.String).str.replace(".", ",", literal=True)).write_csv(
        separator=";"
    )
    data.write_bytes(text.encode("latin-1"))
    write_model_file(data)

    read = load_model(tmp_path).sources[0].read()
    assert read.schema["amount"] == pl.Float64
    assert read["channel"][0].startswith("Geschäft")


def test_the_index_that_pandas_writes_is_no_feature(tmp_path: Path) -> None:
    data = tmp_path / "orders.csv"
    table(order_id=None).to_pandas().to_csv(data)
    write_model_file(data)

    model = load_model(tmp_path)
    assert model.sources[0].key_columns == ("given_row_id",)
    assert model.features[0].names == ("amount", "channel")


def test_types_that_the_lake_does_not_store_are_made_into_others(tmp_path: Path) -> None:
    frame = table(payload=[[1]] * ROWS, gone=[None] * ROWS, took=[timedelta(minutes=3)] * ROWS).with_columns(
        pl.col("order_id").cast(pl.UInt32),
        pl.col("churned").cast(pl.UInt8),
        pl.col("amount").cast(pl.Decimal(10, 2)),
        pl.col("channel").cast(pl.Categorical),
    )
    model = initialised(tmp_path, frame, "orders.parquet")

    assert check(model).facts["source orders"] == "400 rows, 0 quarantined"
    assert model.features[0].names == ("amount", "channel")


def test_large_numbers_far_from_zero_are_as_expected(tmp_path: Path) -> None:
    model = initialised(tmp_path, table(meter=1_600_000_000 + np.arange(ROWS) % 9, odd=[np.inf, 1.0] * 200))

    assert check(model).facts["source orders"] == "400 rows, 0 quarantined"


def test_the_file_may_lie_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / "data" / "orders.csv"
    data.parent.mkdir()
    table().write_csv(data)

    write_model_file(data, output=tmp_path / "models" / "churn.py")
    write_model_file(data, output=tmp_path / "beside.py")

    for path in (tmp_path / "models" / "churn.py", tmp_path / "beside.py"):
        assert load_model(path).sources[0].read().height == ROWS


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    initialised(tmp_path, table())
    before = (tmp_path / "model.py").read_text()

    with pytest.raises(
        ModelFileError, match=r"it is there already, and nothing was overwritten. Name another: --output"
    ):
        write_model_file(tmp_path / "orders.csv")
    assert (tmp_path / "model.py").read_text() == before


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        ({"created_at": None}, {}, "looks like a time. Every row needs one; name it: incumbent init DATA --event-time"),
        ({"churned": None, "amount": None}, {}, "looks like a label. Name what is to be predicted"),
        ({"churned": 0, "amount": None}, {}, "a label; 'churned' holds one value. Name what is to be predicted"),
        ({"churned": [0] * ROWS}, {"label": "churned"}, "'churned' holds one. Name another"),
        ({"amount": None, "channel": None}, {}, "a feature: beside key, times and label nothing usable varies. Add"),
        ({}, {"label": "left"}, "looks like 'left'. Name one of them: --label COLUMN"),
        ({}, {"key": ("id",)}, "looks like 'id'. Name one of them: --key COLUMN"),
        ({}, {"event_time": "channel"}, "a time; 'channel' is String. Name one: --event-time COLUMN"),
    ],
)
def test_what_cannot_be_told_says_which_option_names_it(columns: Any, named: Any, message: str) -> None:
    with pytest.raises(GuessError) as caught:
        guessed(table(**columns), **named)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "there is no such data file. Name a .csv or .parquet file"),
        ("orders.xlsx", b"PK", "data must be a .csv or .parquet file"),
        ("empty.csv", b"", "it cannot be read"),
        ("header.csv", b"a,b\n", "it has no rows"),
        ("broken.parquet", b"PAR1", "it cannot be read"),
        ("ragged.csv", b"a,b\n1,2\n3,4,5,6\n", "it cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_table(tmp_path / name)
    assert message in str(caught.value)


def test_a_model_without_verbs_is_refused_by_those_who_would_call_them(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    path.write_text(
        path.read_text().replace("from incumbent import *", "from incumbent import *\nfrom flows.model import Model")
    )

    with pytest.raises(ModelFileError) as caught:
        incumbent.load_model(path)

    assert str(caught.value) == (
        f"{path} cannot be used as a model file: small is a flows.model.Model, which has no verbs. "
        "Import Model from incumbent"
    )


@pytest.mark.parametrize(
    ("rows", "days", "every"), [(4000, 70, "7d"), (400, 70, "28d"), (400, 1200, "182d"), (300, 2, "7d")]
)
def test_windows_are_long_enough_to_hold_rows(tmp_path: Path, rows: int, days: float, every: str) -> None:
    model = initialised(tmp_path, table(rows, days))

    assert f"every={every}" in str(model.policy)
    assert model.evaluation_length <= timedelta(days=days) / 3 + timedelta(days=1)
    assert model.evaluation_length / model.block >= 7


@pytest.mark.parametrize(("rows", "days", "task"), [(3000, 70, "binary"), (900, 2, "binary"), (700, 700, "regression")])
def test_it_leads_to_a_champion_that_answers(
    tmp_path: Path, small_loop: Callable[..., Any], rows: int, days: float, task: str
) -> None:
    frame = table(rows, days)
    if task == "regression":
        frame = frame.with_columns(target=pl.col("amount") * 2 + pl.col("order_id") % 3).drop("churned")
    frame = frame.rename({"amount": "größe (€)", "channel": "channel kind"})
    model = initialised(tmp_path, frame)
    end = (frame["created_at"].max() + timedelta(days=2)).replace(tzinfo=UTC).isoformat()
    with running(small_loop()) as loop:
        ingest(model.reference, end)
        trained = train(model.reference, end)
        assert trained.facts["action"] == "promote", trained.facts["reason"]
        assert loop.champion(model) is not None
        scored = score(model.reference, end)
        watched = monitor(model.reference, end)

    assert model.task == task
    assert scored.facts["rows"] > 0
    assert "größe (€)" in str(watched.facts["_evidence"]["drift"])
