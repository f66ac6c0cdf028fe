"""The described model with its features online: by key alone, by all columns, and a million answers computed before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from benchmarks.load.models import NUMBERS, TEXTS, packaged, questions
from feature_store.definitions.feature_view import Feature, latest, request
from feature_store.definitions.source import Source
from feature_store.definitions.spine import each
from feature_store.intake.ingest import ingest_batch
from feature_store.offline.labels import Label
from feature_store.offline.training_set import Definition
from feature_store.online.keyed_table import Rows, replace_table
from feature_store.online.lmdb_store import LmdbStore
from feature_store.online.materialize import materialize
from feature_store.online.plan import OnlineViews
from feature_store.storage.lake import Lake
from mlflow_plugins.deployment.options import LookupOptions, StoredModel
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.models import GOLDEN, MANIFEST, ModelPackage, save_model
from mlflow_plugins.precomputed_names import SCORES, table_name

MODEL = "bench"
AS_OF = datetime(2021, 3, 1, tzinfo=UTC)
_CHUNK = 100_000


@dataclass(frozen=True, slots=True)
class Keyed:
    """A stored model, and the bodies of its requests.

    Attributes:
        full, by_key: the same question with all columns, and with its key and what only the caller knows.
        precomputed: a question for one of the scores.
    """

    stored: StoredModel
    full: bytes
    by_key: bytes
    precomputed: bytes


def keyed(folder: Path, entities: int) -> Keyed:
    """Fit and store the model, and materialize its twenty looked-up features for so many entities."""
    definition = _definition()
    package, golden = packaged("described")
    types = {"id": "Int64", "person": "Int64", **dict.fromkeys(NUMBERS, "Float64"), **dict.fromkeys(TEXTS, "String")}
    manifest = {"data": {**definition.texts(), "types": types}}
    files: dict[str, bytes | Path] = {MANIFEST: json.dumps(manifest).encode(), GOLDEN: golden.file}
    save_model(
        ModelPackage(package.pipeline, package.example, package.task, files, ("scikit-learn",)), folder / "model"
    )
    rows = _online(folder, definition, entities)
    stored = StoredModel(
        model=MODEL,
        version=1,
        folder=str(folder / "model"),
        digest=golden.digest,
        epoch=1,
        tier=Tier.COMPILED,
        lookup=LookupOptions(store=str(folder / "online")),
    )
    one, text = rows.row(entities // 2, named=True), dict.fromkeys(TEXTS, "a")
    by_key = {"id": 7, "person": one["person"], **text}
    full = {**{name: one[name] for name in NUMBERS}, **text}
    return Keyed(stored, _records(full), _records(by_key), _records({"person": entities // 2}))


def precompute(folder: Path, keys: int) -> float:
    """Write a score for each of so many keys; the bytes of the store that it added, for one key."""
    store = LmdbStore(folder / "online")
    before = (folder / "online" / "data.mdb").stat().st_blocks
    facts = {"version": 1, "epoch": 1, "as_of": AS_OF.isoformat()}
    replace_table(store, table_name(MODEL, SCORES), _scores(keys), {"person": pl.Int64()}, facts)
    store.close()
    return ((folder / "online" / "data.mdb").stat().st_blocks - before) * 512 / keys


def score_of(person: int) -> float:
    """The score that `precompute` wrote."""
    return person / 1_048_576


def _scores(keys: int) -> Iterator[Rows]:
    for begin in range(0, keys, _CHUNK):
        people = range(begin, min(begin + _CHUNK, keys))
        yield pl.DataFrame({"person": list(people)}), [json.dumps(score_of(one)).encode() for one in people]


def _definition() -> Definition:
    people = Source(
        "people", read=_unread, key=["person", "seen_at"], entity="person", event_time="seen_at", available_at="seen_at"
    )
    asks = Source(
        "asks",
        read=_unread,
        key="id",
        entity="person",
        event_time="asked_at",
        available_at="asked_at",
        later={"answered_at": ["won"]},
    )
    views: list[Feature] = [latest(people, *NUMBERS, ttl="36500d"), request(*TEXTS)]
    return Definition(views, Label("won", deadline="1d"), each(asks, as_of="asked_at"))


def _unread() -> Any:
    raise NotImplementedError("rows are handed over as a frame")


def _online(folder: Path, definition: Definition, entities: int) -> pl.DataFrame:
    X = questions()[0]
    values = np.tile(X[NUMBERS].fillna(0.0).to_numpy(), (entities // len(X) + 1, 1))[:entities]
    rows = pl.DataFrame(values, schema=NUMBERS).with_columns(
        person=pl.int_range(entities, dtype=pl.Int64), seen_at=pl.lit(AS_OF).cast(pl.Datetime("us", "UTC"))
    )
    lake, store = Lake(folder / "lake"), LmdbStore(folder / "online")
    (people,) = [source for source in definition.sources if source.name == "people"]
    ingest_batch(people, rows, lake, as_of=AS_OF, batch="all")
    materialize(OnlineViews(definition.views, definition.spine), lake, store, as_of=AS_OF)
    store.close()
    return rows


def _records(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"dataframe_records": [row]})
