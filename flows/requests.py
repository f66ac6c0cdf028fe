"""Requests: what the scoring servers logged, brought into the lake, each record once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from prefect import flow

from feature_store.offline.features import features
from feature_store.offline.questions import questions
from feature_store.storage.lake import Lake
from flows.frames import predictions_table, question_columns, requests_table, stored_name
from flows.model import Model
from flows.request_frames import frames
from flows.results import Result
from flows.steps import moment_of, run_name
from flows.wiring import Loop, current_loop
from lifecycle.moments import iso
from mlflow_plugins.request_log.reading import read_segment
from mlflow_plugins.request_log.segment import Finished, segments
from mlflow_plugins.request_log.writer import model_folder

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@flow(name="requests", flow_run_name=run_name)
def compact_requests(model: str, as_of: str | None = None) -> Result:
    """Bring the finished segments of a model's request log into the lake, and remove each when it is there.

    Args:
        model: a model file, or the name of any registered model.
        as_of: when this is done; only told.
    """
    return compact(current_loop(), model, moment_of(as_of))


def compact(loop: Loop, reference: str, as_of: datetime) -> Result:
    """As the flow does, here and now.

    A segment is one commit of each table, under its own name: a run that was killed, or that another one overtook,
    adds nothing twice, and a segment is removed only after both commits.
    """
    known = loop.model(reference) if _is_file(reference) else None
    name = known.name if known is not None else reference
    counts = Counter(segments=0, predictions=0, requests=0, torn=0, open=0)
    types: dict[str, pl.DataType] | None = None
    for path in segments(model_folder(loop.settings.requests_folder, name)):
        taken = Finished.taken(path)
        if taken is None:
            counts["open"] += 1
            continue
        try:
            if types is None:
                types = {} if known is None else batch_types(known, loop.lake)
            counts.update(into_the_lake(loop.lake, name, taken, types))
        finally:
            taken.release()
    return Result("requests", name, iso(as_of), dict(counts))


def into_the_lake(lake: Lake, model: str, taken: Finished, types: Mapping[str, pl.DataType]) -> dict[str, int]:
    """Append what a segment holds to the tables of its model, then remove it."""
    lines, torn = taken.lines()
    read = read_segment(taken.name, lines, stored_name("{}"))
    table = predictions_table(model)
    found = frames(read, types, lake.schema(table) if lake.exists(table) else {})
    for name, frame in ((table, found.predictions), (requests_table(model), found.requests)):
        if frame.height:
            lake.append(name, frame, batch=f"request log {taken.name}", allow_new=frame.columns)
    taken.remove()
    told = {"predictions": found.predictions.height, "requests": found.requests.height}
    return {"segments": 1, **told, "torn": read.torn + bool(torn)}


def batch_types(model: Model, lake: Lake) -> dict[str, pl.DataType]:
    """The types that batch scoring gives to the columns of a model's predictions."""
    asked = questions(model.spine, lake, _LONG_AGO, _LONG_AGO)
    seen = features(model.features, asked, lake, spine=model.spine).schema
    keys = {name: seen[name] for name in question_columns(model)}
    return keys | {stored_name(name): seen[name] for view in model.features for name in view.names}


def _is_file(reference: str) -> bool:
    return reference.partition(":")[0].endswith(".py") or Path(reference).is_dir()
