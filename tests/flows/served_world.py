"""A champion whose features are online, served in this process or by a process of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from asking import Answer, Request, ask
from small_data import week, write_small_model

from feature_store.offline.features import features
from flows.features.materialize import materialize
from flows.ingest import ingest
from flows.retraining import train_here
from flows.serving import Chosen, server_options
from flows.settings import Prefect, Settings, State
from flows.train import train
from flows.wiring import build, running
from lifecycle.moments import iso
from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.lane import Lane
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import Access, Limits, LookupOptions, StoredModel
from mlflow_plugins.deployment.pages import PAGES
from mlflow_plugins.deployment.precomputed import PrecomputedPages
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.tier import Tier

Trained = tuple[Any, str, StoredModel]
FEATURES = (
    'request("signal", "noise", "origin"), derived((col("signal") * 2).alias("loud")),'
    'window(questions, busy=col("signal").mean(), asked=pl.len(), over="24h", by="origin")'
)
NOW = iso(week(7))


@contextmanager
def champion_online(folder: Path, api_url: str, empty_mlflow: Path) -> Iterator[Trained]:
    """A loop with a champion whose features are online as of week 7; its model file, and the champion as stored."""
    (folder / "state" / "mlflow").mkdir(parents=True)
    shutil.copy(empty_mlflow, folder / "state" / "mlflow" / "mlflow.db")
    settings = Settings(state=State(folder=folder / "state"), prefect=Prefect(api_url=api_url))
    path = str(write_small_model(folder, features=FEATURES, estimator="HistGradientBoostingClassifier(max_iter=20)"))
    with running(build(settings, start_training=train_here)) as loop:
        ingest(path, iso(week(6)))
        assert train(path, iso(week(6))).facts["action"] == "promote"
        ingest(path, NOW)
        materialize(path, NOW)
        yield loop, path, server_options(settings, ["small"], Chosen(workers=1)).models[0]


def questions(count: int, first: int = 100_000) -> list[dict[str, Any]]:
    """Questions that no source has told about yet."""
    origins = ["east", "north", "west"]
    return [{"id": first + n, "signal": n / 7 - 2, "noise": n / 11, "origin": origins[n % 3]} for n in range(count)]


def offline(loop: Any, path: str, asked: list[dict[str, Any]], as_of: datetime) -> list[dict[str, Any]]:
    """The same questions with every column of the model, computed from the lake."""
    model = loop.model(path)
    frame = pl.DataFrame(asked).with_columns(as_of=pl.lit(as_of).cast(pl.Datetime("us", "UTC")))
    seen = features(model.features, frame, loop.lake, spine=model.spine)
    return seen.select(name for view in model.features for name in view.names).to_dicts()


def records(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"dataframe_records": rows}).encode()


def serve(stored: StoredModel, tier: Tier | None = None, **lookup: str) -> Application:
    """The version in this process, under a policy."""
    assert stored.lookup is not None
    options = msgspec.convert({**msgspec.to_builtins(stored.lookup), **lookup}, LookupOptions)
    pages = (PrecomputedPages([stored.model], options), *PAGES)
    application = Application(Limits(), Access(), Lane(ThreadPoolExecutor(1)), pages)
    application.routes = Routes.of([load_served(msgspec.structs.replace(stored, lookup=options, tier=tier))])
    return application


def answer(
    application: Application, body: bytes, as_of: datetime | str = NOW, path: str = "/invocations", method: str = "POST"
) -> Answer:
    text = as_of if isinstance(as_of, str) else iso(as_of)
    told = ((b"x-incumbent-as-of", text.encode()),)
    return asyncio.run(ask(application, Request(body, headers=told, path=path, method=method)))
