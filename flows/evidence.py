"""Evidence, put together from what ingest, score and the labels say, all as it was known at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from feature_store.errors import TableNotFoundError
from feature_store.offline.labels import KNOWN, labels
from flows.errors import FeatureGoneError
from flows.frames import block_numbers, gone_features, key_names, predictions_table
from flows.judging import interval, paired
from flows.keys import step_key
from flows.model import Model
from flows.results import Result
from flows.wiring import Loop, Reign
from lifecycle.actions import Retrain
from lifecycle.decisions import CHALLENGER, WINDOW, Decision
from lifecycle.errors import NoChampionError
from lifecycle.evidence import ChampionFacts, Comparison, DriftFinding, Evidence, IngestFacts, Performance
from lifecycle.moments import Window, parse_moment
from lifecycle.ports import Ledger
from lifecycle.records import from_plain
from monitoring.labels import LabelState, coverage, label_delay_p95
from monitoring.performance import realised


def noted_evidence(loop: Loop, model: Model, as_of: datetime) -> Evidence:
    """The evidence that `monitor` noted for this moment; without one, only what is known of champion and history."""
    noted = loop.journal.finished(step_key("monitor", model, as_of))
    if noted is not None:
        return from_plain(Evidence, Result.from_json(noted).facts["_evidence"])
    champion = loop.champion(model)
    return Evidence(
        model=model.name,
        as_of=as_of,
        window=Window.before(as_of, loop.policy_of(model).every),
        champion=champion_facts(champion) if champion else None,
        ingested=ingest_facts(loop, model, as_of),
        last_training=last_training(loop, model, as_of),
    )


def answering_champion(loop: Loop, model: Model) -> Reign:
    """The champion, which can be asked whatever the model file computes.

    Raises:
        NoChampionError: nothing was promoted yet.
        FeatureGoneError: it takes a feature that the model file has no more.
    """
    champion = loop.champion(model)
    if champion is None:
        raise NoChampionError(model.name)
    gone = gone_features(champion.loaded.columns, model)
    if gone:
        raise FeatureGoneError(model.name, champion.epoch.version, gone)
    return champion


def champion_facts(champion: Reign) -> ChampionFacts:
    """What the ledger and the manifest say of the champion."""
    manifest = champion.loaded.manifest
    return ChampionFacts(
        version=champion.epoch.version,
        epoch=champion.epoch.epoch,
        digest=champion.epoch.digest,
        gate_value=manifest["gate_value"],
        newest_label=parse_moment(manifest["newest_label"]),
    )


def ingest_facts(loop: Loop, model: Model, as_of: datetime) -> tuple[IngestFacts, ...]:
    """What ingest noted for this moment; nothing when it did not run."""
    noted = loop.journal.finished(step_key("ingest", model, as_of))
    return tuple(from_plain(IngestFacts, plain) for plain in Result.from_json(noted).facts["_facts"]) if noted else ()


def last_training(loop: Loop, model: Model, as_of: datetime) -> datetime | None:
    """When the last training before `as_of` was started, refused challengers included."""
    started = [
        decision.as_of
        for decision in loop.ledger.decisions(model.name)
        if decision.as_of < as_of and (isinstance(decision.action, Retrain) or decision.stage.startswith(CHALLENGER))
    ]
    return max(started, default=None)


def windows_decided(ledger: Ledger, model: Model, *, before: datetime) -> Sequence[Decision]:
    """Decisions on the windows before a moment, oldest window first, whenever they were made: runs may overtake."""
    past = [d for d in ledger.decisions(model.name) if d.stage == WINDOW and d.as_of < before]
    return sorted(past, key=lambda decision: decision.as_of)


def earlier_findings(loop: Loop, model: Model, champion: Reign, as_of: datetime) -> Sequence[Sequence[DriftFinding]]:
    """Findings of the windows before under the same champion, oldest first, as they were recorded."""
    past = windows_decided(loop.ledger, model, before=as_of)
    return [d.evidence.drift for d in past if d.epoch == champion.epoch.epoch and d.evidence.drift]


def labelled_predictions(loop: Loop, model: Model, window: Window, as_of: datetime) -> pl.DataFrame:
    """Predictions for the questions of a window, with the labels that have arrived by `as_of`.

    Columns: the stored prediction's, and `label`, `label_available_at`, `label_state`.
    """
    stored = predictions(loop, model, window)
    if not stored.height:
        return stored
    stored = stored.drop_nulls(key_names(model))  # of a request that did not say which question it was
    return labels(model.label, model.spine, stored, loop.lake, as_of)


def predictions(loop: Loop, model: Model, window: Window) -> pl.DataFrame:
    """The stored predictions for the questions of a window, in the order of `as_of` and key."""
    try:
        stored = loop.lake.read(predictions_table(model.name))
    except TableNotFoundError:
        return pl.DataFrame()
    inside = (pl.col("as_of") > window.start) & (pl.col("as_of") <= window.end)
    return stored.filter(inside).sort("as_of", *key_names(model), "version")


def asked_lately(loop: Loop, model: Model, champion: Reign, as_of: datetime) -> pl.DataFrame:
    """The champion's own predictions since the newest fully labelled window began, with the labels known by now."""
    window = Window(as_of - model.wait - model.performance_length, as_of)
    rows = labelled_predictions(loop, model, window, as_of)
    return rows.filter(pl.col("version") == champion.epoch.version) if rows.height else rows


def watched(model: Model, asked: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Those of the newest fully labelled window: what performance is judged on."""
    return asked.filter(pl.col("as_of") <= as_of - model.wait) if asked.height else asked


def performance(model: Model, rows: pl.DataFrame, as_of: datetime) -> Performance:
    """Realised performance on labelled rows, with the interval by independent block."""
    window = Window.before(as_of - model.wait, model.performance_length)
    blocks = block_numbers(rows["as_of"], model.block)
    frame = rows.select("prediction", pl.col("label").cast(pl.Float64), block=blocks).to_pandas()
    arrived = coverage(rows["label_state"].replace(KNOWN, LabelState.LABELLED.value))
    return realised(frame, metric=model.gate.metric, window=window, coverage=arrived, interval=interval(model))


def against_previous(loop: Loop, model: Model, rows: pl.DataFrame) -> Comparison | None:
    """The champion against the one before it on the same labelled rows; none where there is nothing to compare."""
    previous = loop.previous(model)
    known = rows.filter(pl.col("label").is_not_null()) if rows.height else rows
    if previous is None or not known.height:
        return None
    return paired(model, known, previous.epoch.version, previous.loaded)


def delay_p95(rows: pl.DataFrame) -> timedelta | None:
    """95 % of the labels arrived within this time after their question."""
    known = rows.filter(pl.col("label").is_not_null()) if rows.height else rows
    if not known.height:
        return None
    return label_delay_p95((known["label_available_at"] - known["as_of"]).to_numpy())
